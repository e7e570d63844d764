package gateway

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"belay.dev/belay/controllers/jsonpatch"
	"belay.dev/belay/controllers/traffic"
)

var hashPath = jsonpatch.Pointer("spec", "selector", appsv1.DefaultDeploymentUniqueLabelKey)

// Narrow makes the user's Service select only pods with the hash. With an empty hash the
// Service selects all of its pods again, and Belay gives up its field ownership.
func (r *Router) Narrow(ctx context.Context, t traffic.Target, hash string) error {
	user, err := r.service(ctx, t.Namespace, t.Service)
	if err != nil {
		return err
	}
	switch {
	case user == nil && hash == "":
		return nil
	case user == nil:
		return fmt.Errorf("%w: Service %q does not exist: create it", traffic.ErrUnusable, t.Service)
	case hash == "":
		return r.widen(ctx, t, user)
	}
	if err := ServiceFault(user, nil, nil); err != nil {
		return err
	}
	if markedByOthers(user.Annotations, t.Owner, annotationNarrowed) {
		return fmt.Errorf("%w: another Rollout limits Service %q to one of its versions: give each Rollout its own Service, or set spec.traffic.directCallers to Any", traffic.ErrUnusable, user.Name)
	}
	operations := annotate(user.Annotations, [2]string{annotationNarrowed + t.Owner, hash})
	if user.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey] != hash {
		operations = append(operations, selectorTest(user), operation{Op: "add", Path: hashPath, Value: hash})
	}
	return r.write(ctx, user, serviceResource, operations)
}

// widen removes the hash from the selector, unless it is not the one that Belay set.
func (r *Router) widen(ctx context.Context, t traffic.Target, user *corev1.Service) error {
	narrowed, ours := user.Annotations[annotationNarrowed+t.Owner]
	if now, ok := user.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey]; ours && ok && now == narrowed {
		operations := []operation{selectorTest(user), {Op: "remove", Path: hashPath}}
		if err := r.write(ctx, user, serviceResource, operations); err != nil {
			return err
		}
	}
	given := unannotate(user.Annotations, annotationNarrowed+t.Owner)
	if r.serviceMarked(user, t.Owner) && !markedByOthers(user.Annotations, t.Owner, annotationNarrowed) {
		given = slices.Concat(given, disown(user, r.manager))
	}
	return r.write(ctx, user, serviceResource, given)
}

// selectorTest tests the whole selector that was read: for the API server it is one value,
// whose keys cannot be owned separately.
func selectorTest(user *corev1.Service) operation {
	return operation{Op: "test", Path: "/spec/selector", Value: user.Spec.Selector}
}

// serviceMarked reports whether the user's Service still has an annotation or field
// ownership of Belay for this Rollout.
func (r *Router) serviceMarked(user *corev1.Service, owner string) bool {
	return marks(user.Annotations, annotationNarrowed+owner) ||
		owned(user, r.manager) && !markedByOthers(user.Annotations, owner, annotationNarrowed)
}
