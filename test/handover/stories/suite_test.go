// Package stories runs Belay's reconcilers against Kubernetes' own controllers:
// releases that are disturbed at every point from the push to the end of the
// handover. Each ends as it should, no request goes unanswered, and no pod is made
// twice.
package stories

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"belay.dev/belay/test/build"
	"belay.dev/belay/test/handover/cluster"
)

var (
	kube   *cluster.Cluster
	admin  client.Client
	scheme *runtime.Scheme
)

// extended runs the whole table; without it a few cells of each row and column.
var extended = os.Getenv("BELAY_EXTENDED") != ""

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stories:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	log := io.Discard
	if path := os.Getenv("BELAY_LOG"); path != "" {
		file, err := os.Create(path)
		if err != nil {
			return 1, err
		}
		log = file
	}
	ctrllog.SetLogger(zap.New(zap.WriteTo(log), zap.UseDevMode(true)))
	if scheme, err = build.Scheme(); err != nil {
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
	if err := install(context.Background()); err != nil {
		return 1, err
	}
	status = m.Run()
	fmt.Fprint(os.Stdout, table.String())
	return status, nil
}

// install puts the guard and the roles in place, and the source that the guardrails
// name.
func install(ctx context.Context) error {
	if err := build.Install(ctx, admin, "guard", "rbac"); err != nil {
		return err
	}
	if err := build.AwaitGuard(ctx, admin); err != nil {
		return err
	}
	return share(ctx)
}

// share makes the source that the guardrails of all tests name.
func share(ctx context.Context) error {
	return admin.Create(ctx, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "belay.dev/v1alpha1", "kind": "MetricSource",
		"metadata": map[string]any{"name": "shops"}, "spec": map[string]any{"address": "https://prometheus.example:9090"}}})
}
