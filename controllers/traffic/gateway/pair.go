package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

var serviceResource = corev1.Resource("services")

// services are the user's Service and the generated ones; nil for one that does not exist.
type services struct {
	user    *corev1.Service
	pair    [2]*corev1.Service
	preview *corev1.Service
}

func (r *Router) services(ctx context.Context, t traffic.Target) (services, error) {
	var out services
	var err error
	if out.user, err = r.service(ctx, t.Namespace, t.Service); err != nil {
		return services{}, err
	}
	for i, s := range sides(t) {
		if out.pair[i], err = r.service(ctx, t.Namespace, s.service); err != nil {
			return services{}, err
		}
	}
	if out.preview, err = r.service(ctx, t.Namespace, v1alpha1.PreviewName(t.Owner)); err != nil {
		return services{}, err
	}
	return out, nil
}

func (r *Router) service(ctx context.Context, namespace, name string) (*corev1.Service, error) {
	s := &corev1.Service{}
	err := r.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Service %q: %w", name, err)
	}
	return s, nil
}

// observeServices returns what is wrong with the Services.
func (r *Router) observeServices(t traffic.Target, found services, o *traffic.Observation) []error {
	var unusable []error
	o.ServiceMissing = found.user == nil
	if found.user != nil {
		// A hash that somebody else added is reported by ServiceFault, below.
		if _, ours := found.user.Annotations[annotationNarrowed+t.Owner]; ours {
			o.Narrowed = found.user.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey]
		}
		o.NarrowedBy = writerOf(found.user, "selector", r.manager)
		o.Marked = o.Marked || r.serviceMarked(found.user, t.Owner)
		if err := ServiceFault(found.user, t.Own, t.Others); err != nil {
			unusable = append(unusable, err)
		}
	}
	o.PairCurrent = true
	for i, existing := range found.pair {
		switch {
		case existing == nil:
			o.PairCurrent = false
		case !belongs(existing, t.Owner):
			o.PairCurrent = false
			unusable = append(unusable, notBelays(existing))
		default:
			want, err := desired(t, i, found.user, existing)
			o.PairCurrent = o.PairCurrent && err == nil && equality.Semantic.DeepEqual(want, existing)
		}
	}
	return unusable
}

func notBelays(s *corev1.Service) error {
	return fmt.Errorf("%w: Service %q exists and was not created by Belay, which needs that name: rename it", traffic.ErrUnusable, s.Name)
}

// belongs reports whether Belay created the Service for the Rollout: it has the label, or,
// from the first edition of Belay, an owner reference.
func belongs(s *corev1.Service, owner string) bool {
	return s.Labels[v1alpha1.LabelRollout] == owner ||
		slices.ContainsFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool { return isRollout(o) && o.Name == owner })
}

func isRollout(o metav1.OwnerReference) bool {
	return o.Kind == "Rollout" && strings.HasPrefix(o.APIVersion, v1alpha1.GroupVersion.Group+"/")
}

// Point creates or updates the two generated Services, and writes only when something
// differs. Without the user's Service they keep their ports.
func (r *Router) Point(ctx context.Context, t traffic.Target) error {
	found, err := r.services(ctx, t)
	if err != nil {
		return err
	}
	var failed []error
	for i, existing := range found.pair {
		if existing != nil && !belongs(existing, t.Owner) {
			failed = append(failed, notBelays(existing))
			continue
		}
		want, err := desired(t, i, found.user, existing)
		if err == nil {
			err = r.put(ctx, want, existing)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func (r *Router) put(ctx context.Context, want, existing *corev1.Service) error {
	var err error
	switch {
	case existing == nil:
		if err = r.client.Create(ctx, want, client.FieldOwner(r.manager)); apierrors.IsAlreadyExists(err) {
			// An earlier reconcile created it, and the cache does not have it yet.
			err = apierrors.NewConflict(serviceResource, want.Name, err)
		}
	case !equality.Semantic.DeepEqual(want, existing):
		patch := client.MergeFromWithOptions(existing, client.MergeFromWithOptimisticLock{})
		err = r.client.Patch(ctx, want, patch, client.FieldOwner(r.manager))
	}
	if err != nil {
		return fmt.Errorf("write Service %q: %w", want.Name, err)
	}
	return nil
}

// desired is a side's Service as it should be.
func desired(t traffic.Target, index int, user, existing *corev1.Service) (*corev1.Service, error) {
	s := sides(t)[index]
	return generated(t, purpose{service: s.service, role: [2]string{v1alpha1.RoleStable, v1alpha1.RoleCanary}[index], hash: hashOrNone(s.hash)}, user, existing)
}

// purpose is a generated Service: its name, the value of its label, and the pod-template-hash
// that it selects; empty to select all versions.
type purpose struct{ service, role, hash string }

// generated is a generated Service as it should be: the existing one with the necessary
// changes. Labels that others added stay.
func generated(t traffic.Target, as purpose, user, existing *corev1.Service) (*corev1.Service, error) {
	want := &corev1.Service{}
	if existing != nil {
		want = existing.DeepCopy()
	} else if user != nil {
		want.Spec.IPFamilies = slices.Clone(user.Spec.IPFamilies)
		want.Spec.IPFamilyPolicy = user.Spec.IPFamilyPolicy
	}
	want.Namespace, want.Name = t.Namespace, as.service
	want.OwnerReferences = slices.DeleteFunc(want.OwnerReferences, isRollout)
	if want.Labels == nil {
		want.Labels = map[string]string{}
	}
	// The user's labels are not copied: whatever selects Services by them, such as a
	// ServiceMonitor, would find each pod twice.
	want.Labels[v1alpha1.LabelRollout], want.Labels[v1alpha1.LabelRole] = t.Owner, as.role
	if user != nil && len(user.Spec.Ports) > 0 {
		want.Spec.Ports = clusterPorts(user.Spec.Ports)
	}
	if len(want.Spec.Ports) == 0 {
		return nil, fmt.Errorf("%w: Service %q does not exist or has no ports, which the generated Service %q needs: create it with its ports", traffic.ErrUnusable, t.Service, as.service)
	}
	want.Spec.Selector = map[string]string{}
	maps.Copy(want.Spec.Selector, t.Selector)
	delete(want.Labels, labelHash)
	if as.hash != "" {
		want.Labels[labelHash], want.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey] = as.hash, as.hash
	}
	want.Spec.PublishNotReadyAddresses = false
	want.Spec.Type = corev1.ServiceTypeClusterIP
	return want, nil
}

// clusterPorts are the user's ports without node ports, which only one Service may have.
func clusterPorts(ports []corev1.ServicePort) []corev1.ServicePort {
	out := make([]corev1.ServicePort, len(ports))
	for i := range ports {
		out[i] = *ports[i].DeepCopy()
		out[i].NodePort = 0
	}
	return out
}

// Remove deletes the generated Services. One that was not created by Belay stays.
func (r *Router) Remove(ctx context.Context, t traffic.Target) error {
	for _, s := range sides(t) {
		existing, err := r.service(ctx, t.Namespace, s.service)
		if err != nil {
			return err
		}
		if existing == nil || !belongs(existing, t.Owner) {
			continue
		}
		if err := r.delete(ctx, existing); err != nil {
			return err
		}
	}
	return r.RemovePreview(ctx, t)
}

func (r *Router) delete(ctx context.Context, existing *corev1.Service) error {
	err := r.client.Delete(ctx, existing, client.Preconditions{UID: &existing.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Service %q: %w", existing.Name, err)
	}
	return nil
}
