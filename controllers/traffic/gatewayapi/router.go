// Package gatewayapi shares requests through HTTPRoutes. It edits the weights
// and names of one Service's references and leaves the rest of a route as the
// user wrote it.
package gatewayapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// Router is traffic.Router over HTTPRoutes.
type Router struct {
	client client.Client
	// manager is the field manager of Belay's own writes.
	manager string
}

var _ traffic.Router = (*Router)(nil)

// New returns a Router that reads and writes through c as the field manager.
func New(c client.Client, manager string) *Router { return &Router{client: c, manager: manager} }

// Observe reads the routes.
func (r *Router) Observe(ctx context.Context, t traffic.Target) (traffic.Observation, error) {
	o := traffic.Observation{Acknowledged: true}
	var unusable []error
	var rules []gatewayv1.HTTPRouteRule
	for _, name := range t.Routes {
		route, err := r.get(ctx, t.Namespace, name)
		if err != nil && !errors.Is(err, traffic.ErrNotFound) {
			return traffic.Observation{}, err
		}
		if err != nil {
			unusable = append(unusable, err)
			continue
		}
		if _, routed, _ := splitOf(route.Spec.Rules, t); !routed {
			unusable = append(unusable, fmt.Errorf("%w: HTTPRoute %q has no backendRef to Service %q", traffic.ErrNotRouted, name, t.Service))
			continue
		}
		rules = append(rules, route.Spec.Rules...)
		o.Epoch = max(o.Epoch, fenceOf(route, t))
		o.Acknowledged = o.Acknowledged && acknowledged(route)
		if m := lastManager(route); m != r.manager && o.Manager == "" {
			o.Manager = m
		}
	}
	split, _, agrees := splitOf(rules, t)
	o.Split, o.Mixed = split, !agrees
	return o, errors.Join(unusable...)
}

// Apply writes the split to every route that does not carry it yet.
func (r *Router) Apply(ctx context.Context, t traffic.Target, split traffic.Split) error {
	return r.each(ctx, t, func(route *gatewayv1.HTTPRoute) error {
		rules, saved, err := share(route.Spec.Rules, t, split, decodeOriginals(route.Annotations[v1alpha1.AnnotationOriginal+t.Owner]))
		if err != nil {
			return fmt.Errorf("HTTPRoute %q: %w", route.Name, err)
		}
		encoded, err := saved.encode()
		if err != nil {
			return err
		}
		route.Spec.Rules = rules
		if route.Annotations == nil {
			route.Annotations = map[string]string{}
		}
		route.Annotations[v1alpha1.AnnotationOriginal+t.Owner] = encoded
		route.Annotations[v1alpha1.AnnotationFence+t.Owner] = strconv.FormatInt(t.Epoch, 10)
		return nil
	})
}

// Release points every route back at the user's Service. A route that is gone
// needs no release.
func (r *Router) Release(ctx context.Context, t traffic.Target) error {
	present := t
	present.Routes = nil
	for _, name := range t.Routes {
		if _, err := r.get(ctx, t.Namespace, name); !errors.Is(err, traffic.ErrNotFound) {
			present.Routes = append(present.Routes, name)
		}
	}
	return r.each(ctx, present, func(route *gatewayv1.HTTPRoute) error {
		route.Spec.Rules = restore(route.Spec.Rules, t, decodeOriginals(route.Annotations[v1alpha1.AnnotationOriginal+t.Owner]))
		delete(route.Annotations, v1alpha1.AnnotationOriginal+t.Owner)
		delete(route.Annotations, v1alpha1.AnnotationFence+t.Owner)
		return nil
	})
}

// fenceOf is 0 for a route without the owner's fence, or with one that is no
// number.
func fenceOf(route *gatewayv1.HTTPRoute, t traffic.Target) int64 {
	epoch, err := strconv.ParseInt(route.Annotations[v1alpha1.AnnotationFence+t.Owner], 10, 64)
	if err != nil {
		return 0
	}
	return epoch
}

func (r *Router) each(ctx context.Context, t traffic.Target, change func(*gatewayv1.HTTPRoute) error) error {
	var failed []error
	for _, name := range t.Routes {
		if err := r.one(ctx, t.Namespace, name, change); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (r *Router) one(ctx context.Context, namespace, name string, change func(*gatewayv1.HTTPRoute) error) error {
	observed, err := r.get(ctx, namespace, name)
	if err != nil {
		return err
	}
	route := observed.DeepCopy()
	if err := change(route); err != nil {
		return err
	}
	patch := client.MergeFromWithOptions(observed, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, route, patch, client.FieldOwner(r.manager)); err != nil {
		return fmt.Errorf("write HTTPRoute %q: %w", name, err)
	}
	return nil
}

func (r *Router) get(ctx context.Context, namespace, name string) (*gatewayv1.HTTPRoute, error) {
	route := &gatewayv1.HTTPRoute{}
	err := r.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, route)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: HTTPRoute %q: %w", traffic.ErrNotFound, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read HTTPRoute %q: %w", name, err)
	}
	return route, nil
}

// acknowledged requires the word of every parent the route names: a gateway
// that has not spoken yet may still serve the old weights.
func acknowledged(route *gatewayv1.HTTPRoute) bool {
	for _, parent := range route.Spec.ParentRefs {
		if !parentAccepted(route, parent) {
			return false
		}
	}
	return len(route.Spec.ParentRefs) > 0
}

func parentAccepted(route *gatewayv1.HTTPRoute, parent gatewayv1.ParentReference) bool {
	for _, status := range route.Status.Parents {
		if !sameParent(status.ParentRef, parent) {
			continue
		}
		return trueAt(status.Conditions, string(gatewayv1.RouteConditionAccepted), route.Generation) &&
			trueAt(status.Conditions, string(gatewayv1.RouteConditionResolvedRefs), route.Generation)
	}
	return false
}

func trueAt(conditions []metav1.Condition, kind string, generation int64) bool {
	c := meta.FindStatusCondition(conditions, kind)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration >= generation
}

func sameParent(a, b gatewayv1.ParentReference) bool {
	return a.Name == b.Name && equalOr(a.Namespace, b.Namespace) && equalOr(a.SectionName, b.SectionName) && equalOr(a.Port, b.Port)
}

// equalOr compares optional fields; some gateways fill in a namespace that the
// route left out, so an absent one matches anything.
func equalOr[T comparable](a, b *T) bool { return a == nil || b == nil || *a == *b }

// lastManager is the field manager of the newest write to the route's spec.
func lastManager(route *gatewayv1.HTTPRoute) string {
	newest := ""
	var at metav1.Time
	for _, m := range route.ManagedFields {
		if m.Subresource == "" && m.Time != nil && !m.Time.Before(&at) {
			newest, at = m.Manager, *m.Time
		}
	}
	return newest
}
