package orphans

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
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
	"belay.dev/belay/controllers/jsonpatch"
)

// ReasonUnlabelled is the reason of the event on a Deployment whose labels were removed.
const ReasonUnlabelled = "RolloutGone"

// lookAgain is the delay of the next try when a Deployment changed during the write.
const lookAgain = 5 * time.Second

// Labels removes Belay's labels from Deployments that have no Rollout, so that the guard
// does not hold them for ever: the Rollout that the label names does not exist, or is for
// another Deployment, as when a manifest was copied with its labels.
type Labels struct {
	// Client reads from the cache and writes; Live reads from the API server.
	Client client.Client
	Live   client.Reader
	Events events.EventRecorder
	// FieldManager of the write.
	FieldManager string
	Workers      int
}

// Reconcile checks one Deployment.
func (r *Labels) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	d := &appsv1.Deployment{}
	if err := r.Client.Get(ctx, req.NamespacedName, d); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	name := d.Labels[v1alpha1.LabelRollout]
	if name == "" || d.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	rollout, err := find(ctx, r.Client, r.Live, types.NamespacedName{Namespace: d.Namespace, Name: name})
	if err != nil || rollout != nil && rollout.Spec.WorkloadRef.Name == d.Name {
		return reconcile.Result{}, err
	}
	removed, err := r.remove(ctx, d)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		// It was changed or deleted meanwhile: try again with what the cache has then.
		log.FromContext(ctx).V(1).Info("labels not removed, trying again", "error", err.Error())
		return reconcile.Result{RequeueAfter: lookAgain}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("remove the labels of Rollout %q from Deployment %s: %w", name, d.Name, err)
	}
	why := fmt.Sprintf("Rollout %q does not exist", name)
	if rollout != nil {
		why = fmt.Sprintf("Rollout %q is for Deployment %q", name, rollout.Spec.WorkloadRef.Name)
	}
	r.Events.Eventf(d, nil, corev1.EventTypeNormal, ReasonUnlabelled, "RemoveLabels", "%s", unlabelledMessage(why, d, removed))
	return reconcile.Result{}, nil
}

// remove removes the labels in one patch, which tests the resource version that was
// read.
func (r *Labels) remove(ctx context.Context, d *appsv1.Deployment) (removed []string, err error) {
	var patch jsonpatch.Patch
	patch.Test(d.ResourceVersion, "metadata", "resourceVersion")
	removed = patch.RemoveLabels(d.Labels, v1alpha1.WorkloadLabels()...)
	body, err := patch.Encode()
	if err != nil {
		return nil, err
	}
	target := &appsv1.Deployment{}
	target.Namespace, target.Name = d.Namespace, d.Name
	return removed, r.Client.Patch(ctx, target, client.RawPatch(types.JSONPatchType, body), client.FieldOwner(r.FieldManager))
}

// unlabelledMessage says what was done, and what a person may have to do. Names have at
// most 253 bytes each, so it is shorter than the 1024 bytes that an event may have.
func unlabelledMessage(why string, d *appsv1.Deployment, removed []string) string {
	said := []string{fmt.Sprintf("%s: removed the labels %s; Belay no longer pauses this Deployment when its template changes.", why, strings.Join(removed, ", "))}
	if rejected := d.Labels[v1alpha1.LabelRejected]; rejected != "" {
		said = append(said, fmt.Sprintf("Its present template, revision %s, was rejected before.", rejected))
	}
	if d.Spec.Paused {
		said = append(said, fmt.Sprintf("It stays paused; to roll out its present template: kubectl -n %s rollout resume deployment/%s.", d.Namespace, d.Name))
	}
	if service := d.Labels[v1alpha1.LabelNarrowed]; service != "" {
		said = append(said, fmt.Sprintf("Service %s may still select the pods of one version only: remove pod-template-hash from its selector.", service))
	}
	return strings.Join(said, " ")
}

// SetupWithManager registers the reconciler and its watches: labelled Deployments, and
// deleted Rollouts.
func (r *Labels) SetupWithManager(mgr ctrl.Manager) error {
	labelled := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelRollout] != "" })
	return ctrl.NewControllerManagedBy(mgr).
		Named("orphaned-labels").
		For(&appsv1.Deployment{}, builder.WithPredicates(labelled)).
		Watches(&v1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(workloadOf), builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

func workloadOf(_ context.Context, o client.Object) []reconcile.Request {
	rollout, ok := o.(*v1alpha1.Rollout)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: rollout.Namespace, Name: rollout.Spec.WorkloadRef.Name}}}
}
