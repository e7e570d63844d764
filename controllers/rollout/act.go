package rollout

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/workload"
)

// act carries out one effect of a decision. Every effect is absolute, so that
// repeating it changes nothing, and carries what it was decided on: a resource
// version, a UID or a revision.
func (r *Reconciler) act(ctx context.Context, w *world, effect plan.Effect) error {
	w.target.Epoch = w.rollout.Status.Epoch
	switch e := effect.(type) {
	case plan.AddFinalizer:
		return r.setFinalizer(ctx, w, true)
	case plan.Leave:
		return r.leave(ctx, w)
	case plan.CreateRun:
		return r.createRun(ctx, w)
	case plan.MarkWorkload:
		return r.markWorkload(ctx, w, e.Marks)
	case plan.PointServices:
		if w.rollout.Status.Phase.InRun() {
			// The run may have begun with this decision.
			w.target.CanaryHash = w.canaryHash()
		}
		return r.router(w).Point(ctx, w.target)
	case plan.NarrowService:
		return r.router(w).Narrow(ctx, w.target, e.Hash)
	case plan.SetSplit:
		return r.router(w).Apply(ctx, w.target, traffic.Split{Canary: e.Weight})
	case plan.ReleaseRoute:
		if err := r.router(w).Release(ctx, w.target); err != nil || w.rollout.Status.Phase.InRun() {
			return err
		}
		// Outside a run nothing of Belay's stays, on the Service either.
		return r.router(w).Narrow(ctx, w.target, "")
	default:
		return r.actOnWorkload(ctx, w, effect)
	}
}

func (r *Reconciler) setFinalizer(ctx context.Context, w *world, present bool) error {
	next := w.rollout.DeepCopy()
	if present {
		controllerutil.AddFinalizer(next, v1alpha1.Finalizer)
	} else {
		controllerutil.RemoveFinalizer(next, v1alpha1.Finalizer)
	}
	patch := client.MergeFromWithOptions(w.rollout.DeepCopy(), client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager)))
}

// leave takes the finalizer away last: until then it can be repeated. The pair of
// Services goes whatever the Rollout names now: it may have named routes before.
func (r *Reconciler) leave(ctx context.Context, w *world) error {
	if err := r.Router.Remove(ctx, w.target); err != nil {
		return fmt.Errorf("remove the generated Services: %w", err)
	}
	objects := []*unstructured.Unstructured{w.deployment, w.stable}
	if w.input.Canary.Handed {
		objects = append(objects, w.canary)
	}
	for _, object := range objects {
		if object == nil || object.GetLabels()[v1alpha1.LabelRollout] != w.rollout.Name {
			continue
		}
		patch, err := workload.Unlabel(object)
		if err := r.patch(ctx, object, patch, err); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return r.setFinalizer(ctx, w, false)
}

func (r *Reconciler) markWorkload(ctx context.Context, w *world, marks v1alpha1.Marks) error {
	patch, err := workload.Mark(w.deployment, marks)
	if err := r.patch(ctx, w.deployment, patch, err); err != nil {
		return err
	}
	if w.stable == nil {
		return nil
	}
	patch, err = workload.MarkSet(w.stable, w.rollout.Name, v1alpha1.RoleStable)
	return r.mergePatch(ctx, w.stable, patch, err)
}

// createRun pins the run's inputs. Finding it there already is success when it
// is this Rollout's.
func (r *Reconciler) createRun(ctx context.Context, w *world) error {
	run, err := r.buildRun(w)
	if err != nil {
		return err
	}
	err = r.Client.Create(ctx, run, client.FieldOwner(v1alpha1.FieldManager))
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	found := &v1alpha1.RolloutRun{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(run), found); err != nil {
		// The cache has not seen it yet; the next look will.
		return client.IgnoreNotFound(err)
	}
	if found.Spec.Rollout.UID != w.rollout.UID {
		return fmt.Errorf("run %s exists and belongs to another Rollout", run.Name)
	}
	return nil
}

// noTemplate stands for a template that is not known: of a stable version whose
// ReplicaSet is gone.
const noTemplate = "{}"

func (r *Reconciler) buildRun(w *world) (*v1alpha1.RolloutRun, error) {
	status := &w.rollout.Status
	if w.deployment == nil {
		return nil, fmt.Errorf("Deployment %q does not exist", w.rollout.Spec.WorkloadRef.Name) //nolint:staticcheck // ST1005: it begins with a kind
	}
	template, err := rawTemplate(w.deployment)
	if err != nil {
		return nil, err
	}
	stable := runtime.RawExtension{Raw: []byte(noTemplate)}
	if w.stable != nil {
		if stable, err = rawTemplate(w.stable); err != nil {
			return nil, err
		}
	}
	pinned := *status.Stable.DeepCopy()
	if w.stable != nil {
		pinned.ReplicaSet, pinned.PodTemplateHash = w.stable.GetName(), w.input.Workload.Stable.Hash
	}
	by := w.input.Workload.PushedBy
	if by == "" {
		by = templateWriter(w.deployment)
	}
	return &v1alpha1.RolloutRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.rollout.Namespace, Name: status.Run,
			Labels: map[string]string{v1alpha1.LabelRollout: w.rollout.Name, v1alpha1.LabelRevision: status.Candidate.Revision},
		},
		Spec: v1alpha1.RolloutRunSpec{
			Rollout:  v1alpha1.RolloutIdentity{Name: w.rollout.Name, UID: w.rollout.UID, Generation: w.rollout.Generation},
			Workload: w.deployment.GetName(), Revision: status.Candidate.Revision, Image: status.Candidate.Image, Template: template,
			Stable:  v1alpha1.PinnedRevision{Revision: pinned, Template: stable},
			Traffic: w.rollout.Spec.Traffic.DeepCopy(), Steps: w.rollout.Spec.DeepCopy().Steps, Guardrails: w.guardrails,
			Controller: v1alpha1.ControllerIdentity{Version: r.Version, Planner: plan.Version},
			StartedAt:  *status.RunStartedAt, StartedBy: by,
		},
	}, nil
}

func rawTemplate(object *unstructured.Unstructured) (runtime.RawExtension, error) {
	raw, err := workload.CanonicalTemplate(workload.Template(object))
	return runtime.RawExtension{Raw: raw}, err
}

func decodeTemplate(raw runtime.RawExtension, into *map[string]any) error {
	if err := json.Unmarshal(raw.Raw, into); err != nil {
		return fmt.Errorf("read the run's template: %w", err)
	}
	return nil
}

// templateWriter is the field manager of the newest write to the Deployment
// that was not a controller's: what is known of who pushed while no guard was
// there to stamp it.
func templateWriter(d *unstructured.Unstructured) string {
	newest, at := "", metav1.Time{}
	for _, m := range d.GetManagedFields() {
		if m.Subresource == "" && m.Manager != v1alpha1.FieldManager && m.Manager != "kube-controller-manager" && m.Time != nil && !m.Time.Before(&at) {
			newest, at = m.Manager, *m.Time
		}
	}
	return bounded(newest, 256)
}
