// Package cluster runs a real etcd, API server and controller manager for tests:
// Deployments, ReplicaSets, StatefulSets, EndpointSlices, quotas, garbage collection and the
// horizontal pod autoscaler are Kubernetes' own. What needs machines is played in
// the test's process: nodes that run pods, a gateway, and a source of external
// metrics.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Options of a cluster.
type Options struct {
	// Scheme must know the Gateway API and Kubernetes' own kinds.
	Scheme *apiruntime.Scheme
	// CRDs are folders with definitions to install.
	CRDs []string
	// Clock that the played parts live by.
	Clock clock.WithTicker
	// AutoscalerPeriod is how often an autoscaler looks; at least 100 ms.
	AutoscalerPeriod time.Duration
}

// Cluster is a control plane with everything played around it.
type Cluster struct {
	// Admin may do everything.
	Admin client.Client
	// Config is the same access, without a client-side rate limit.
	Config *rest.Config
	// Kubeconfig is the path of a file with the same access, for kubectl.
	Kubeconfig string

	Nodes   *Nodes
	Gateway *Gateway
	Metrics *Metrics

	clock   clock.WithTicker
	scheme  *apiruntime.Scheme
	folder  string
	server  *envtest.Environment
	manager *process
	cancel  context.CancelFunc
	cache   cache.Cache
}

// controllers are those of the controller manager that run. Nothing schedules
// and nothing evicts: nodes are played.
var controllers = []string{
	"deployment-controller", "replicaset-controller", "statefulset-controller", "endpointslice-controller", "garbage-collector-controller", "horizontal-pod-autoscaler-controller",
	"serviceaccount-controller", "namespace-controller", "resourcequota-controller", "disruption-controller",
	"validatingadmissionpolicy-status-controller",
}

// Start starts a cluster with binaries from the folder KUBEBUILDER_ASSETS. It
// must be stopped.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: run `make test-handover`")
	}
	folder, err := os.MkdirTemp("", "handover-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{clock: o.Clock, scheme: o.Scheme, folder: folder}
	ctx, c.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	server := &envtest.Environment{CRDDirectoryPaths: o.CRDs, ErrorIfCRDPathMissing: true, Scheme: o.Scheme, ControlPlaneStartTimeout: time.Minute, ControlPlaneStopTimeout: time.Minute}
	// A hundred informers and a whole suite's worlds are no reason to make anybody wait.
	server.ControlPlane.GetAPIServer().Configure().Set("enable-priority-and-fairness", "false").Set("max-requests-inflight", "4000").Set("max-mutating-requests-inflight", "4000").
		// Some distributions have it: an owner reference with blockOwnerDeletion then
		// takes the right to update the owner's finalizers.
		Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	if c.Config, err = server.Start(); err != nil {
		return nil, err
	}
	c.server = server
	c.Config.QPS = -1
	if c.Admin, err = client.New(c.Config, client.Options{Scheme: o.Scheme}); err != nil {
		return nil, err
	}
	c.Kubeconfig = filepath.Join(folder, "admin.kubeconfig")
	if err := os.WriteFile(c.Kubeconfig, server.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	if err := c.startManager(o.AutoscalerPeriod); err != nil {
		return nil, err
	}
	return c, c.play(ctx)
}

// play starts the parts that live in this process.
func (c *Cluster) play(ctx context.Context) (err error) {
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	if c.cache, err = cache.New(c.Config, cache.Options{Scheme: c.scheme, Mapper: c.Admin.RESTMapper()}); err != nil {
		return err
	}
	if c.Metrics, err = startMetrics(ctx, c.Admin, c.clock); err != nil {
		return err
	}
	if c.Nodes, err = startNodes(ctx, c.cache, clients, c.clock); err != nil {
		return err
	}
	if c.Gateway, err = startGateway(ctx, c.cache, c.Admin, c.Nodes, c.clock); err != nil {
		return err
	}
	go func() { _ = c.cache.Start(ctx) }()
	if !c.cache.WaitForCacheSync(ctx) {
		return errors.New("the caches of the played nodes and gateway have not filled")
	}
	return nil
}

// startManager runs the controller manager as itself, and each controller under
// its own service account, so that policies can tell them apart.
func (c *Cluster) startManager(autoscalerPeriod time.Duration) error {
	user, err := c.server.AddUser(envtest.User{Name: "system:kube-controller-manager"}, &rest.Config{})
	if err != nil {
		return err
	}
	raw, err := user.KubeConfig()
	if err != nil {
		return err
	}
	config := filepath.Join(c.folder, "kube-controller-manager.kubeconfig")
	if err := os.WriteFile(config, raw, 0o600); err != nil {
		return err
	}
	c.manager, err = startProcess(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kube-controller-manager"), filepath.Join(c.folder, "kube-controller-manager.log"),
		"--kubeconfig="+config, "--use-service-account-credentials", "--leader-elect=false", "--secure-port=0",
		"--controllers="+strings.Join(controllers, ","),
		"--kube-api-qps=2000", "--kube-api-burst=4000",
		"--concurrent-deployment-syncs=10", "--concurrent-replicaset-syncs=10", "--concurrent-statefulset-syncs=10", "--concurrent-namespace-syncs=4", "--concurrent-horizontal-pod-autoscaler-syncs=10",
		// An autoscaler that looks every 15 s and waits 5 minutes before it scales down
		// is the same one, only slower.
		"--horizontal-pod-autoscaler-sync-period="+autoscalerPeriod.String(), "--horizontal-pod-autoscaler-downscale-stabilization=1s",
		"--resource-quota-sync-period=5s")
	return err
}

// Stop stops what Start has started and removes its files.
func (c *Cluster) Stop() error {
	c.cancel()
	var faults []error
	if c.manager != nil {
		faults = append(faults, c.manager.stop())
	}
	if c.server != nil {
		faults = append(faults, c.server.Stop())
	}
	return errors.Join(append(faults, os.RemoveAll(c.folder))...)
}

// process is a program that ends with this one.
type process struct {
	command *exec.Cmd
	ended   chan error
}

func startProcess(path, log string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(path, args...), ended: make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = out, out
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel signals when the thread ends that has started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
		started <- err
		if err == nil {
			p.ended <- p.command.Wait()
		}
		_ = out.Close()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// stop ends the process; that it ends by the signal is no error.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := <-p.ended
	if exit := (&exec.ExitError{}); errors.As(err, &exit) {
		return nil
	}
	return err
}
