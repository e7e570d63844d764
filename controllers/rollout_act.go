package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/workload"
)

// act carries out a decision's one effect. Every effect is absolute, so that
// repeating it changes nothing, and carries what it was decided on: a resource
// version, a UID or a revision.
func (r *RolloutReconciler) act(ctx context.Context, w *world, effect plan.Effect) error {
	w.target.Epoch = w.rollout.Status.Epoch
	switch e := effect.(type) {
	case nil:
		return nil
	case plan.AddFinalizer:
		return r.setFinalizer(ctx, w, true)
	case plan.RemoveFinalizer:
		return r.setFinalizer(ctx, w, false)
	case plan.CreateRun:
		return r.createRun(ctx, w)
	case plan.PointServices:
		return r.pointServices(ctx, w, e)
	case plan.SetSplit:
		return r.Router.Apply(ctx, w.target, traffic.Split{Canary: e.Weight})
	case plan.ReleaseRoute:
		return r.Router.Release(ctx, w.target)
	case plan.ScaleCanary:
		return r.scaleCanary(ctx, w, e.Replicas)
	case plan.DeleteCanary:
		return r.deleteCanary(ctx, w)
	case plan.Unpause:
		return r.unpause(ctx, w, e.Revision)
	case plan.RestoreTemplate:
		return r.restoreTemplate(ctx, w, e.Revision)
	default:
		return fmt.Errorf("unknown effect %T: this is a bug in Belay", effect)
	}
}

func (r *RolloutReconciler) setFinalizer(ctx context.Context, w *world, present bool) error {
	next := w.rollout.DeepCopy()
	if present {
		controllerutil.AddFinalizer(next, v1alpha1.Finalizer)
	} else {
		controllerutil.RemoveFinalizer(next, v1alpha1.Finalizer)
		r.Guard.Forget(next.UID)
	}
	patch := client.MergeFromWithOptions(w.rollout.DeepCopy(), client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Client.Patch(ctx, next, patch, client.FieldOwner(FieldManager)))
}

// createRun pins the run's inputs. Finding it there already is success when it
// is this Rollout's.
func (r *RolloutReconciler) createRun(ctx context.Context, w *world) error {
	run, err := r.buildRun(w)
	if err != nil {
		return err
	}
	err = r.Client.Create(ctx, run, client.FieldOwner(FieldManager))
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

func (r *RolloutReconciler) buildRun(w *world) (*v1alpha1.RolloutRun, error) {
	status := &w.rollout.Status
	if w.stable == nil {
		return nil, fmt.Errorf("the stable ReplicaSet %q is gone: there is nothing to roll back to", status.Stable.ReplicaSet)
	}
	template, err := rawTemplate(w.deployment.Spec.Template)
	if err != nil {
		return nil, err
	}
	stable, err := rawTemplate(w.stable.Spec.Template)
	if err != nil {
		return nil, err
	}
	return &v1alpha1.RolloutRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.rollout.Namespace, Name: status.Run,
			Labels: map[string]string{v1alpha1.LabelRollout: w.rollout.Name, v1alpha1.LabelRevision: status.Candidate.Revision},
		},
		Spec: v1alpha1.RolloutRunSpec{
			Rollout:  v1alpha1.RolloutIdentity{Name: w.rollout.Name, UID: w.rollout.UID, Generation: w.rollout.Generation},
			Workload: w.deployment.Name, Revision: status.Candidate.Revision, Image: status.Candidate.Image, Template: template,
			Stable:  v1alpha1.PinnedRevision{Revision: *status.Stable.DeepCopy(), Template: stable},
			Traffic: *w.rollout.Spec.Traffic.DeepCopy(), Steps: w.rollout.Spec.DeepCopy().Steps, Guardrails: w.guardrails,
			Controller: v1alpha1.ControllerIdentity{Version: r.Version},
			StartedAt:  *status.RunStartedAt, StartedBy: templateWriter(w.deployment),
		},
	}, nil
}

func rawTemplate(template corev1.PodTemplateSpec) (runtime.RawExtension, error) {
	raw, err := workload.CanonicalTemplate(template)
	return runtime.RawExtension{Raw: raw}, err
}

// templateWriter is the field manager of the newest write to the Deployment
// that was not a controller's status.
func templateWriter(d *appsv1.Deployment) string {
	newest, at := "", metav1.Time{}
	for _, m := range d.ManagedFields {
		if m.Subresource == "" && m.Manager != FieldManager && m.Manager != "kube-controller-manager" && m.Time != nil && !m.Time.Before(&at) {
			newest, at = m.Manager, *m.Time
		}
	}
	return bounded(newest, 256)
}

func (r *RolloutReconciler) pointServices(ctx context.Context, w *world, e plan.PointServices) error {
	pair := map[string]map[string]string{
		w.target.Stable: {appsv1.DefaultDeploymentUniqueLabelKey: e.StableHash},
		w.target.Canary: {v1alpha1.LabelRevision: e.CanaryRevision, v1alpha1.LabelRole: v1alpha1.RoleCanary},
	}
	for _, name := range []string{w.target.Stable, w.target.Canary} {
		if err := r.pointService(ctx, w, name, pair[name]); err != nil {
			return fmt.Errorf("write Service %q: %w", name, err)
		}
	}
	return nil
}

