package rollout

import (
	"context"
	"fmt"
	"strconv"
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
	"belay.dev/belay/controllers/workload"
)

// actOnWorkload carries out the effects on the Deployment and its ReplicaSets.
func (r *Reconciler) actOnWorkload(ctx context.Context, w *world, effect plan.Effect) error {
	switch e := effect.(type) {
	case plan.ScaleCanary:
		return r.scaleCanary(ctx, w, e.Replicas)
	case plan.RemoveCanary:
		return r.removeSet(ctx, w, w.canary, e.Reject)
	case plan.RemoveLeftover:
		return r.removeSet(ctx, w, w.sets[e.Name], false)
	case plan.HandOver:
		return r.handOver(ctx, w, e)
	case plan.FenceCanary:
		return r.fenceCanary(ctx, w, e.Epoch)
	case plan.ResizeHanded:
		patch, err := workload.ResizeWith(w.canary, w.deployment)
		return r.patch(ctx, w.canary, patch, err)
	case plan.Unlock:
		patch, err := workload.Unlock(w.deployment)
		return r.patch(ctx, w.deployment, patch, err)
	case plan.Unpause:
		if w.input.Workload.Declared.Revision != e.Revision {
			return apierrors.NewConflict(appsv1.Resource("deployments"), w.deployment.GetName(), fmt.Errorf("it declares another revision now"))
		}
		var unmarked []string
		if e.Unmark {
			unmarked = []string{v1alpha1.LabelRun, v1alpha1.LabelNarrowed}
		}
		patch, err := workload.Unpause(w.deployment, e.Revision, unmarked...)
		return r.patch(ctx, w.deployment, patch, err)
	case plan.Pause:
		patch, err := workload.Pause(w.deployment)
		return r.patch(ctx, w.deployment, patch, err)
	case plan.RaiseStable:
		return r.raiseStable(ctx, w, e.Replicas)
	case plan.TakeOut:
		return r.takeOut(ctx, w, e)
	case plan.TakeBack:
		return r.takeBack(ctx, w, e.Name)
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
// there is none.
func (r *Reconciler) scaleCanary(ctx context.Context, w *world, replicas int32) error {
	if w.canary != nil {
		patch, err := workload.Resize(w.canary, replicas)
		return r.patch(ctx, w.canary, patch, err)
	}
	if idle := w.borrowable(w.run.Spec.Revision); idle != nil {
		patch, err := workload.TakeOwner(idle, w.deployment, w.run)
		return r.patch(ctx, idle, patch, err)
	}
	if err := r.stillDecided(ctx, w); err != nil {
		return err
	}
	set, err := workload.Canary(w.run, w.deployment, replicas)
	if err != nil {
		return apierrors.NewConflict(appsv1.Resource("deployments"), w.deployment.GetName(), err)
	}
	err = r.Client.Create(ctx, set, client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return r.nameTaken(ctx, w, set, err)
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
func (r *Reconciler) stillDecided(ctx context.Context, w *world) error {
	if r.Clock.Since(w.input.Now) < decisionStands {
		return nil
	}
	live := &v1alpha1.Rollout{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(w.rollout), live); err != nil {
		return fmt.Errorf("read the Rollout: %w", err)
	}
	same := live.UID == w.rollout.UID && live.Status.Run == w.rollout.Status.Run && live.Status.Epoch == w.rollout.Status.Epoch
	if !same || live.Status.Phase != w.rollout.Status.Phase || live.DeletionTimestamp != nil && w.rollout.DeletionTimestamp == nil {
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), live.Name, fmt.Errorf("another decision was taken meanwhile"))
	}
	return nil
}

// cacheCatchesUp is how long the cache may take to show a write of our own.
const cacheCatchesUp = 2 * time.Second

// nameTaken tells our own last write, which the cache has not caught up with,
// from a ReplicaSet that stays in the way: that one is shown, and tried again with
// the ordinary back-off.
func (r *Reconciler) nameTaken(ctx context.Context, w *world, set *unstructured.Unstructured, err error) error {
	present := workload.NewSet()
	if readErr := r.Live.Get(ctx, client.ObjectKeyFromObject(set), present); readErr != nil {
		return client.IgnoreNotFound(readErr)
	}
	made := present.GetCreationTimestamp()
	switch {
	case present.GetDeletionTimestamp() != nil:
		return fmt.Errorf("ReplicaSet %s is being deleted since %s: Belay makes it again when it is gone; finalizers that keep it: %q",
			set.GetName(), present.GetDeletionTimestamp().UTC().Format(time.RFC3339), present.GetFinalizers())
	case !metav1.IsControlledBy(present, w.run):
		return fmt.Errorf("ReplicaSet %s exists and is not of this run: delete it, Belay needs that name", set.GetName())
	case r.Clock.Since(made.Time) < cacheCatchesUp:
		return apierrors.NewConflict(appsv1.Resource("replicasets"), set.GetName(), err)
	default:
		return fmt.Errorf("ReplicaSet %s was made for this run at %s, and is not among those that Deployment %s selects: compare its labels with the Deployment's selector; if they do not match, delete it and Belay makes it again",
			set.GetName(), made.UTC().Format(time.RFC3339), w.deployment.GetName())
	}
}

// removeSet deletes a run's set. One that was borrowed goes back to the
// Deployment, empty, unless it holds a rejected version: the Deployment controller
// would scale that up when a held Deployment comes back from zero.
func (r *Reconciler) removeSet(ctx context.Context, w *world, set *unstructured.Unstructured, reject bool) error {
	if set == nil {
		return nil
	}
	_, borrowed := set.GetLabels()[v1alpha1.LabelBorrowed]
	if !borrowed || reject || w.deployment == nil {
		return r.deleteSet(ctx, set, client.Preconditions{UID: new(set.GetUID())})
	}
	read, err := workload.ReadSet(set)
	if err != nil {
		return err
	}
	if read.Desired == 0 && read.Pods == 0 {
		patch, err := workload.Return(set, w.deployment)
		return r.patch(ctx, set, patch, err)
	}
	patch, err := workload.Resize(set, 0)
	return r.patch(ctx, set, patch, err)
}

func (r *Reconciler) deleteSet(ctx context.Context, set *unstructured.Unstructured, provided client.Preconditions) error {
	err := r.Client.Delete(ctx, set, provided, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}

// handOver locks the Deployment and gives it the canary. Between the two lie the
// milliseconds in which an autoscaler could come: what the lock's answer says of
// the size is what the second write is decided on.
func (r *Reconciler) handOver(ctx context.Context, w *world, e plan.HandOver) error {
	patch, err := workload.Lock(w.deployment, w.rollout.Status.Run)
	if err != nil {
		return err
	}
	locked := w.deployment.DeepCopy()
	if patch != nil {
		if err := asConflict(locked, r.Client.Patch(ctx, locked, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(v1alpha1.FieldManager))); err != nil {
			return err
		}
	}
	declared, err := workload.RevisionOf(workload.Template(locked))
	if err != nil {
		return err
	}
	same := declared == w.rollout.Status.Candidate.Revision && (e.Native || workload.Replicas(locked) == e.Replicas)
	if !same || w.canarySet.Desired != e.Replicas {
		return apierrors.NewConflict(appsv1.Resource("deployments"), locked.GetName(), fmt.Errorf("its size or template changed just before the handover"))
	}
	patch, err = workload.GiveOwner(w.canary, locked)
	return r.patch(ctx, w.canary, patch, err)
}

// fenceCanary changes the canary's resource version, which a handover's write
// tests, and tests it itself: a handover that was faster is no fence's to hide.
func (r *Reconciler) fenceCanary(ctx context.Context, w *world, epoch int64) error {
	patch := fmt.Appendf(nil, `{"metadata":{"resourceVersion":%q,"annotations":{%q:%q}}}`, w.canary.GetResourceVersion(), v1alpha1.AnnotationFence+w.rollout.Name, strconv.FormatInt(epoch, 10))
	return client.IgnoreNotFound(r.mergePatch(ctx, w.canary, patch, nil))
}

// raiseStable scales the stable set up, or makes it again as the run has pinned it.
func (r *Reconciler) raiseStable(ctx context.Context, w *world, replicas int32) error {
	if w.stable != nil {
		patch, err := workload.Resize(w.stable, replicas)
		return r.patch(ctx, w.stable, patch, err)
	}
	set, err := workload.StableAgain(w.run, w.deployment, w.rollout.Status.Stable.Revision, replicas)
	if err != nil {
		return err
	}
	err = r.Client.Create(ctx, set, client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return apierrors.NewConflict(appsv1.Resource("replicasets"), set.GetName(), err)
	}
	return err
}

func (r *Reconciler) takeOut(ctx context.Context, w *world, e plan.TakeOut) error {
	set := w.sets[e.Name]
	if set == nil {
		return nil
	}
	// Caches of two kinds have no order between them: the Deployment may roll
	// although it seems paused.
	live := workload.NewDeployment()
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(w.deployment), live); err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	if !workload.Paused(live) || live.GetUID() != w.deployment.GetUID() {
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
func (r *Reconciler) takeBack(ctx context.Context, w *world, name string) error {
	set := w.sets[name]
	if set == nil || w.run == nil {
		return nil
	}
	if err := r.stillDecided(ctx, w); err != nil {
		return err
	}
	run := &v1alpha1.RolloutRun{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(w.run), run); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read the run: %w", err)
	}
	live := workload.NewDeployment()
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(w.deployment), live); err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	if run.DeletionTimestamp != nil {
		return fmt.Errorf("run %s is being deleted: ReplicaSet %s is not given back to it", run.Name, name)
	}
	if run.UID != w.run.UID || !workload.Paused(live) {
		return apierrors.NewConflict(appsv1.Resource("replicasets"), name, fmt.Errorf("its run has gone, or the Deployment is not paused any more"))
	}
	patch, err := workload.TakeBack(set, live, w.run)
	return r.patch(ctx, set, patch, err)
}
