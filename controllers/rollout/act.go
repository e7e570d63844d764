package rollout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/runs"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/workload"
)

// carryOut carries out the effects of a decision in their order. None rests on the
// outcome of another, so one that the API server refuses does not keep the others back:
// the first refusal is shown in the status, all are returned. A conflict ends them,
// because what they were decided on has changed.
func (r *Reconciler) carryOut(ctx context.Context, d decided, effects []plan.Effect) error {
	var failed []error
	for _, effect := range effects {
		if len(failed) > 0 {
			effect = plan.AfterRefusal(effect)
		}
		err := r.act(ctx, d, effect)
		if err == nil {
			continue
		}
		if len(failed) == 0 {
			err = r.noteRefusal(ctx, d, effect.String(), err)
		}
		failed = append(failed, fmt.Errorf("%s: %w", effect, err))
		if apierrors.IsConflict(err) || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// act carries out one effect of a decision. Every effect is absolute, so that
// repeating it changes nothing, and carries what it was decided on: a resource
// version, a UID or a revision.
func (r *Reconciler) act(ctx context.Context, d decided, effect plan.Effect) error {
	d.target.Epoch = d.recorded.Status.Epoch
	switch e := effect.(type) {
	case plan.AddFinalizer:
		return r.setFinalizer(ctx, d, true)
	case plan.Leave:
		return r.leave(ctx, d)
	case plan.CreateRun:
		return r.createRun(ctx, d)
	case plan.MarkWorkload:
		return r.markWorkload(ctx, d, e.Marks)
	case plan.PointServices:
		if d.recorded.Status.Phase.InRun() {
			// The run may have begun with this decision.
			d.target.CanaryHash = d.canaryHash(d.recorded.Status.Candidate)
		}
		return r.router(d.look).Point(ctx, d.target)
	case plan.NarrowService:
		return r.router(d.look).Narrow(ctx, d.target, e.Hash)
	case plan.PointPreview:
		return r.router(d.look).PointPreview(ctx, d.target, e.Hash)
	case plan.RemovePreview:
		return r.router(d.look).RemovePreview(ctx, d.target)
	case plan.SetSplit:
		return r.router(d.look).Apply(ctx, d.target, traffic.Split{Canary: e.Weight, Testers: e.Testers, Mirror: e.Mirror})
	case plan.ReleaseRoute:
		if err := r.router(d.look).Release(ctx, d.target); err != nil || d.recorded.Status.Phase.InRun() {
			return err
		}
		// Outside a run nothing of Belay's stays, on the Service either.
		return r.router(d.look).Narrow(ctx, d.target, "")
	default:
		return r.actOnWorkload(ctx, d, effect)
	}
}

func (r *Reconciler) setFinalizer(ctx context.Context, d decided, present bool) error {
	next := d.recorded.DeepCopy()
	if present {
		controllerutil.AddFinalizer(next, v1alpha1.Finalizer)
	} else {
		controllerutil.RemoveFinalizer(next, v1alpha1.Finalizer)
	}
	patch := client.MergeFromWithOptions(d.recorded.DeepCopy(), client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager)))
}

