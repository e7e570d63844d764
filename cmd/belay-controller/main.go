// Command belay-controller runs Belay's reconcilers. It parses the flags and connects the
// packages; it has no logic of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/calendars"
	"belay.dev/belay/controllers/checks"
	"belay.dev/belay/controllers/freezes"
	"belay.dev/belay/controllers/gates"
	"belay.dev/belay/controllers/indicators"
	"belay.dev/belay/controllers/judge"
	"belay.dev/belay/controllers/orphans"
	"belay.dev/belay/controllers/rollout"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/replicas"
	"belay.dev/belay/controllers/wake"
)

// version is set at build time with -ldflags "-X main.version=…".
var version = "development"

// probeEvery is how often the indicators of each guardrail are measured while no run needs
// them.
const probeEvery = 5 * time.Minute

// gather is how long a query waits for other runs to share it.
const gather = 100 * time.Millisecond

type options struct {
	leaderElect    bool
	namespace      string
	namespaces     namespaceList
	metricsAddress string
	metricsSecure  bool
	healthAddress  string
	probeUser      string
	workers        int
	judges         int
	watchdog       time.Duration
	guardRecheck   time.Duration
	releaseTimeout time.Duration
	steadyFor      time.Duration
	qps            float64
	logs           zap.Options
}

func parse() options {
	o := options{}
	flag.BoolVar(&o.leaderElect, "leader-elect", true, "leader election, so that only one of several replicas acts; turn off only to debug a single replica")
	flag.StringVar(&o.namespace, "namespace", "belay", "Belay's own namespace, with the lease and the Secrets of MetricSources and CheckEndpoints")
	flag.Var(&o.namespaces, "namespaces", "comma-separated namespaces whose Rollouts are seen, such as shop,search; without it all. Belay needs no rights in others")
	flag.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of /metrics; 0 turns it off")
	flag.BoolVar(&o.metricsSecure, "metrics-secure", true, "serve /metrics over TLS to clients that may get it (TokenReview and SubjectAccessReview)")
	flag.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flag.StringVar(&o.probeUser, "guard-probe-user", "", "user name for the guard's dry-runs; default: ServiceAccount guard-probe of the namespace")
	flag.IntVar(&o.workers, "workers", 8, "how many Rollouts are reconciled at once")
	flag.IntVar(&o.judges, "judges", 2048, "how many runs are judged at once; most wait for a response that runs share, so many cost little")
	flag.DurationVar(&o.watchdog, "watchdog", 10*time.Second, "interval at which a rollout in progress is checked without an event")
	flag.DurationVar(&o.guardRecheck, "guard-recheck", 5*time.Minute, "how often the guard is checked")
	flag.DurationVar(&o.releaseTimeout, "release-timeout", 2*time.Minute, "how long deleting a Rollout waits for its routes to be restored in order")
	flag.DurationVar(&o.steadyFor, "handover-steady-for", 15*time.Second, "how long stable and canary must have had the same number of pods before a handover: one sync period of the horizontal pod autoscaler")
	flag.Float64Var(&o.qps, "kube-api-qps", 100, "requests per second to the API server; bursts may have twice as many")
	o.logs.BindFlags(flag.CommandLine)
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "belay-controller %s rolls out new versions of Deployments and StatefulSets step by step.\n\nFlags:\n", version)
		flag.PrintDefaults()
	}
	flag.Parse()
	if o.probeUser == "" {
		o.probeUser = "system:serviceaccount:" + o.namespace + ":guard-probe"
	}
	return o
}

func main() {
	o := parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.logs)))
	if err := run(o); err != nil {
		ctrl.Log.WithName("belay").Error(err, "Belay stops")
		os.Exit(1)
	}
}

