package stories

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
	"belay.dev/belay/controllers/gates"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/rollout"
	"belay.dev/belay/controllers/traffic/gateway"
	bypods "belay.dev/belay/controllers/traffic/replicas"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/test/build"
)

// user is the identity that Belay runs under.
const user = "system:serviceaccount:belay:controller"

// steadyFor is how long the sizes must have stayed the same before a handover: the period of
// this cluster's autoscalers.
const steadyFor = time.Second

// watchdog is how often the controller looks although nothing woke it.
const watchdog = 2 * time.Second

// belay is one process of the controller, for one namespace.
type belay struct {
	wire *wire
	stop context.CancelFunc
	done chan struct{}
	// looks counts reconciles of the Rollout loop, and writes what it has written.
	looks, writes atomic.Int64
	// requests counts everything that the process asks of the API server.
	requests build.Requests
}

// counted is the guard's gate, which the Rollout loop asks once in every look.
type counted struct {
	*gates.Guard
	looks *atomic.Int64
}

func (c counted) Last(rollout *v1alpha1.Rollout) plan.Gate {
	c.looks.Add(1)
	return c.Guard.Last(rollout)
}

// write is a request of the controller's that changes something.
type write struct {
	verb, resource, body string
}

// wire is the connection of one process to the API server.
type wire struct {
	dead atomic.Bool
	// patient lets a dry-run wait for its answer beyond the caller's time-out.
	patient atomic.Bool
	// freezeless refuses all that is asked of freezes, as an API server does whose roles are
	// those of an older Belay.
	freezeless atomic.Bool
	mu         sync.Mutex
	// after is called once a write has been answered, before the controller learns
	// of it.
	after func(write)
	under http.RoundTripper
}

var errDead = errors.New("this process of the controller has been killed")

// RoundTrip sends nothing any more for a process that was killed, and does not
// let it know what became of its last write.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.dead.Load() {
		return nil, errDead
	}
	if w.freezeless.Load() && strings.HasSuffix(r.URL.Path, "freezes") {
		return &http.Response{StatusCode: http.StatusForbidden, Status: "403 Forbidden", Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	made := write{verb: r.Method}
	if r.Method != http.MethodGet && !r.URL.Query().Has("dryRun") {
		made.resource = resourceOf(r.URL.Path)
		if r.Body != nil {
			raw, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			made.body = string(raw)
			r.Body = io.NopCloser(bytes.NewReader(raw))
		}
	}
	if w.patient.Load() && r.URL.Query().Has("dryRun") {
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}
	response, err := w.under.RoundTrip(r)
	w.mu.Lock()
	after := w.after
	w.mu.Unlock()
	if after != nil && err == nil && made.resource != "" && response.StatusCode < 300 {
		after(made)
	}
	if w.dead.Load() {
		if err == nil {
			_ = response.Body.Close()
		}
		return nil, errDead
	}
	return response, err
}

// resourceOf a path …/namespaces/NAMESPACE/RESOURCE/NAME.
func resourceOf(path string) string {
	_, rest, _ := strings.Cut(path, "/namespaces/")
	parts := strings.Split(rest, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

// start runs Belay as cmd/belay-controller does, for one namespace. The analysis
// loop does not run: the test writes its verdicts.
func start(t testing.TB, namespace string, after func(*belay, write)) *belay {
	return startSteadyFor(t, namespace, steadyFor, after)
}

// startSteadyFor is start with another time that the sizes must have stayed the same, and with
// more reconcilers.
func startSteadyFor(t testing.TB, namespace string, steadyFor time.Duration, after func(*belay, write), more ...func(ctrl.Manager) error) *belay {
	t.Helper()
	return startOn(t, &wire{}, namespace, steadyFor, after, more...)
}

// startOn is startSteadyFor with a connection of its own.
func startOn(t testing.TB, over *wire, namespace string, steadyFor time.Duration, after func(*belay, write), more ...func(ctrl.Manager) error) *belay {
	t.Helper()
	b := &belay{wire: over, done: make(chan struct{})}
	b.wire.after = func(w write) {
		b.writes.Add(1)
		if after != nil {
			after(b, w)
		}
	}
	config := rest.CopyConfig(kube.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	config.Wrap(func(under http.RoundTripper) http.RoundTripper {
		b.wire.under = b.requests.Wrap(under)
		return b.wire
	})
	skip := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Client: client.Options{Cache: &client.CacheOptions{Unstructured: true}}, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &skip}})
	if err == nil {
		err = register(mgr, namespace, steadyFor, &b.looks)
	}
	for _, add := range more {
		if err == nil {
			err = add(mgr)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	go func() {
		defer close(b.done)
		if err := mgr.Start(ctx); err != nil && !b.wire.dead.Load() {
			t.Errorf("Belay stops: %v", err)
		}
	}()
	return b
}

// register registers the reconcilers that decide.
func register(mgr ctrl.Manager, namespace string, steadyFor time.Duration, looks *atomic.Int64) error {
	if err := wake.Index(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	probing := rest.CopyConfig(mgr.GetConfig())
	probing.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:belay:guard-probe"}
	probe, err := client.New(probing, client.Options{Scheme: scheme, Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return err
	}
	guard := counted{&gates.Guard{Client: mgr.GetClient(), Probe: probe, Clock: clock.RealClock{}, Stands: time.Hour, Workers: 1}, looks}
	if err := guard.SetupWithManager(mgr); err != nil {
		return err
	}
	frozen, err := freezes.NewCache(mgr, map[string]cache.Config{namespace: {}})
	if err != nil {
		return err
	}
	tracked := rollout.TrackWrites(mgr.GetClient())
	rollouts := &rollout.Reconciler{Client: tracked, Live: mgr.GetAPIReader(), Router: gateway.New(tracked, v1alpha1.FieldManager), Routes: gateway.Routes(), ByPods: bypods.New(mgr.GetClient()), InOrder: bypods.NewOrdered(mgr.GetClient()), Guard: guard, Freezes: frozen,
		Events: mgr.GetEventRecorder("belay"), Clock: clock.RealClock{}, Version: "test", Watchdog: watchdog, ReleaseTimeout: time.Minute, SteadyFor: steadyFor, Workers: 2}
	return rollouts.SetupWithManager(mgr)
}

// kill ends the process where it stands: nothing of it reaches the API server
// any more.
func (b *belay) kill() {
	b.wire.dead.Store(true)
	b.stop()
}

// end stops the process and waits for it.
func (b *belay) end() {
	b.stop()
	<-b.done
}

// locks reports whether a write has locked the Deployment for the handover.
func (w write) locks() bool {
	return w.resource == "deployments" && w.verb == http.MethodPatch && strings.Contains(w.body, "belay.dev~1handover") && strings.Contains(w.body, `"add"`)
}

// gives reports whether a write has made the Deployment a set's owner.
func (w write) gives() bool {
	return w.resource == "replicasets" && w.verb == http.MethodPatch && strings.Contains(w.body, "ownerReferences") && strings.Contains(w.body, `"Deployment"`)
}