// leave takes the finalizer away last: until then it can be repeated. The pair of
// Services goes whatever the Rollout names now: it may have named routes before. One that the
// API server lets nobody delete keeps no label on the workload, which the guard would hold.
func (r *Reconciler) leave(ctx context.Context, d decided) error {
	kept := r.Router.Remove(ctx, d.target)
	objects := []*unstructured.Unstructured{d.workload, d.stable.object}
	if d.input.Canary.Handed {
		objects = append(objects, d.canary.object)
	}
	for _, object := range objects {
		if object == nil || object.GetLabels()[v1alpha1.LabelRollout] != d.recorded.Name {
			continue
		}
		patch, err := workload.Unlabel(object)
		if err := r.patch(ctx, object, patch, err); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	if kept != nil {
		return fmt.Errorf("remove the generated Services: %w", kept)
	}
	return r.setFinalizer(ctx, d, false)
}

func (r *Reconciler) markWorkload(ctx context.Context, d decided, marks v1alpha1.Marks) error {
	patch, err := workload.Mark(d.workload, marks)
	if err := r.patch(ctx, d.workload, patch, err); err != nil {
		return err
	}
	if d.stable.object == nil {
		return nil
	}
	patch, err = workload.MarkSet(d.stable.object, d.recorded.Name, v1alpha1.RoleStable)
	return r.mergePatch(ctx, d.stable.object, patch, err)
}

// createRun pins the run's inputs. Finding it there already is success when it
// is this Rollout's. The effects after this one go on from the run.
func (r *Reconciler) createRun(ctx context.Context, d decided) error {
	run, err := r.buildRun(d)
	if err != nil {
		return err
	}
	// Without steps to come nobody is asked, and nothing is sent: neither a fast revert nor a
	// bypass waits for what they alone need.
	if d.recorded.Status.Phase == v1alpha1.PhaseStepping {
		if err := r.keepsSteps(ctx, run); err != nil {
			return err
		}
	}
	err = r.Client.Create(ctx, run, client.FieldOwner(v1alpha1.FieldManager))
	if err == nil {
		d.run = run
	}
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	found := &v1alpha1.RolloutRun{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(run), found); err != nil {
		// The cache has not seen it yet; the next look will.
		return client.IgnoreNotFound(err)
	}
	if found.Spec.Rollout.UID != d.recorded.UID {
		return fmt.Errorf("RolloutRun %s exists and belongs to another Rollout: delete it", run.Name)
	}
	d.run = found
	return nil
}

// noTemplate stands for a template that is not known: of a stable version whose
// ReplicaSet is gone.
const noTemplate = "{}"

func (r *Reconciler) buildRun(d decided) (*v1alpha1.RolloutRun, error) {
	status := &d.recorded.Status
	if d.workload == nil {
		ref := d.recorded.Spec.WorkloadRef
		return nil, fmt.Errorf("%s %q does not exist", cmp.Or(ref.Kind, v1alpha1.KindDeployment), ref.Name)
	}
	template, err := rawTemplate(workload.Template(d.workload))
	if err != nil {
		return nil, err
	}
	stable := runtime.RawExtension{Raw: []byte(noTemplate)}
	pinned := *status.Stable.DeepCopy()
	if d.stableTemplate != nil {
		if stable, err = rawTemplate(d.stableTemplate); err != nil {
			return nil, err
		}
		pinned.ReplicaSet, pinned.PodTemplateHash = d.input.Workload.Stable.Name, d.input.Workload.Stable.Hash
	}
	by := d.input.Workload.PushedBy
	if by == "" {
		by = templateWriter(d.workload)
	}
	run := &v1alpha1.RolloutRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.recorded.Namespace, Name: status.Run, Finalizers: []string{v1alpha1.RunFinalizer}},
		Spec: v1alpha1.RolloutRunSpec{
			Restart:  status.Promotion != nil && status.Promotion.Restart,
			Rollout:  v1alpha1.RolloutIdentity{Name: d.recorded.Name, UID: d.recorded.UID, Generation: d.recorded.Generation},
			Workload: d.workload.GetName(), Revision: status.Candidate.Revision, Image: status.Candidate.Image, Template: template,
			Stable:  v1alpha1.PinnedRevision{Revision: pinned, Template: stable},
			Traffic: d.input.Spec.Traffic.DeepCopy(), Steps: d.recorded.Spec.DeepCopy().Steps, Guardrails: d.guardrails,
			Controller: v1alpha1.ControllerIdentity{Version: r.Version, Planner: plan.Version},
			StartedAt:  *status.RunStartedAt, StartedBy: by,
		},
	}
	if d.ordered() {
		run.Spec.WorkloadKind = v1alpha1.KindStatefulSet
	}
	run.Labels = runs.Labels(run)
	return run, nil
}

func rawTemplate(template map[string]any) (runtime.RawExtension, error) {
	raw, err := workload.CanonicalTemplate(template)
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
	return v1alpha1.Bounded(newest, 256)
}
