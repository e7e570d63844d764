// Package gateway splits requests through Gateway API's HTTPRoutes and GRPCRoutes. During a
// run every backendRef to the user's Service is replaced by two references, to a generated
// Service for each version. The rest of a route stays as the user wrote it, and after the
// run Belay owns none of its fields.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// Router is traffic.Router over HTTPRoutes and GRPCRoutes.
type Router struct {
	client client.Client
	// manager is the field manager of Belay's own writes.
	manager string
	// percentKept is set once the API server has kept the percentage of a filter that mirrors.
	percentKept atomic.Bool
}

var _ traffic.Router = (*Router)(nil)

// New returns a Router that reads and writes through c as this field manager. The cache of
// c must keep the managed fields of routes, which are read in the form of Route, and of
// Services. A kind of route need not be installed before a Rollout refers to it.
// EndpointSlices are read by the Service's name; pods are not read.
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
			ports = append(ports, namedPort{route: one.ref, number: port})
		}
	}
	unusable = append(unusable, portFaults(services.user, ports)...)
	if fault, err := r.comparerFault(ctx, t); err != nil {
		return traffic.Observation{}, err
	} else if fault != nil {
		unusable = append(unusable, fault)
	}
	if o.Preview, err = r.observePreview(ctx, t, services, ports); err != nil {
		return traffic.Observation{}, err
	}
	if err := r.observeEndpoints(ctx, t, services, ports, &o); err != nil {
		return traffic.Observation{}, err
	}
	return o, errors.Join(unusable...)
}

// observeRoutes returns the routes that can be used, and the errors of the others; err is
// a failed read.
func (r *Router) observeRoutes(ctx context.Context, t traffic.Target, o *traffic.Observation) (usable []*route, unusable []error, err error) {
	n := namesOf(t)
	var shares []ruleShare
	var waiting []string
	// What each route sends to the candidate beside its share.
	var beside []traffic.Split
	mixed, added := false, false
	for _, ref := range t.Routes {
		one, err := r.route(ctx, t, ref)
		if errors.Is(err, traffic.ErrNotFound) || errors.Is(err, traffic.ErrUnusable) {
			unusable = append(unusable, err)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		o.Marked = o.Marked || one.marked(r.manager)
		o.Epoch = max(o.Epoch, one.fence())
		added = added || len(one.added) > 0 || one.mirrors.any()
		said := sharesOf(one.rules, n, one.originals)
		if len(said) == 0 {
			unusable = append(unusable, fmt.Errorf("%w: %s has no backendRef to Service %q: add one, or remove the route from spec.traffic.routes", traffic.ErrNotRouted, ref, t.Service))
			continue
		}
		usable, shares = append(usable, one), append(shares, said...)
		unusable = append(unusable, one.faults(n, t)...)
		if err := r.percentFault(ctx, t, one); err != nil {
			unusable = append(unusable, err)
		}
		match, differs := one.inForce(n)
		percent, otherwise := one.mirrorInForce(n)
		beside, mixed = append(beside, traffic.Split{Testers: match, Mirror: percent}), mixed || differs || otherwise
		if missing := one.unacknowledged(); missing != "" {
			waiting = append(waiting, missing)
		}
		if writer := writerOf(one.object, "rules", r.manager); writer != "" && o.Manager == "" {
			o.Manager = writer
		}
	}
	o.Split, o.Mixed = agree(shares)
	if o.Split == nil && added {
		// Testers or copies reach the candidate although nobody else does.
		o.Split, o.Mixed = &traffic.Split{}, true
	}
	for _, one := range beside {
		mixed = mixed || !equality.Semantic.DeepEqual(one, beside[0])
	}
	if o.Split != nil && len(beside) > 0 {
		o.Split.Testers, o.Split.Mirror = beside[0].Testers, beside[0].Mirror
	}
	o.Mixed = o.Mixed || mixed
	o.Acknowledged, o.Unacknowledged = len(waiting) == 0, strings.Join(waiting, "; ")
	return usable, unusable, nil
}

// Apply writes the split to every route that does not have it yet.
func (r *Router) Apply(ctx context.Context, t traffic.Target, split traffic.Split) error {
	return each(t, func(ref traffic.Route) error { return r.apply(ctx, t, ref, split) })
}

func (r *Router) apply(ctx context.Context, t traffic.Target, ref traffic.Route, split traffic.Split) error {
	one, err := r.route(ctx, t, ref)
	if err != nil {
		return err
	}
	n := namesOf(t)
	added, faults := one.additions(n, split.Testers)
	filters, unfit := one.mirroring(n, split.Mirror)
	if faults = append(faults, unfit...); len(faults) > 0 {
		return fmt.Errorf("%s: %w", ref, errors.Join(faults...))
	}
	changes, kept, refused := share(one.rules, n, split, one.originals)
	if refused != nil {
		refused = fmt.Errorf("%s: %w", ref, refused)
	}
	if len(changes) == 0 && len(one.added) == 0 && !one.mirrors.any() {
		return refused
	}
	encoded, err := kept.encode()
	if err != nil {
		return err
	}
	notes, err := one.notes(split.Testers, added)
	if err != nil {
		return err
	}
	rules := one.rewrite(changes, added, filters)
	if split.Mirror < 100 && adds(filters) {
		if err := r.keepsPercent(ctx, one, namesOf(t), rules); err != nil {
			return err
		}
	}
	operations := slices.Concat(rules, annotate(one.object.GetAnnotations(),
		[2]string{v1alpha1.AnnotationOriginal + t.Owner, encoded}, fenceOf(t)), notes, one.mirrorNotes(n.mirrorNote(split.Mirror)))
	return errors.Join(r.write(ctx, one.object, one.resource(), operations), refused)
}

// fenceOf is the annotation with the target's epoch.
func fenceOf(t traffic.Target) [2]string {
	return [2]string{v1alpha1.AnnotationFence + t.Owner, strconv.FormatInt(t.Epoch, 10)}
}

// Release makes every route refer to the user's Service again, and then gives up Belay's
// field ownership. A route that was deleted needs no release.
func (r *Router) Release(ctx context.Context, t traffic.Target) error {
	return each(t, func(ref traffic.Route) error {
		err := r.release(ctx, t, ref)
		if errors.Is(err, traffic.ErrNotFound) {
			return nil
		}
		return err
	})
}

func (r *Router) release(ctx context.Context, t traffic.Target, ref traffic.Route) error {
	one, err := r.route(ctx, t, ref)
	if err != nil {
		return err
	}
	if restored := one.rewrite(restore(one.rules, namesOf(t), one.originals), nil, nil); len(restored) > 0 {
		restored = slices.Concat(restored, annotate(one.object.GetAnnotations(), fenceOf(t)),
			unannotate(one.object.GetAnnotations(), v1alpha1.AnnotationTesters+t.Owner, v1alpha1.AnnotationMirror+t.Owner))
		if err := r.write(ctx, one.object, one.resource(), restored); err != nil {
			return err
		}
	}
	given := unannotate(one.object.GetAnnotations(), one.annotations()...)
	if !one.inUseByOthers() {
		given = slices.Concat(given, disown(one.object, r.manager))
	}
	return r.write(ctx, one.object, one.resource(), given)
}

// each changes every route, also when changes of others fail.
func each(t traffic.Target, change func(ref traffic.Route) error) error {
	var failed []error
	for _, ref := range t.Routes {
		if err := change(ref); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
