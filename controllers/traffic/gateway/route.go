package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// version is the version of Gateway API that a Router reads and writes.
var version = schema.GroupVersion{Group: gatewayv1.GroupVersion.Group, Version: gatewayv1.GroupVersion.Version}

// resources are the API resources of the supported kinds of routes.
var resources = map[string]string{v1alpha1.KindHTTPRoute: "httproutes", v1alpha1.KindGRPCRoute: "grpcroutes"}

// Kinds are the supported kinds of routes, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(resources)) }

// Route is an empty route of a kind, in the form that a Router reads. It is unstructured,
// because a typed route would lose fields of a newer Gateway API. Watches should use this
// form too, so that both use one cache.
func Route(kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(version.WithKind(kind))
	return u
}

// Routes are an empty route of each supported kind, in the order of Kinds.
func Routes() []client.Object {
	var all []client.Object
	for _, kind := range Kinds() {
		all = append(all, Route(kind))
	}
	return all
}

// IsRoute reports whether an object is a route in the form of Route.
func IsRoute(o client.Object) bool {
	kind := o.GetObjectKind().GroupVersionKind()
	_, known := resources[kind.Kind]
	_, form := o.(*unstructured.Unstructured)
	return form && known && kind.GroupVersion() == version
}

// route is a route that was read, and its parts for one Rollout.
type route struct {
	ref    traffic.Route
	object *unstructured.Unstructured
	// rules are the user's; added those that Belay has put among them for the owner's testers,
	// as noted.
	rules, added []rule
	noted        testers
	// mirrors are the filters that Belay has added for the owner, for each of the rules, which
	// are here without them; mirrored is what is noted of them.
	mirrors   mirrors
	mirrored  mirrorNote
	originals originals
	owner     string
	parents   []gatewayv1.ParentReference
	status    []gatewayv1.RouteParentStatus
}

func (r *Router) route(ctx context.Context, t traffic.Target, ref traffic.Route) (*route, error) {
	object, err := r.read(ctx, t.Namespace, ref)
	if err != nil {
		return nil, err
	}
	spec, _ := object.Object["spec"].(map[string]any)
	out := &route{
		ref: ref, object: object, owner: t.Owner,
		originals: decodeOriginals(object.GetAnnotations()[v1alpha1.AnnotationOriginal+t.Owner]),
		noted:     decodeTesters(object.GetAnnotations()[v1alpha1.AnnotationTesters+t.Owner]),
	}
	out.mirrored = decodeMirror(object.GetAnnotations()[v1alpha1.AnnotationMirror+t.Owner])
	out.rules, out.added = parted(rulesOf(spec), namesOf(t), t.Owner, out.noted)
	out.unmirror(namesOf(t))
	var common gatewayv1.CommonRouteSpec
	var status gatewayv1.RouteStatus
	if err := decodePart(map[string]any{"parentRefs": spec["parentRefs"]}, &common); err != nil {
		return nil, fmt.Errorf("read the parents of %s: %w", ref, err)
	}
	reported, _ := object.Object["status"].(map[string]any)
	if err := decodePart(map[string]any{"parents": reported["parents"]}, &status); err != nil {
		return nil, fmt.Errorf("read the status of %s: %w", ref, err)
	}
	out.parents, out.status = common.ParentRefs, status.Parents
	return out, nil
}

func (r *Router) read(ctx context.Context, namespace string, ref traffic.Route) (*unstructured.Unstructured, error) {
	if _, known := resources[ref.Kind]; !known {
		return nil, fmt.Errorf("%w: a route of kind %s: this version of Belay supports %s", traffic.ErrUnusable, quoted(ref.Kind), strings.Join(Kinds(), " and "))
	}
	object := Route(ref.Kind)
	err := r.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: %s: create it, or name another one in spec.traffic.routes", traffic.ErrNotFound, ref)
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("%w: %s: the API server does not serve %ss of %s: install Gateway API's CustomResourceDefinition for them, or remove the route from spec.traffic.routes",
			traffic.ErrNotFound, ref, ref.Kind, version)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	return object, nil
}

func (r *route) resource() schema.GroupResource {
	return schema.GroupResource{Group: gatewayv1.GroupName, Resource: resources[r.ref.Kind]}
}

func decodePart(part map[string]any, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(part, into)
}

// fence is the epoch in the owner's fence annotation; 0 when there is none or it is not a
// number.
func (r *route) fence() int64 {
	epoch, err := strconv.ParseInt(r.object.GetAnnotations()[v1alpha1.AnnotationFence+r.owner], 10, 64)
	if err != nil {
		return 0
	}
	return epoch
}

// ports are the ports in the backendRefs of the rules that concern the Rollout.
func (r *route) ports(n names) []int32 {
	var out []int32
	assigned := r.originals.assign(r.rules, n)
	for i, one := range r.rules {
		for _, ref := range n.unshared(one, assigned[i]) {
			if n.roleOf(ref) == roleService && ref.port() != 0 {
				out = append(out, ref.port())
			}
		}
	}
	return out
}

// faults are errors for the rules that cannot be split, or not carry out what the steps to come
// ask for.
func (r *route) faults(n names, t traffic.Target) []error {
	var out []error
	for _, percent := range t.Mirrors {
		if _, refused := r.mirroring(n, percent); len(refused) > 0 {
			out = append(out, fmt.Errorf("%s: %w", r.ref, errors.Join(refused...)))
			break
		}
	}
	for _, match := range t.Matches {
		if _, refused := r.additions(n, match); len(refused) > 0 {
			out = append(out, fmt.Errorf("%s: %w", r.ref, errors.Join(refused...)))
			break
		}
	}
	assigned := r.originals.assign(r.rules, n)
	for i, one := range r.rules {
		original := n.unshared(one, assigned[i])
		if fault := n.fault(original, traffic.Split{Canary: 1}); original != nil && fault != "" {
			out = append(out, fmt.Errorf("%w: %s: rule %d: %s", traffic.ErrUnusable, r.ref, i, fault))
		}
	}
	if len(r.parents) == 0 {
		out = append(out, fmt.Errorf("%w: %s has no parentRefs, so no Gateway serves it: add one", traffic.ErrUnusable, r.ref))
	}
	return out
}

// annotations are the keys of Belay's for this Rollout.
func (r *route) annotations() []string {
	return []string{v1alpha1.AnnotationFence + r.owner, v1alpha1.AnnotationOriginal + r.owner, v1alpha1.AnnotationTesters + r.owner, v1alpha1.AnnotationMirror + r.owner}
}

// marked reports whether the route still has an annotation of Belay for this Rollout, or
// fields that Belay owns for no other Rollout.
func (r *route) marked(manager string) bool {
	return marks(r.object.GetAnnotations(), r.annotations()...) ||
		owned(r.object, manager) && !r.inUseByOthers()
}

func (r *route) inUseByOthers() bool {
	return markedByOthers(r.object.GetAnnotations(), r.owner, v1alpha1.AnnotationFence, v1alpha1.AnnotationOriginal)
}

func operationsOf(changes []change, rules []rule) []operation {
	var out []operation
	for _, c := range changes {
		if !equality.Semantic.DeepEqual(c.references, rules[c.index].references()) {
			out = append(out, operation{Op: "replace", Path: fmt.Sprintf("/spec/rules/%d/backendRefs", c.index), Value: c.references})
		}
	}
	return out
}