func run(o options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find a cluster: %w", err)
	}
	config.QPS, config.Burst = float32(o.qps), int(2*o.qps)
	config.UserAgent = "belay-controller/" + version
	if err := requireVersion(config); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctrl.SetupSignalHandler())
	defer stop(nil)
	if err := requireNoDowngrade(ctx, config, o.namespaces); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, managerOptions(o))
	if err != nil {
		return fmt.Errorf("set up the manager: %w", err)
	}
	if err := addReconcilers(mgr, o, stop); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("readyz", healthz.Ping); err != nil {
		return err
	}
	ctrl.Log.WithName("belay").Info("starting Belay", "version", version, "namespace", o.namespace, "namespaces", o.namespaces.String())
	err = mgr.Start(ctx)
	if downgrade := (rollout.DowngradeError{}); errors.As(context.Cause(ctx), &downgrade) {
		return downgrade
	}
	return err
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(gatewayv1.Install(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

func managerOptions(o options) ctrl.Options {
	metrics := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure}
	if o.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return ctrl.Options{
		Scheme: scheme(), Cache: cacheOptions(o.namespaces), Metrics: metrics,
		// Workloads, their versions and routes are read unstructured, from the cache.
		Client:                 client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		HealthProbeBindAddress: o.healthAddress,
		LeaderElection:         o.leaderElect, LeaderElectionID: "belay-controller", LeaderElectionNamespace: o.namespace,
		LeaderElectionLabels: leaderLabels(version),
		// After a graceful exit another replica takes over at once, not after the
		// lease's 15 s.
		LeaderElectionReleaseOnCancel: true,
	}
}

func addReconcilers(mgr ctrl.Manager, o options, stop func(error)) error {
	probe, err := probeClient(mgr, o.probeUser)
	if err != nil {
		return err
	}
	if err := wake.Index(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	guard := &gates.Guard{Client: mgr.GetClient(), Probe: probe, Clock: clock.RealClock{}, Stands: o.guardRecheck, Workers: o.workers}
	if err := guard.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the guard reconciler: %w", err)
	}
	frozen, err := freezes.NewCache(mgr, cacheOptions(o.namespaces).DefaultNamespaces)
	if err != nil {
		return err
	}
	tracked := rollout.TrackWrites(mgr.GetClient())
	rollouts := &rollout.Reconciler{
		Client: tracked, Live: mgr.GetAPIReader(), Router: gateway.New(tracked, v1alpha1.FieldManager), Routes: gateway.Routes(), ByPods: replicas.New(mgr.GetClient()), InOrder: replicas.NewOrdered(mgr.GetClient()),
		Guard: guard, Freezes: frozen, Events: mgr.GetEventRecorder("belay"), Clock: clock.RealClock{}, Version: version,
		Watchdog: o.watchdog, ReleaseTimeout: o.releaseTimeout, SteadyFor: o.steadyFor, Workers: o.workers, Stop: stop,
	}
	if err := rollouts.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the Rollout reconciler: %w", err)
	}
	calendar := &calendars.Reconciler{Client: mgr.GetClient(), Freezes: frozen, Clock: clock.RealClock{}, Every: time.Minute}
	if err := calendar.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the reconciler of freezes: %w", err)
	}
	if err := addJanitors(mgr); err != nil {
		return err
	}
	asked := &checks.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: o.namespace, Clock: clock.RealClock{}, Workers: o.workers}
	if err := asked.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the reconciler of checks: %w", err)
	}
	clients := sources.NewClients(mgr.GetAPIReader(), o.namespace, time.Minute)
	breaker, prober := sources.NewBreaker(), sources.NewProber(clients, clock.RealClock{}, gather)
	analysis := &judge.Reconciler{Client: mgr.GetClient(), Querier: sources.NewQuerier(clients, clock.RealClock{}, gather), Prober: prober, Breaker: breaker, Clock: clock.RealClock{}, Workers: o.judges}
	if err := analysis.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the analysis reconciler: %w", err)
	}
	preflight := &judge.PreflightReconciler{Client: mgr.GetClient(), Sources: clients, Clock: clock.RealClock{}, Workers: o.judges}
	if err := preflight.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the pre-flight reconciler: %w", err)
	}
	status := &indicators.Reconciler{Client: mgr.GetClient(), Prober: prober, Clock: clock.RealClock{}, Every: probeEvery, Workers: o.workers}
	if err := status.SetupWithManager(mgr); err != nil {
		return err
	}
	pinger := &sources.Reconciler{
		Client: mgr.GetClient(), Sources: clients, Breaker: breaker, Events: mgr.GetEventRecorder("belay"), Clock: clock.RealClock{}, Every: 30 * time.Second, Workers: o.workers,
	}
	if err := pinger.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the MetricSource reconciler: %w", err)
	}
	return nil
}

// addJanitors adds the reconcilers that clean up after deleted Rollouts.
func addJanitors(mgr ctrl.Manager) error {
	for _, kind := range []string{v1alpha1.KindDeployment, v1alpha1.KindStatefulSet} {
		labels := &orphans.Labels{Kind: kind, Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder("belay"), FieldManager: v1alpha1.FieldManager, Workers: 1}
		if err := labels.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("set up the clean-up of labels of %ss: %w", kind, err)
		}
	}
	runs := &orphans.Runs{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: clock.RealClock{}, FieldManager: v1alpha1.FieldManager, Keep: runsKeptFor, Limit: orphanedRuns}
	if err := runs.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the clean-up of runs: %w", err)
	}
	return nil
}

// orphanedRuns and runsKeptFor bound the history of deleted Rollouts.
const (
	orphanedRuns = 10
	runsKeptFor  = 30 * 24 * time.Hour
)

// probeClient returns a client with the identity of the guard's dry-runs, which no policy
// exempts.
func probeClient(mgr ctrl.Manager, user string) (client.Client, error) {
	config := rest.CopyConfig(mgr.GetConfig())
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	c, err := client.New(config, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("set up the guard's probe: %w", err)
	}
	return c, nil
}
