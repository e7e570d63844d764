// Package controllers holds Belay's reconcilers. The Rollout loop observes,
// decides, records and acts; it talks to the API server only. The analysis loop
// asks metric sources and writes verdicts; it never touches traffic.
package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
)

// RolloutReconciler takes Rollouts from one version to the next.
type RolloutReconciler struct {
	Client client.Client
	// Live reads past the cache, where a decision must see our own last write.
	Live   client.Reader
	Router traffic.Router
	Guard  *GuardProbe
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// Version of the controller, for the evidence.
	Version string
	// Watchdog bounds how long a lost watch event can delay a rollout.
	Watchdog time.Duration
	// ReleaseTimeout bounds how long a deletion waits for an orderly release.
	ReleaseTimeout time.Duration
	// Workers reconcile at once, each another Rollout.
	Workers int
}

// Reconcile takes one look, one decision, and at most one effect.
func (r *RolloutReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rollout := &v1alpha1.Rollout{}
	if err := r.Client.Get(ctx, req.NamespacedName, rollout); err != nil {
		if apierrors.IsNotFound(err) {
			hideConditions(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if rollout.DeletionTimestamp != nil && !hasFinalizer(rollout) {
		return reconcile.Result{}, nil
	}
	w, err := r.observe(ctx, rollout)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("observe: %w", err)
	}
	d := plan.Decide(w.input)
	if err := r.record(ctx, w, d); err != nil {
		return retryOnConflict(ctx, "record", err)
	}
	showConditions(w.rollout)
	if err := r.act(ctx, w, d.Effect); err != nil {
		return retryOnConflict(ctx, "act: "+d.Effect.String(), err)
	}
	// Nothing may happen that would wake a Rollout whose record is still owed.
	var owed time.Duration
	if w.owed {
		owed = r.Watchdog
	}
	return reconcile.Result{RequeueAfter: wakeUp(d.Recheck, w.guardDue, owed)}, nil
}

// retryOnConflict looks again after a lost optimistic lock: somebody else wrote
// first, which is the lock doing its work and no fault worth an error.
func retryOnConflict(ctx context.Context, what string, err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("looking again: the object changed meanwhile", "while", what)
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return reconcile.Result{}, fmt.Errorf("%s: %w", what, err)
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

// SetupWithManager registers the reconciler and what wakes it.
func (r *RolloutReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Rollout{}).
		Owns(&appsv1.ReplicaSet{}).
		Owns(&corev1.Service{}).
		Watches(&appsv1.Deployment{}, r.rolloutsWhere(func(o client.Object, ro *v1alpha1.Rollout) bool {
			return ro.Spec.WorkloadRef.Name == o.GetName()
		})).
		Watches(&gatewayv1.HTTPRoute{}, r.rolloutsWhere(func(o client.Object, ro *v1alpha1.Rollout) bool {
			for _, route := range ro.Spec.Traffic.Routes {
				if route.Name == o.GetName() {
					return true
				}
			}
			return false
		})).
		Watches(&corev1.Pod{}, r.rolloutsWhere(func(o client.Object, ro *v1alpha1.Rollout) bool {
			return o.GetLabels()[v1alpha1.LabelRole] == v1alpha1.RoleCanary && ro.Status.Candidate != nil &&
				o.GetLabels()[v1alpha1.LabelRevision] == ro.Status.Candidate.Revision
		})).
		Watches(&discoveryv1.EndpointSlice{}, r.rolloutsWhere(func(o client.Object, ro *v1alpha1.Rollout) bool {
			service := o.GetLabels()[discoveryv1.LabelServiceName]
			return service == stableService(ro) || service == canaryService(ro)
		})).
		Watches(&v1alpha1.RolloutRun{}, handler.EnqueueRequestsFromMapFunc(rolloutOfRun)).
		Watches(&v1alpha1.Guardrail{}, r.rolloutsWhere(func(o client.Object, ro *v1alpha1.Rollout) bool {
			for _, g := range ro.Spec.Guardrails {
				if g.Name == o.GetName() {
					return true
				}
			}
			return false
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

// rolloutsWhere maps an object to the Rollouts of its namespace that it concerns.
func (r *RolloutReconciler) rolloutsWhere(concerns func(client.Object, *v1alpha1.Rollout) bool) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		rollouts := &v1alpha1.RolloutList{}
		if err := r.Client.List(ctx, rollouts, client.InNamespace(o.GetNamespace())); err != nil {
			log.FromContext(ctx).Error(err, "list the Rollouts an event concerns; the watchdog will look instead")
			return nil
		}
		var requests []reconcile.Request
		for i := range rollouts.Items {
			if concerns(o, &rollouts.Items[i]) {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&rollouts.Items[i])})
			}
		}
		return requests
	})
}

func rolloutOfRun(_ context.Context, o client.Object) []reconcile.Request {
	run, ok := o.(*v1alpha1.RolloutRun)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.Rollout.Name}}}
}
