// Package integration proves the API's rules, the guard and the roles on a real
// API server with etcd. Nothing else runs: admission alone decides here.
package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"belay.dev/belay/test/build"
)

// controller is the identity Belay runs under.
const controller = "system:serviceaccount:belay:controller"

var (
	config *rest.Config
	admin  client.Client
	scheme *runtime.Scheme
	// environment is the API server that all tests but the destructive ones share.
	environment *envtest.Environment
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	ctrllog.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return 1, fmt.Errorf("KUBEBUILDER_ASSETS is not set: run `make test-integration`")
	}
	if scheme, err = build.Scheme(); err != nil {
		return 1, err
	}
	if environment, config, admin, err = startServer(""); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := environment.Stop(); err == nil {
			err = stopErr
		}
	}()
	if err := install(context.Background(), admin, "guard", "rbac"); err != nil {
		return 1, err
	}
	if err := build.AwaitGuard(context.Background(), admin); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// startServer is an API server with etcd, Belay's and Gateway API's definitions,
// and nothing else of Belay's. The client is an administrator's. With a folder of
// its own for its keys the server can be stopped and started again.
func startServer(keys string) (*envtest.Environment, *rest.Config, client.Client, error) {
	crds, err := build.Definitions()
	if err != nil {
		return nil, nil, nil, err
	}
	server := &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true, Scheme: scheme, ControlPlaneStartTimeout: time.Minute}
	server.ControlPlane.GetAPIServer().CertDir = keys
	// envtest's own range has 254 addresses, and each application here takes three.
	server.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.0.0.0/16")
	to, err := server.Start()
	if err != nil {
		return nil, nil, nil, err
	}
	// No client waits for its own limit.
	to.QPS = -1
	c, err := client.New(to, client.Options{Scheme: scheme})
	if err != nil {
		return nil, nil, nil, errors.Join(err, server.Stop())
	}
	return server, to, c, nil
}

// ownServer is an API server of startServer's for one test, which stops it at its end.
func ownServer(t *testing.T) (*envtest.Environment, *rest.Config, client.Client) {
	t.Helper()
	server, to, c, err := startServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server, to, c
}

// as is a client of somebody else.
func as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	return impersonated(t, config, admin, user, groups...)
}

// impersonated is a client of somebody else, of an API server of one's own.
func impersonated(t *testing.T, to *rest.Config, c client.Client, user string, groups ...string) client.Client {
	t.Helper()
	to = rest.CopyConfig(to)
	to.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	out, err := client.New(to, client.Options{Scheme: scheme, Mapper: c.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
