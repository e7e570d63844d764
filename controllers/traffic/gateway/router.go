// Package gateway shares requests through Gateway API's HTTPRoutes. For the time
// of a run every backendRef to the user's Service becomes a pair of Services of
// Belay's own, one for each version. The rest of a route stays as the user wrote
// it, and when the run has ended Belay owns none of its fields.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

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

// New returns a Router that reads and writes through c as the field manager. What
// c caches must keep its managed fields: of HTTPRoutes, which are read in the form
// of Route, and of Services. EndpointSlices are read by the Service's name; pods
// are not read.
func New(c client.Client, manager string) *Router { return &Router{client: c, manager: manager} }

// Observe reads the routes, the Services and their endpoints.
func (r *Router) Observe(ctx context.Context, t traffic.Target) (traffic.Observation, error) {
	o := traffic.Observation{Acknowledged: true}
	services, err := r.services(ctx, t)
	if err != nil {
		return traffic.Observation{}, err
	}
	routes, unusable, err := r.observeRoutes(ctx, t, &o)
	if err != nil {
		return traffic.Observation{}, err
	}
	unusable = append(unusable, r.observeServices(t, services, &o)...)
	var ports []namedPort
	for _, one := range routes {
		for _, port := range one.ports(namesOf(t)) {
			ports = append(ports, namedPort{route: one.object.GetName(), number: port})
		}
	}
	unusable = append(unusable, portFaults(services.user, ports)...)
	if err := r.observeEndpoints(ctx, t, services, ports, &o); err != nil {
		return traffic.Observation{}, err
	}
	return o, errors.Join(unusable...)
}

// observeRoutes returns the routes that can be used, and what is wrong with the
// others; err is a read that failed.
func (r *Router) observeRoutes(ctx context.Context, t traffic.Target, o *traffic.Observation) (usable []*route, unusable []error, err error) {
	n := namesOf(t)
	var shares []ruleShare
	var waiting []string
	for _, name := range t.Routes {
		one, err := r.route(ctx, t, name)
		if errors.Is(err, traffic.ErrNotFound) {
			unusable = append(unusable, err)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		o.Marked = o.Marked || one.marked(r.manager)
		o.Epoch = max(o.Epoch, one.fence())
		said := sharesOf(one.rules, n, one.originals)
		if len(said) == 0 {
			unusable = append(unusable, fmt.Errorf("%w: HTTPRoute %q has no backendRef to Service %q: add one, or take the route out of spec.traffic.routes", traffic.ErrNotRouted, name, t.Service))
			continue
		}
		usable, shares = append(usable, one), append(shares, said...)
		unusable = append(unusable, one.faults(n)...)
		if missing := one.unacknowledged(); missing != "" {
			waiting = append(waiting, missing)
		}
		if writer := writerOf(one.object, "rules", r.manager); writer != "" && o.Manager == "" {
			o.Manager = writer
		}
	}
	o.Split, o.Mixed = agree(shares)
	o.Acknowledged, o.Unacknowledged = len(waiting) == 0, strings.Join(waiting, "; ")
	return usable, unusable, nil
}

// Apply writes the split to every route that does not carry it yet.
func (r *Router) Apply(ctx context.Context, t traffic.Target, split traffic.Split) error {
	return each(t, func(name string) error { return r.apply(ctx, t, name, split) })
}

func (r *Router) apply(ctx context.Context, t traffic.Target, name string, split traffic.Split) error {
	one, err := r.route(ctx, t, name)
	if err != nil {
		return err
	}
	changes, kept, refused := share(one.rules, namesOf(t), split, one.originals)
	if refused != nil {
		refused = fmt.Errorf("HTTPRoute %q: %w", name, refused)
	}
	if len(changes) == 0 {
		return refused
	}
	encoded, err := kept.encode()
	if err != nil {
		return err
	}
	operations := append(operationsOf(changes, one.rules), annotate(one.object.GetAnnotations(),
		[2]string{v1alpha1.AnnotationOriginal + t.Owner, encoded}, fenceOf(t))...)
	return errors.Join(r.write(ctx, one.object, routeResource, operations), refused)
}

// fenceOf is the annotation that a write of the target's epoch leaves.
func fenceOf(t traffic.Target) [2]string {
	return [2]string{v1alpha1.AnnotationFence + t.Owner, strconv.FormatInt(t.Epoch, 10)}
}

// Release points every route back at the user's Service, and then gives up what
// Belay owns of it. A route that is gone needs no release.
func (r *Router) Release(ctx context.Context, t traffic.Target) error {
	return each(t, func(name string) error {
		err := r.release(ctx, t, name)
		if errors.Is(err, traffic.ErrNotFound) {
			return nil
		}
		return err
	})
}

func (r *Router) release(ctx context.Context, t traffic.Target, name string) error {
	one, err := r.route(ctx, t, name)
	if err != nil {
		return err
	}
	if restored := operationsOf(restore(one.rules, namesOf(t), one.originals), one.rules); len(restored) > 0 {
		restored = append(restored, annotate(one.object.GetAnnotations(), fenceOf(t))...)
		if err := r.write(ctx, one.object, routeResource, restored); err != nil {
			return err
		}
	}
	given := unannotate(one.object.GetAnnotations(), v1alpha1.AnnotationFence+t.Owner, v1alpha1.AnnotationOriginal+t.Owner)
	if !one.inUseByOthers() {
		given = slices.Concat(given, disown(one.object, r.manager))
	}
	return r.write(ctx, one.object, routeResource, given)
}

// each changes every route, whatever becomes of the others.
func each(t traffic.Target, change func(name string) error) error {
	var failed []error
	for _, name := range t.Routes {
		if err := change(name); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
