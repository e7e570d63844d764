package rollout

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/jsonpatch"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/runs"
	"belay.dev/belay/controllers/workload"
)

// actOnWorkload carries out the effects on the Deployment and its ReplicaSets.
func (r *Reconciler) actOnWorkload(ctx context.Context, d decided, effect plan.Effect) error {
	if d.ordered() {
		return r.actOnStatefulSet(ctx, d, effect)
	}
	switch e := effect.(type) {
	case plan.ScaleCanary:
		return r.scaleCanary(ctx, d, e.Replicas)
	case plan.RemoveCanary:
		return r.removeSet(ctx, d, d.canary, e.Reject)
	case plan.RemoveLeftover:
		return r.removeSet(ctx, d, d.sets[e.Name], false)
	case plan.HandOver:
		return r.handOver(ctx, d, e)
	case plan.FenceCanary:
		return r.fenceCanary(ctx, d, e.Epoch)
	case plan.ResizeHanded:
		patch, err := workload.ResizeWith(d.canary.object, d.workload)
		return r.patch(ctx, d.canary.object, patch, err)
	case plan.Unlock:
		patch, err := workload.Unlock(d.workload)
		return r.patch(ctx, d.workload, patch, err)
	case plan.Unpause:
		if d.input.Workload.Declared.Revision != e.Revision {
			return apierrors.NewConflict(appsv1.Resource("deployments"), d.workload.GetName(), fmt.Errorf("it declares another revision now"))
		}
		var unmarked []string
		if e.Unmark {
			unmarked = []string{v1alpha1.LabelRun, v1alpha1.LabelNarrowed}
		}
		patch, err := workload.Unpause(d.workload, e.Revision, unmarked...)
		return r.patch(ctx, d.workload, patch, err)
	case plan.Pause:
		patch, err := workload.Pause(d.workload)
		return r.patch(ctx, d.workload, patch, err)
	case plan.RaiseStable:
		return r.raiseStable(ctx, d, e.Replicas)
	case plan.TakeOut:
		return r.takeOut(ctx, d, e)
	case plan.TakeBack:
		return r.takeBack(ctx, d, e.Name)
	default:
		return fmt.Errorf("unknown effect %T: this is a bug in Belay", effect)
	}
}

// patch sends a JSON patch; a nil one has nothing to say. A test in it that fails
// means that the object has changed since it was read, which is a conflict.
func (r *Reconciler) patch(ctx context.Context, object *unstructured.Unstructured, patch []byte, err error) error {
	if err != nil || patch == nil {
		return err
	}
	err = r.Client.Patch(ctx, object.DeepCopy(), client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(v1alpha1.FieldManager))
	return asConflict(object, err)
}

func (r *Reconciler) mergePatch(ctx context.Context, object *unstructured.Unstructured, patch []byte, err error) error {
	if err != nil || patch == nil {
		return err
	}
	return r.Client.Patch(ctx, object.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(v1alpha1.FieldManager))
}

func asConflict(object *unstructured.Unstructured, err error) error {
	if !jsonpatch.TestFailed(err) {
		return err
	}
	return apierrors.NewConflict(appsv1.Resource(object.GetKind()), object.GetName(), err)
}

// scaleCanary takes the canary from the Deployment's idle sets, or makes it, when
// there is none. Its owner is the run, which the cache may not show yet.
func (r *Reconciler) scaleCanary(ctx context.Context, d decided, replicas int32) error {
	if canary := d.canary.object; canary != nil {
		patch, err := workload.Resize(canary, replicas)
		return r.patch(ctx, canary, patch, err)
	}
	if run := d.recorded.Status.Run; d.run == nil || d.run.Name != run {
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("rolloutruns").GroupResource(), run, fmt.Errorf("the cache does not show it yet"))
	}
	if idle, ok := d.borrowable(d.run.Spec.Revision); ok {
		patch, err := workload.TakeOwner(idle.object, d.workload, d.run)
		return r.patch(ctx, idle.object, patch, err)
	}
	if err := r.stillDecided(ctx, d); err != nil {
		return err
	}
	set, err := workload.Canary(d.run, d.workload, replicas)
	if err != nil {
		return apierrors.NewConflict(appsv1.Resource("deployments"), d.workload.GetName(), err)
	}
	err = r.Client.Create(ctx, set, client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return r.nameTaken(ctx, d, set, err)
	}
	return err
}

