// Package delay measures how long a rollback waits for its turn, on a real API
// server: with thousands of idle Rollouts, a burst of events that concern all of
// them, and an admission webhook that swallows the guard's dry-runs.
package delay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/gates"
	"belay.dev/belay/controllers/wake"
)

const (
	namespace = "shop"
	// trial is the Rollout with a run in progress.
	trial = "trial"
	// allowed is what a rollback may wait for its turn.
	allowed = time.Second
	// workers of each loop, as the controller's default.
	workers = 8
)

// BenchmarkRollbackDelay writes a Fail verdict while a change that concerns every
// Rollout is being worked off, and takes the time until the Rollout loop looks at
// the run. It needs KUBEBUILDER_ASSETS; BELAY_IDLE is the number of idle Rollouts.
// The plain queue is there to compare with: what waits there is behind all others.
func BenchmarkRollbackDelay(b *testing.B) {
	idle := 10_000
	if text := os.Getenv("BELAY_IDLE"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatalf("BELAY_IDLE: %v", err)
		}
		idle = n
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		b.Fatal("KUBEBUILDER_ASSETS is not set: it names the folder of etcd and kube-apiserver")
	}
	ctrllog.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	s := newServer(b)
	s.fill(b, idle)
	for _, priorities := range []bool{true, false} {
		name := "plain queue"
		if priorities {
			name = "priority queue"
		}
		b.Run(fmt.Sprintf("%s/%d idle", name, idle), func(b *testing.B) {
			l := s.start(b, priorities, idle)
			var delays []time.Duration
			for b.Loop() {
				delays = append(delays, l.measure(b))
			}
			slices.Sort(delays)
			worst := delays[len(delays)-1]
			b.ReportMetric(float64(delays[len(delays)/2].Milliseconds()), "median-ms")
			b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
			b.ReportMetric(float64(s.swallowed.Load()), "dry-runs-swallowed")
			if priorities && worst >= allowed {
				b.Errorf("a rollback waited %s for its turn, allowed are %s", worst, allowed)
			}
			if s.swallowed.Load() == 0 {
				b.Error("no dry-run hung: the measurement shows nothing about them")
			}
		})
	}
}

// loop stands for the Rollout loop: it has its queue, its events and its
// priorities, and in place of a decision costs some computing per look.
type loop struct {
	server *server
	client client.Client
	guard  *gates.Guard
	// verdicts are what a look found on the trial's run.
	verdicts chan v1alpha1.VerdictOutcome
	// looks counts those at idle Rollouts since the last burst began.
	looks chan struct{}
}

func (l *loop) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rollout := &v1alpha1.Rollout{}
	if err := l.client.Get(ctx, req.NamespacedName, rollout); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	l.guard.Last(rollout)
	if rollout.Name == trial {
		run := &v1alpha1.RolloutRun{}
		if err := l.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: rollout.Status.Run}, run); err != nil {
			return reconcile.Result{}, err
		}
		l.verdicts <- run.Status.Analysis.Verdict
	} else {
		for range 20 {
			if _, err := json.Marshal(rollout); err != nil {
				return reconcile.Result{}, err
			}
		}
		select {
		case l.looks <- struct{}{}:
		default:
		}
	}
	priority := wake.Priority(rollout)
	return reconcile.Result{RequeueAfter: 30 * time.Second, Priority: &priority}, nil
}

// start runs the guard and the loop until the benchmark ends, and waits until
// every Rollout has been looked at once.
func (s *server) start(b *testing.B, priorities bool, idle int) *loop {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	// A process has each controller once, but for these benchmarks.
	again := true
	mgr, err := ctrl.NewManager(s.config, ctrl.Options{
		Scheme: s.scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &again, UsePriorityQueue: &priorities},
	})
	must(b, err)
	must(b, wake.Index(ctx, mgr.GetFieldIndexer()))
	guard := &gates.Guard{Client: mgr.GetClient(), Probe: s.admin, Clock: clock.RealClock{}, Stands: 5 * time.Minute, Workers: workers}
	l := &loop{server: s, client: mgr.GetClient(), guard: guard, verdicts: make(chan v1alpha1.VerdictOutcome, 1024), looks: make(chan struct{}, 4*idle+16)}
	must(b, guard.SetupWithManager(mgr))
	must(b, ctrl.NewControllerManagedBy(mgr).Named("rollout").
		Watches(&v1alpha1.Rollout{}, wake.Self()).
		Watches(&appsv1.Deployment{}, wake.RolloutsByWorkload(mgr.GetClient())).
		Watches(&v1alpha1.Guardrail{}, wake.RolloutsByGuardrail(mgr.GetClient())).
		Watches(&v1alpha1.RolloutRun{}, wake.RolloutsByRun(mgr.GetClient())).
		WatchesRawSource(guard.Changes()).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(l))
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	b.Cleanup(func() {
		cancel()
		must(b, <-stopped)
	})
	l.drain(b, idle)
	return l
}

// drain waits for that many looks at idle Rollouts.
func (l *loop) drain(b *testing.B, n int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	for range n {
		select {
		case <-l.looks:
		case <-ctx.Done():
			b.Fatal("the loop did not look at all Rollouts within 5 minutes")
		}
	}
}

// measure lets a change concern every Rollout, waits until the loop works on it,
// and writes the verdict. It returns how long the loop took to see it.
func (l *loop) measure(b *testing.B) time.Duration {
	b.Helper()
	for len(l.looks) > 0 {
		<-l.looks
	}
	l.server.touchGuardrail(b)
	l.drain(b, 1)
	written := time.Now()
	l.server.judge(b, v1alpha1.VerdictFail)
	l.await(b, v1alpha1.VerdictFail)
	delay := time.Since(written)
	l.server.judge(b, v1alpha1.VerdictPass)
	l.await(b, v1alpha1.VerdictPass)
	return delay
}

func (l *loop) await(b *testing.B, want v1alpha1.VerdictOutcome) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	for {
		select {
		case got := <-l.verdicts:
			if got == want {
				return
			}
		case <-ctx.Done():
			b.Fatalf("the loop did not see the verdict %s within 2 minutes", want)
		}
	}
}

func newServer(b *testing.B) *server {
	b.Helper()
	s := &server{scheme: runtime.NewScheme()}
	must(b, clientgoscheme.AddToScheme(s.scheme))
	must(b, v1alpha1.AddToScheme(s.scheme))
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd")}, ErrorIfCRDPathMissing: true, Scheme: s.scheme}
	config, err := env.Start()
	must(b, err)
	b.Cleanup(func() { must(b, env.Stop()) })
	s.config = rest.CopyConfig(config)
	s.config.QPS = -1
	s.admin, err = client.New(s.config, client.Options{Scheme: s.scheme})
	must(b, err)
	s.hang(b)
	return s
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
