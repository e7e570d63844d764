package orphans

import (
	"cmp"
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

// ReasonUnlabelled is the reason of the event on a workload whose labels were removed.
const ReasonUnlabelled = "RolloutGone"

// lookAgain is the delay of the next try when a workload changed during the write.
const lookAgain = 5 * time.Second

// Labels removes Belay's labels from Deployments, or from StatefulSets, that have no Rollout,
// so that the guard does not hold them for ever: the Rollout that the label names does not
// exist, or is for another workload, as when a manifest was copied with its labels.
type Labels struct {
	// Kind of the workloads: Deployment, also when it is empty, or StatefulSet.
	Kind string
	// Client reads from the cache and writes; Live reads from the API server.
	Client client.Client
	Live   client.Reader
	Events events.EventRecorder
	// FieldManager of the write.
	FieldManager string
	Workers      int
}

// workload is one of the kind to read into.
func (r *Labels) workload() client.Object {
	if r.Kind == v1alpha1.KindStatefulSet {
		return &appsv1.StatefulSet{}
	}
	return &appsv1.Deployment{}
}

// isFor reports whether a Rollout names a workload of the kind.
func (r *Labels) isFor(rollout *v1alpha1.Rollout, name string) bool {
	ref := rollout.Spec.WorkloadRef
	return ref.Name == name && ref.Ordered() == (r.Kind == v1alpha1.KindStatefulSet)
}

// Reconcile checks one workload.
func (r *Labels) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	w := r.workload()
	if err := r.Client.Get(ctx, req.NamespacedName, w); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	name := w.GetLabels()[v1alpha1.LabelRollout]
	if name == "" || w.GetDeletionTimestamp() != nil {
		return reconcile.Result{}, nil
	}
	rollout, err := find(ctx, r.Client, r.Live, types.NamespacedName{Namespace: w.GetNamespace(), Name: name})
	if err != nil || rollout != nil && r.isFor(rollout, w.GetName()) {
		return reconcile.Result{}, err
	}
	removed, err := r.remove(ctx, w)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		// It was changed or deleted meanwhile: try again with what the cache has then.
		log.FromContext(ctx).V(1).Info("labels not removed, trying again", "error", err.Error())
		return reconcile.Result{RequeueAfter: lookAgain}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("remove the labels of Rollout %q from %s %s: %w", name, kindOf(r.Kind), w.GetName(), err)
	}
	why := fmt.Sprintf("Rollout %q does not exist", name)
	if rollout != nil {
		why = fmt.Sprintf("Rollout %q is for %s %q", name, kindOf(rollout.Spec.WorkloadRef.Kind), rollout.Spec.WorkloadRef.Name)
	}
	r.Events.Eventf(w, nil, corev1.EventTypeNormal, ReasonUnlabelled, "RemoveLabels", "%s", unlabelledMessage(why, w, removed))
	return reconcile.Result{}, nil
}

func kindOf(kind string) string { return cmp.Or(kind, v1alpha1.KindDeployment) }

// remove removes the labels in one patch, which tests the resource version that was
// read.
func (r *Labels) remove(ctx context.Context, w client.Object) (removed []string, err error) {
	var patch jsonpatch.Patch
	patch.Test(w.GetResourceVersion(), "metadata", "resourceVersion")
	removed = patch.RemoveLabels(w.GetLabels(), v1alpha1.WorkloadLabels()...)
	body, err := patch.Encode()
	if err != nil {
		return nil, err
	}
	target := r.workload()
	target.SetNamespace(w.GetNamespace())
	target.SetName(w.GetName())
	return removed, r.Client.Patch(ctx, target, client.RawPatch(types.JSONPatchType, body), client.FieldOwner(r.FieldManager))
}

// unlabelledMessage says what was done, and what a person may have to do. Names have at
// most 253 bytes each, so it is shorter than the 1024 bytes that an event may have.
func unlabelledMessage(why string, w client.Object, removed []string) string {
	said := []string{fmt.Sprintf("%s: removed the labels %s; %s", why, strings.Join(removed, ", "), noLonger(w))}
	if rejected := w.GetLabels()[v1alpha1.LabelRejected]; rejected != "" {
		said = append(said, fmt.Sprintf("Its present template, revision %s, was rejected before.", rejected))
	}
	if held := stillHeld(w); held != "" {
		said = append(said, held)
	}
	if service := w.GetLabels()[v1alpha1.LabelNarrowed]; service != "" {
		said = append(said, fmt.Sprintf("Service %s may still select the pods of one version only: remove pod-template-hash from its selector.", service))
	}
	return strings.Join(said, " ")
}

func noLonger(w client.Object) string {
	if _, ordered := w.(*appsv1.StatefulSet); ordered {
		return "Belay no longer holds this StatefulSet when its template changes."
	}
	return "Belay no longer pauses this Deployment when its template changes."
}

// stillHeld says how to let a workload roll that is held; empty when it is not.
func stillHeld(w client.Object) string {
	switch w := w.(type) {
	case *appsv1.Deployment:
		if w.Spec.Paused {
			return fmt.Sprintf("It stays paused; to roll out its present template: kubectl -n %s rollout resume deployment/%s.", w.Namespace, w.Name)
		}
	case *appsv1.StatefulSet:
		update := w.Spec.UpdateStrategy.RollingUpdate
		if update != nil && update.Partition != nil && *update.Partition > 0 {
			return fmt.Sprintf(`It keeps its partition of %d, below which pods keep their version; to roll out its present template: kubectl -n %s patch statefulset %s --type=merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'.`, *update.Partition, w.Namespace, w.Name)
		}
	}
	return ""
}

// SetupWithManager registers the reconciler and its watches: labelled workloads, and
// deleted Rollouts.
func (r *Labels) SetupWithManager(mgr ctrl.Manager) error {
	labelled := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelRollout] != "" })
	name := "orphaned-labels"
	if r.Kind == v1alpha1.KindStatefulSet {
		name += "-statefulset"
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		For(r.workload(), builder.WithPredicates(labelled)).
		Watches(&v1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(r.workloadOf), builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

func (r *Labels) workloadOf(_ context.Context, o client.Object) []reconcile.Request {
	rollout, ok := o.(*v1alpha1.Rollout)
	if !ok || !r.isFor(rollout, rollout.Spec.WorkloadRef.Name) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: rollout.Namespace, Name: rollout.Spec.WorkloadRef.Name}}}
}
