// Package rollout is the loop that takes Rollouts from one version to the next. It
// observes, decides, records and acts, and talks to the API server only: the linter
// sees that it imports no client of metrics.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

// Reconciler takes Rollouts from one version to the next.
type Reconciler struct {
	// Client reads from a cache. One that TrackWrites returned spares looks at a cache that
	// is behind the Reconciler's own writes.
	Client client.Client
	// Live reads past the cache, where a decision must see our own last write.
	Live client.Reader
	// Router shares requests through routes, and ByPods where a Rollout names none: by
	// the number of pods. InOrder does that of StatefulSets.
	Router, ByPods, InOrder traffic.Router
	// Routes are an empty object of each kind of route that wakes the loop, in the form
	// that Router reads.
	Routes []client.Object
	// Guard answers whether a pushed template would wait. It never waits itself.
	Guard Gate
	// Freezes is a cache of freezes alone, which freezes.NewCache makes. Without a manager they
	// are read by Client.
	Freezes cache.Cache
	Events  events.EventRecorder
	Clock   clock.PassiveClock
	// Version of the controller, for the evidence.
	Version string
	// Watchdog bounds how long a lost watch event can delay a rollout.
	Watchdog time.Duration
	// SteadyFor is how long stable and canary must have had the same number of pods
	// before a handover: one sync period of the horizontal pod autoscaler.
	SteadyFor time.Duration
	// ReleaseTimeout bounds how long a deletion waits for an orderly release.
	ReleaseTimeout time.Duration
	// Workers reconcile at once, each another Rollout.
	Workers int
	// Stop ends the process for a reason. Nil means that it only goes on deciding nothing
	// about the Rollout.
	Stop func(error)

	// freezes reads them without waiting.
	freezes client.Reader
	inputs  inputs
	written written
}

// Reconcile waits until the cache shows this process's own last writes. Then it takes
// one look and one decision, records it and carries it out.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	own, ctx := r.written.of(ctx, req.NamespacedName, r.Clock)
	if !own.seen(ctx, r.Client) {
		return reconcile.Result{RequeueAfter: againAfter}, nil
	}
	rollout := &v1alpha1.Rollout{}
	if err := r.Client.Get(ctx, req.NamespacedName, rollout); err != nil {
		if apierrors.IsNotFound(err) {
			hideState(req.NamespacedName)
			r.inputs.forget(req.NamespacedName)
			r.written.forget(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if rollout.DeletionTimestamp != nil && !hasFinalizer(rollout) {
		return reconcile.Result{}, nil
	}
	l, err := r.observe(ctx, rollout, own.wroteLast(rollout))
	if downgrade := (DowngradeError{}); errors.As(err, &downgrade) {
		r.refuseDowngrade(downgrade)
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("observe: %w", err)
	}
	t := plan.Transition(l.input)
	violations := invariants.Check(l.input, t.Decision)
	t = invariants.Freeze(l.input, t, violations)
	d, err := r.record(ctx, l, t)
	if err != nil {
		return wake.AfterConflict(ctx, "record", err)
	}
	r.tellViolations(rollout, violations)
	showState(d.recorded)
	if err := r.carryOut(ctx, d, t.Effects); err != nil {
		return wake.AfterConflict(ctx, "act", err)
	}
	// There may be no event that wakes a Rollout whose record is still owed.
	var owed time.Duration
	if d.owed {
		owed = r.Watchdog
	}
	return reconcile.Result{RequeueAfter: wakeUp(t.Recheck, owed), Priority: new(wake.Priority(d.recorded))}, nil
}

// podsOfRuns wakes the Rollout whose run in progress owns the pod.
func (r *Reconciler) podsOfRuns() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		owner := metav1.GetControllerOfNoCopy(o)
		if owner == nil || owner.Kind != "ReplicaSet" {
			return nil
		}
		set := workload.NewSet()
		if err := r.Client.Get(ctx, types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}, set); err != nil {
			// Gone, or not seen yet: its own events wake the Rollout.
			return nil
		}
		name := set.GetLabels()[v1alpha1.LabelRollout]
		if name == "" || set.GetLabels()[v1alpha1.LabelRun] == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
	})
}

func wakeUp(times ...time.Duration) time.Duration {
	var first time.Duration
	for _, t := range times {
		if t > 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}

// SetupWithManager registers the reconciler and what wakes it. Work for one event
// does not grow with the number of Rollouts: they are found by the cache's
// indexes and by labels (package wake).
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	c := r.Client
	r.freezes = freezes.Synced(r.Freezes, mgr.GetCache())
	builder := ctrl.NewControllerManagedBy(mgr).
		Named("rollout").
		Watches(&v1alpha1.Rollout{}, wake.Self()).
		Watches(workload.NewDeployment(), wake.RolloutsByWorkload(c)).
		Watches(workload.NewStatefulSet(), wake.RolloutsByWorkload(c)).
		Watches(workload.NewSet(), wake.RolloutsByLabel(c)).
		Watches(&autoscalingv2.HorizontalPodAutoscaler{}, wake.RolloutsByAutoscaler(c), builder.WithPredicates(wake.AutoscalerChanged())).
		Watches(&corev1.Service{}, wake.RolloutsByService(c)).
		Watches(&corev1.Service{}, wake.RolloutsByLabel(c)).
		Watches(&discoveryv1.EndpointSlice{}, wake.RolloutsByService(c)).
		Watches(&discoveryv1.EndpointSlice{}, wake.RolloutsByLabel(c)).
		Watches(&corev1.Pod{}, r.podsOfRuns()).
		Watches(&corev1.Pod{}, wake.RolloutsByPod(c)).
		Watches(workload.NewControllerRevision(), wake.RolloutsByPod(c)).
		Watches(&v1alpha1.RolloutRun{}, wake.RolloutsByRun(c)).
		Watches(&v1alpha1.Guardrail{}, wake.RolloutsByGuardrail(c), builder.WithPredicates(wake.GuardrailChanged())).
		WatchesRawSource(r.Guard.Changes()).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers})
	for _, freeze := range freezes.Kinds() {
		builder = builder.WatchesRawSource(wake.Patiently(wake.Optional(r.Freezes, mgr.GetRESTMapper(), freeze, wake.RolloutsOfFreeze(c), r.Watchdog), freezes.Patience))
	}
	for _, route := range r.Routes {
		kind := route.GetObjectKind().GroupVersionKind().Kind
		builder = builder.WatchesRawSource(wake.Optional(mgr.GetCache(), mgr.GetRESTMapper(), route, wake.RolloutsByRoute(c, kind), r.Watchdog))
	}
	return builder.Complete(r)
}