// decisionStands is how long the answer to the decision's record counts for one to
// the question whether it still stands: about what a request may take.
const decisionStands = time.Second

// stillDecided asks the API server whether the run goes on as it was decided, unless
// it has just answered that by taking the record. A create carries no resource
// version: that of a controller that was suspended in between must not come after
// the run.
func (r *Reconciler) stillDecided(ctx context.Context, d decided) error {
	if r.Clock.Since(d.input.Now) < decisionStands {
		return nil
	}
	live := &v1alpha1.Rollout{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(d.recorded), live); err != nil {
		return fmt.Errorf("read the Rollout: %w", err)
	}
	same := live.UID == d.recorded.UID && live.Status.Run == d.recorded.Status.Run && live.Status.Epoch == d.recorded.Status.Epoch
	if !same || live.Status.Phase != d.recorded.Status.Phase || live.DeletionTimestamp != nil && d.recorded.DeletionTimestamp == nil {
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), live.Name, fmt.Errorf("another decision was taken meanwhile"))
	}
	return nil
}

// cacheCatchesUp is how long the cache may take to show a write of our own.
const cacheCatchesUp = 2 * time.Second

// nameTaken tells our own last write, which the cache has not caught up with,
// from a ReplicaSet that stays in the way: that one is shown, and tried again with
// the ordinary back-off.
func (r *Reconciler) nameTaken(ctx context.Context, d decided, set *unstructured.Unstructured, err error) error {
	present := workload.NewSet()
	if readErr := r.Live.Get(ctx, client.ObjectKeyFromObject(set), present); readErr != nil {
		return client.IgnoreNotFound(readErr)
	}
	made := present.GetCreationTimestamp()
	switch {
	case present.GetDeletionTimestamp() != nil:
		return fmt.Errorf("ReplicaSet %s is being deleted since %s: Belay makes it again when it is gone; finalizers that keep it: %q",
			set.GetName(), present.GetDeletionTimestamp().UTC().Format(time.RFC3339), present.GetFinalizers())
	case !metav1.IsControlledBy(present, d.run):
		return fmt.Errorf("ReplicaSet %s exists and is not of this run: delete it, Belay needs that name", set.GetName())
	case r.Clock.Since(made.Time) < cacheCatchesUp:
		return apierrors.NewConflict(appsv1.Resource("replicasets"), set.GetName(), err)
	default:
		return fmt.Errorf("ReplicaSet %s was made for this run at %s, and is not among those that Deployment %s selects: compare its labels with the Deployment's selector; if they do not match, delete it and Belay makes it again",
			set.GetName(), made.UTC().Format(time.RFC3339), d.workload.GetName())
	}
}

// removeSet deletes a run's set. One that was borrowed goes back to the
// Deployment, empty, unless it holds a rejected version: the Deployment controller
// would scale that up when a held Deployment comes back from zero.
func (r *Reconciler) removeSet(ctx context.Context, d decided, set seenSet, reject bool) error {
	if set.object == nil {
		return nil
	}
	if !set.Borrowed || reject || d.workload == nil {
		return r.deleteSet(ctx, set.object, client.Preconditions{UID: new(set.UID)})
	}
	if set.Desired == 0 && set.Pods == 0 {
		patch, err := workload.Return(set.object, d.workload)
		return r.patch(ctx, set.object, patch, err)
	}
	patch, err := workload.Resize(set.object, 0)
	return r.patch(ctx, set.object, patch, err)
}

