package gateway

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

func previewOf(t traffic.Target, hash string) purpose {
	return purpose{service: v1alpha1.PreviewName(t.Owner), role: v1alpha1.RolePreview, hash: hash}
}

// ownsPreview reports whether Belay made a Service of the preview's name. One that is labelled
// for the Rollout and has another role is somebody else's: the name of the Rollout's own pair
// cannot be the preview's.
func ownsPreview(s *corev1.Service, owner string) bool {
	return belongs(s, owner) && s.Labels[v1alpha1.LabelRole] == v1alpha1.RolePreview
}

// observePreview returns nil while there is no Service, and for one that is not Belay's where
// none is asked for.
func (r *Router) observePreview(ctx context.Context, t traffic.Target, found services, ports []namedPort) (*traffic.Preview, error) {
	existing := found.preview
	if existing == nil {
		return nil, nil
	}
	if !ownsPreview(existing, t.Owner) {
		if !t.Preview {
			return nil, nil
		}
		return &traffic.Preview{Fault: notBelays(existing).Error()}, nil
	}
	p := &traffic.Preview{Hash: existing.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey]}
	want, err := generated(t, previewOf(t, p.Hash), found.user, existing)
	p.Current = err == nil && equality.Semantic.DeepEqual(want, existing)
	if p.Hash == "" {
		return p, nil
	}
	behind, err := r.backingOf(ctx, t, existing, client.MatchingLabels{labelHash: p.Hash}, ports)
	p.Ready = count(behind.usable)
	return p, err
}

// PointPreview creates or updates the preview Service, and writes only when something differs.
func (r *Router) PointPreview(ctx context.Context, t traffic.Target, hash string) error {
	found, err := r.services(ctx, t)
	if err != nil {
		return err
	}
	if found.preview != nil && !ownsPreview(found.preview, t.Owner) {
		return notBelays(found.preview)
	}
	want, err := generated(t, previewOf(t, hash), found.user, found.preview)
	if err != nil {
		return err
	}
	return r.put(ctx, want, found.preview)
}

// RemovePreview deletes the preview Service. One that was not created by Belay stays.
func (r *Router) RemovePreview(ctx context.Context, t traffic.Target) error {
	existing, err := r.service(ctx, t.Namespace, v1alpha1.PreviewName(t.Owner))
	if err != nil || existing == nil || !ownsPreview(existing, t.Owner) {
		return err
	}
	return r.delete(ctx, existing)
}
