// Package handover proves on Kubernetes' own controllers what the handover of a
// ReplicaSet rests on. Belay's controllers do not run here: each move is one
// write, made by the test.
package handover

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"belay.dev/belay/test/build"
	"belay.dev/belay/test/handover/cluster"
)

var (
	kube  *cluster.Cluster
	admin client.Client
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "handover:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	ctrllog.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	scheme, err := build.Scheme()
	if err != nil {
		return 1, err
	}
	crds, err := build.Definitions()
	if err != nil {
		return 1, err
	}
	kube, err = cluster.Start(context.Background(), cluster.Options{Scheme: scheme, Clock: clock.RealClock{}, AutoscalerPeriod: time.Second, CRDs: crds})
	if err != nil {
		return 1, err
	}
	admin = kube.Admin
	defer func() {
		if stopErr := kube.Stop(); err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}