func (r *Reconciler) deleteSet(ctx context.Context, set *unstructured.Unstructured, provided client.Preconditions) error {
	err := r.Client.Delete(ctx, set, provided, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}

// handOver locks the Deployment and gives it the canary. Between the two lie the
// milliseconds in which an autoscaler could come: what the lock's answer says of
// the size is what the second write is decided on.
func (r *Reconciler) handOver(ctx context.Context, d decided, e plan.HandOver) error {
	patch, err := workload.Lock(d.workload, d.recorded.Status.Run)
	if err != nil {
		return err
	}
	locked := d.workload.DeepCopy()
	if patch != nil {
		if err := asConflict(locked, r.Client.Patch(ctx, locked, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(v1alpha1.FieldManager))); err != nil {
			return err
		}
	}
	declared, err := workload.RevisionOf(workload.Template(locked))
	if err != nil {
		return err
	}
	same := declared == d.recorded.Status.Candidate.Revision && (e.Native || workload.Replicas(locked) == e.Replicas)
	if !same || d.canary.Desired != e.Replicas {
		return apierrors.NewConflict(appsv1.Resource("deployments"), locked.GetName(), fmt.Errorf("its size or template changed just before the handover"))
	}
	patch, err = workload.GiveOwner(d.canary.object, locked)
	return r.patch(ctx, d.canary.object, patch, err)
}

// fenceCanary leaves a canary alone that is gone: no handover can give it away.
func (r *Reconciler) fenceCanary(ctx context.Context, d decided, epoch int64) error {
	patch := workload.Fence(d.canary.object, d.recorded.Name, epoch)
	return client.IgnoreNotFound(r.mergePatch(ctx, d.canary.object, patch, nil))
}

// raiseStable scales the stable set up, or makes it again as the run has pinned it.
func (r *Reconciler) raiseStable(ctx context.Context, d decided, replicas int32) error {
	if stable := d.stable.object; stable != nil {
		patch, err := workload.Resize(stable, replicas)
		return r.patch(ctx, stable, patch, err)
	}
	set, err := workload.StableAgain(d.run, d.workload, d.recorded.Status.Stable.Revision, replicas)
	if err != nil {
		return err
	}
	err = r.Client.Create(ctx, set, client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return apierrors.NewConflict(appsv1.Resource("replicasets"), set.GetName(), err)
	}
	return err
}

func (r *Reconciler) takeOut(ctx context.Context, d decided, e plan.TakeOut) error {
	set := d.sets[e.Name].object
	if set == nil {
		return nil
	}
	// Caches of two kinds have no order between them: the Deployment may roll
	// although it seems paused.
	live := workload.NewDeployment()
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(d.workload), live); err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	if !workload.Paused(live) || live.GetUID() != d.workload.GetUID() {
		return apierrors.NewConflict(appsv1.Resource("deployments"), live.GetName(), fmt.Errorf("it is not paused any more"))
	}
	if e.Delete {
		return r.deleteSet(ctx, set, client.Preconditions{UID: new(set.GetUID()), ResourceVersion: new(set.GetResourceVersion())})
	}
	patch, err := workload.Resize(set, 0)
	return r.patch(ctx, set, patch, err)
}

// takeBack asks the API server whether the Deployment is still held and the run
// there: the garbage collector deletes the set of a run that is gone.
func (r *Reconciler) takeBack(ctx context.Context, d decided, name string) error {
	set := d.sets[name].object
	if set == nil || d.run == nil {
		return nil
	}
	if err := r.stillDecided(ctx, d); err != nil {
		return err
	}
	run := &v1alpha1.RolloutRun{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(d.run), run); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read the run: %w", err)
	}
	live := workload.NewDeployment()
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(d.workload), live); err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	if run.DeletionTimestamp != nil && !runs.Kept(run) {
		return fmt.Errorf("run %s is being deleted: ReplicaSet %s is not given back to it", run.Name, name)
	}
	if run.UID != d.run.UID || !workload.Paused(live) {
		return apierrors.NewConflict(appsv1.Resource("replicasets"), name, fmt.Errorf("its run has gone, or the Deployment is not paused any more"))
	}
	patch, err := workload.TakeBack(set, live, d.run)
	return r.patch(ctx, set, patch, err)
}
