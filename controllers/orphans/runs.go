package orphans

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"belay.dev/belay/controllers/runs"
)

// Runs deletes finished runs of Rollouts that were deleted, when they are old enough.
// The runs of a Rollout that exists are deleted by the Rollout loop.
type Runs struct {
	// Client reads Rollouts from the cache and deletes; Live reads from the API server.
	// Runs are read live, because nothing else needs whole runs in memory.
	Client client.Client
	Live   client.Reader
	Clock  clock.PassiveClock
	// FieldManager of the writes.
	FieldManager string
	// Keep is how long a run stays after its end, such as 30 days.
	Keep time.Duration
	// Limit is how many runs stay for each name of a Rollout; the newest stay.
	Limit int
}

// Reconcile checks the runs of one name of a Rollout.
func (r *Runs) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rollout, err := find(ctx, r.Client, r.Live, req.NamespacedName)
	if err != nil || rollout != nil {
		return reconcile.Result{}, err
	}
	// Somebody may have changed the label of a run: only its spec says whose it is.
	list := &v1alpha1.RolloutRunList{}
	if err := r.Live.List(ctx, list, client.InNamespace(req.Namespace)); err != nil {
		return reconcile.Result{}, fmt.Errorf("list the runs of Rollout %s: %w", req.NamespacedName, err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(run v1alpha1.RolloutRun) bool { return run.Spec.Rollout.Name != req.Name })
	waits := false
	for i := range list.Items {
		run := &list.Items[i]
		if err := r.end(ctx, run); err != nil {
			return reconcile.Result{}, err
		}
		waits = waits || run.Status.Outcome == "" && run.DeletionTimestamp != nil
	}
	expired, next := evidence.Abandoned(list.Items, r.Clock.Now(), r.Keep, r.Limit)
	for i := range expired {
		run := &expired[i]
		if err := r.Client.Delete(ctx, run, client.Preconditions{UID: &run.UID}); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("delete run %s of a deleted Rollout: %w", run.Name, err)
		}
		log.FromContext(ctx).Info("deleted a run of a deleted Rollout", "run", run.Name, "outcome", run.Status.Outcome)
	}
	if waits && (next == 0 || next > patience) {
		next = patience
	}
	return reconcile.Result{RequeueAfter: next}, nil
}

// patience is how often a run that is being deleted, with its Rollout gone, is looked at: when
// its ReplicaSet has gone it may go, and nothing else says so.
const patience = 10 * time.Second

// end sets the outcome of a run whose Rollout was deleted without running its finalizer, and
// takes the run's own finalizer.
// A run that still owns a ReplicaSet stays in progress: its pods may serve requests, and
// would be deleted with it.
func (r *Runs) end(ctx context.Context, run *v1alpha1.RolloutRun) error {
	if run.Status.Outcome != "" {
		if runs.Marked(run) {
			return nil
		}
		return runs.Mark(ctx, r.Client, run, r.FieldManager)
	}
	owns, err := r.ownsSet(ctx, run)
	if err != nil || owns {
		return err
	}
	message := fmt.Sprintf("Rollout %q was deleted and its finalizer removed by hand: decisions that were not recorded yet are lost", run.Spec.Rollout.Name)
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"outcome": v1alpha1.OutcomeCancelled, "message": message, "finishedAt": r.Clock.Now().UTC().Format(time.RFC3339),
	}})
	if err != nil {
		return fmt.Errorf("encode the outcome of run %s: %w", run.Name, err)
	}
	err = r.Client.Status().Patch(ctx, run, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(r.FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("end run %s of a deleted Rollout: %w", run.Name, err)
	}
	return runs.Mark(ctx, r.Client, run, r.FieldManager)
}

func (r *Runs) ownsSet(ctx context.Context, run *v1alpha1.RolloutRun) (bool, error) {
	sets := &metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	err := r.Live.List(ctx, sets, client.InNamespace(run.Namespace), client.MatchingLabels{v1alpha1.LabelRun: v1alpha1.RunLabel(run.Name)})
	if err != nil {
		return false, fmt.Errorf("list the ReplicaSets of run %s: %w", run.Name, err)
	}
	for i := range sets.Items {
		if metav1.IsControlledBy(&sets.Items[i], run) {
			return true, nil
		}
	}
	return false, nil
}

// SetupWithManager registers the reconciler and its watches: runs that are new to the
// controller or finished, as metadata, and deleted Rollouts. One worker is enough,
// because nothing waits for it.
func (r *Runs) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("orphaned-runs").
		WatchesMetadata(&v1alpha1.RolloutRun{}, handler.EnqueueRequestsFromMapFunc(rolloutOf), builder.WithPredicates(predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool {
				deleted := e.ObjectOld.GetDeletionTimestamp() == nil && e.ObjectNew.GetDeletionTimestamp() != nil
				return deleted || e.ObjectOld.GetLabels()[v1alpha1.LabelOutcome] != e.ObjectNew.GetLabels()[v1alpha1.LabelOutcome]
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
