package orphans

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
)

// Runs deletes the finished runs of Rollouts that are gone, when nobody needs
// them any more. Those of a Rollout that exists are its own loop's.
type Runs struct {
	// Client reads Rollouts from the cache and deletes; Live reads past the cache.
	// Whole runs are read live: nothing else needs them in memory.
	Client client.Client
	Live   client.Reader
	Clock  clock.PassiveClock
	// Keep is for how long after its end a run stays, such as 30 days.
	Keep time.Duration
	// Limit is how many of them stay for each Rollout's name, the newest.
	Limit int
}

// Reconcile looks at the runs of one Rollout's name.
func (r *Runs) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rollout, err := find(ctx, r.Client, r.Live, req.NamespacedName)
	if err != nil || rollout != nil {
		return reconcile.Result{}, err
	}
	runs := &v1alpha1.RolloutRunList{}
	err = r.Live.List(ctx, runs, client.InNamespace(req.Namespace), client.MatchingLabels{v1alpha1.LabelRollout: req.Name})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("list the runs of Rollout %s: %w", req.NamespacedName, err)
	}
	expired, next := evidence.Abandoned(runs.Items, r.Clock.Now(), r.Keep, r.Limit)
	for i := range expired {
		run := &expired[i]
		if err := r.Client.Delete(ctx, run, client.Preconditions{UID: &run.UID}); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("delete run %s, whose Rollout is gone: %w", run.Name, err)
		}
		log.FromContext(ctx).Info("deleted a run whose Rollout is gone", "run", run.Name, "outcome", run.Status.Outcome)
	}
	return reconcile.Result{RequeueAfter: next}, nil
}

// SetupWithManager registers the reconciler and what wakes it: a run that is new
// to the controller or finished, as metadata, and the end of a Rollout. One
// worker is enough: nothing waits for it.
func (r *Runs) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("orphaned-runs").
		WatchesMetadata(&v1alpha1.RolloutRun{}, handler.EnqueueRequestsFromMapFunc(rolloutOf), builder.WithPredicates(predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool {
				return e.ObjectOld.GetLabels()[v1alpha1.LabelOutcome] != e.ObjectNew.GetLabels()[v1alpha1.LabelOutcome]
			},
			DeleteFunc: func(event.DeleteEvent) bool { return false },
		})).
		Watches(&v1alpha1.Rollout{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(r)
}

func rolloutOf(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[v1alpha1.LabelRollout]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}