func (r *RolloutReconciler) pointService(ctx context.Context, w *world, name string, narrowed map[string]string) error {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.rollout.Namespace, Name: name}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, service, func() error {
		role := v1alpha1.RoleStable
		if name == w.target.Canary {
			role = v1alpha1.RoleCanary
		}
		service.Labels = map[string]string{v1alpha1.LabelRollout: w.rollout.Name, v1alpha1.LabelRole: role}
		if w.service != nil {
			service.Spec.Selector = maps.Clone(w.service.Spec.Selector)
			service.Spec.Ports = clusterPorts(w.service.Spec.Ports)
		}
		// Without the user's Service, the pair goes on as it was made.
		if len(service.Spec.Ports) == 0 {
			return fmt.Errorf("service %q does not exist, and its ports are not known: create it", w.target.Service)
		}
		if service.Spec.Selector == nil {
			service.Spec.Selector = map[string]string{}
		}
		maps.Copy(service.Spec.Selector, narrowed)
		return controllerutil.SetControllerReference(w.rollout, service, r.Client.Scheme())
	})
	return err
}

// clusterPorts are the user's ports without what only the user's Service may
// have.
func clusterPorts(ports []corev1.ServicePort) []corev1.ServicePort {
	out := make([]corev1.ServicePort, len(ports))
	for i, p := range ports {
		p.NodePort = 0
		out[i] = p
	}
	return out
}

func (r *RolloutReconciler) scaleCanary(ctx context.Context, w *world, replicas int32) error {
	if w.canary != nil {
		next := w.canary.DeepCopy()
		next.Spec.Replicas = &replicas
		patch := client.MergeFromWithOptions(w.canary, client.MergeFromWithOptimisticLock{})
		return r.Client.Patch(ctx, next, patch, client.FieldOwner(FieldManager))
	}
	template, err := w.run.Spec.PodTemplate()
	if err != nil {
		return err
	}
	set := workload.Canary(w.rollout, w.deployment, *template, w.run.Spec.Revision, replicas)
	err = r.Client.Create(ctx, set, client.FieldOwner(FieldManager))
	if apierrors.IsAlreadyExists(err) {
		// Made by an earlier look that the cache has not caught up with.
		return apierrors.NewConflict(appsv1.Resource("replicasets"), set.Name, err)
	}
	return err
}

func (r *RolloutReconciler) deleteCanary(ctx context.Context, w *world) error {
	if w.canary == nil {
		return nil
	}
	err := r.Client.Delete(ctx, w.canary,
		client.Preconditions{UID: &w.canary.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}

// unpause lets the Deployment roll, provided it still declares the revision that
// was judged.
func (r *RolloutReconciler) unpause(ctx context.Context, w *world, revision string) error {
	if w.input.Workload.Declared.Revision != revision {
		return apierrors.NewConflict(appsv1.Resource("deployments"), w.deployment.Name, fmt.Errorf("it declares another revision now"))
	}
	next := w.deployment.DeepCopy()
	next.Spec.Paused = false
	patch := client.MergeFromWithOptions(w.deployment, client.MergeFromWithOptimisticLock{})
	return r.Client.Patch(ctx, next, patch, client.FieldOwner(FieldManager))
}

// restoreTemplate writes the stable template back.
func (r *RolloutReconciler) restoreTemplate(ctx context.Context, w *world, revision string) error {
	template, err := stableTemplate(w, revision)
	if err != nil {
		return err
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/resourceVersion", "value": w.deployment.ResourceVersion},
		{"op": "replace", "path": "/spec/template", "value": json.RawMessage(template)},
		{"op": "add", "path": "/spec/paused", "value": false},
	})
	if err != nil {
		return fmt.Errorf("encode the stable template: %w", err)
	}
	next := w.deployment.DeepCopy()
	return r.Client.Patch(ctx, next, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(FieldManager))
}

// stableTemplate is pinned in the run, so a rollback works when the stable
// ReplicaSet was cleaned up; and it is in the ReplicaSet, so it works when the
// run's record was deleted.
func stableTemplate(w *world, revision string) ([]byte, error) {
	if w.run != nil && w.run.Spec.Stable.Revision.Revision == revision {
		return w.run.Spec.Stable.Template.Raw, nil
	}
	if w.stable == nil {
		return nil, fmt.Errorf("neither run %q nor a ReplicaSet holds the template of revision %s", w.rollout.Status.Run, revision)
	}
	held, err := workload.RevisionOf(w.stable.Spec.Template)
	if err != nil {
		return nil, err
	}
	if held != revision {
		return nil, fmt.Errorf("run %q is gone, and ReplicaSet %q holds revision %s, not %s", w.rollout.Status.Run, w.stable.Name, held, revision)
	}
	return workload.CanonicalTemplate(w.stable.Spec.Template)
}
