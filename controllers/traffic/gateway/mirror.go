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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// While a share of the requests is mirrored, each rule with requests for the user's Service has
// one filter RequestMirror more, the last of its filters, whose backend is the canary's Service or
// the comparer's.

// maxFilters is the limit of Gateway API for a rule.
const maxFilters = 16

const typeMirror = string(gatewayv1.HTTPRouteFilterRequestMirror)

// mirrors are the filters that Belay has added, rule by rule.
type mirrors [][]any

func (m mirrors) any() bool {
	return slices.ContainsFunc(m, func(added []any) bool { return len(added) > 0 })
}

// mirrorFilter is the filter as the API server keeps it. Without a percentage everything is
// mirrored, also by versions of Gateway API before 1.3, which have none.
func (n names) mirrorFilter(port, percent int32) map[string]any {
	if n.comparer != nil {
		port = n.comparer.Port
	}
	mirror := map[string]any{"backendRef": map[string]any{"group": "", "kind": "Service", "name": n.copied(), "port": int64(port)}}
	if percent < 100 {
		mirror["percent"] = int64(percent)
	}
	return map[string]any{"type": typeMirror, "requestMirror": mirror}
}

// copied is the Service that copies go to.
func (n names) copied() string {
	if n.comparer != nil {
		return n.comparer.Service
	}
	return n.canary
}

// mirrors reports whether a filter copies requests to that Service.
func (n names) mirrors(filter any) bool { return n.mirrorsTo(n.copied(), filter) }

func (n names) mirrorsTo(service string, filter any) bool {
	f, _ := filter.(map[string]any)
	mirror, _ := f["requestMirror"].(map[string]any)
	ref, _ := mirror["backendRef"].(map[string]any)
	return f["type"] == typeMirror && n.serviceOf(ref) == service
}

func (r rule) filters() []any {
	list, _ := r["filters"].([]any)
	return list
}

// withFilters is a copy of the rule with other filters; none where there are no filters.
func (r rule) withFilters(filters []any) rule {
	out := maps.Clone(r)
	if out["filters"] = filters; filters == nil {
		delete(out, "filters")
	}
	return out
}

// mirrorNote is the annotation with what is mirrored: the percentage, and the comparer's Service
// when copies go to one. The filters of one that is no longer named are found by it.
type mirrorNote struct {
	percent int32
	to      string
}

func (n names) mirrorNote(percent int32) mirrorNote {
	if percent == 0 || n.comparer == nil {
		return mirrorNote{percent: percent}
	}
	return mirrorNote{percent, n.comparer.Service}
}

func decodeMirror(annotation string) mirrorNote {
	share, to, _ := strings.Cut(annotation, " ")
	percent, err := strconv.ParseInt(share, 10, 32)
	if err != nil || percent < 1 || percent > 100 {
		return mirrorNote{}
	}
	return mirrorNote{int32(percent), to}
}

// encode is empty while nothing is mirrored.
func (m mirrorNote) encode() string {
	if m.percent == 0 {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprintf("%d %s", m.percent, m.to), " ")
}

// unmirror takes Belay's filters out of the rules, and keeps them in mirrors. A filter is
// Belay's while the annotation says that something is mirrored, because none is added to a route
// with a user's own. Without the annotation it is Belay's where the rule was saved without it.
func (r *route) unmirror(n names) {
	r.mirrors = make(mirrors, len(r.rules))
	for i, one := range r.rules {
		bare, added := r.unmirrored(one, n)
		if len(added) == 0 {
			continue
		}
		saved := n.standingOf(bare, true) != foreign && !r.originals.have(one) && r.originals.have(bare)
		if r.mirrored.percent > 0 || saved {
			r.rules[i], r.mirrors[i] = bare, added
		}
	}
}

// unmirrored is a rule without the filters that copy. An empty list of filters stays
// one where the user's was.
func (r *route) unmirrored(one rule, n names) (bare rule, added []any) {
	var rest []any
	for _, filter := range one.filters() {
		if n.mirrors(filter) || r.mirrored.to != "" && n.mirrorsTo(r.mirrored.to, filter) {
			added = append(added, filter)
		} else {
			rest = append(rest, filter)
		}
	}
	bare = one.withFilters(rest)
	if empty := one.withFilters([]any{}); rest == nil && !r.originals.have(bare) && r.originals.have(empty) {
		bare = empty
	}
	return bare, added
}

// have reports whether this rule was saved, whatever its backendRefs are now.
func (o originals) have(r rule) bool {
	wanted := digest(r)
	return slices.ContainsFunc(o, func(one original) bool { return one.Rule == wanted })
}

// mirroring are the filters to be added, one for each rule, nil for a rule without. The errors
// say which rules cannot have one, and why.
func (r *route) mirroring(n names, percent int32) (out []map[string]any, refused []error) {
	out = make([]map[string]any, len(r.rules))
	if percent == 0 {
		return out, nil
	}
	if r.ref.Kind != v1alpha1.KindHTTPRoute {
		return out, []error{fmt.Errorf("%w: only HTTPRoutes can mirror a share of the requests, and this is a %s: remove mirror from the steps, or the route from spec.traffic.routes", traffic.ErrUnusable, r.ref.Kind)}
	}
	assigned := r.originals.assign(r.rules, n)
	for i, one := range r.rules {
		port, filters := n.mirroredPort(n.unshared(one, assigned[i])), one.filters()
		switch {
		case slices.ContainsFunc(filters, n.mirrors):
			// Also in a rule for another Service: it could not be told from Belay's.
			refused = append(refused, fmt.Errorf("%w: rule %d already mirrors requests to Service %q: remove that filter from the route, or mirror from the step", traffic.ErrUnusable, i, n.copied()))
		case port == 0:
		case len(filters) >= maxFilters:
			refused = append(refused, fmt.Errorf("%w: rule %d has %d filters, as many as Gateway API allows, and the step's mirror is one more: remove one, or mirror from the step", traffic.ErrUnusable, i, len(filters)))
		default:
			out[i] = n.mirrorFilter(port, percent)
		}
	}
	return out, refused
}

// adds is whether any rule gets a filter.
func adds(filters []map[string]any) bool {
	return slices.ContainsFunc(filters, func(filter map[string]any) bool { return filter != nil })
}

// mirroredPort is the port of the first reference to the user's Service with a weight; 0 for a
// rule that gives it no requests.
func (n names) mirroredPort(original []reference) int32 {
	for _, ref := range original {
		if n.roleOf(ref) == roleService && ref.weight() > 0 {
			return ref.port()
		}
	}
	return 0
}

// mirrorInForce is the percentage that the route mirrors. mixed is set when its filters are not
// what the annotation says. A route that was written anew, without them, mirrors nothing.
func (r *route) mirrorInForce(n names) (percent int32, mixed bool) {
	found := r.mirrors.any()
	if r.mirrored.percent == 0 {
		return 0, found
	}
	wanted, refused := r.mirroring(n, r.mirrored.percent)
	if len(refused) > 0 || !found && adds(wanted) {
		return 0, found
	}
	for i, filter := range wanted {
		var one []any
		if filter != nil {
			one = []any{filter}
		}
		if !equality.Semantic.DeepEqual(one, r.mirrors[i]) {
			return 0, true
		}
	}
	return r.mirrored.percent, false
}

// mirrorNotes bring the annotation up to what is mirrored after a write.
func (r *route) mirrorNotes(note mirrorNote) []operation {
	return renoted(r.object.GetAnnotations(), v1alpha1.AnnotationMirror+r.owner, note.encode())
}

// comparerFault says, for a step to come, that copies cannot go to the comparer. A gateway may answer
// a rule's users with errors while a filter of the rule names a Service that is not there.
func (r *Router) comparerFault(ctx context.Context, t traffic.Target) (fault, err error) {
	if t.Comparer == nil || len(t.Mirrors) == 0 {
		return nil, nil
	}
	found, err := r.service(ctx, t.Namespace, t.Comparer.Service)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return fmt.Errorf("%w: Service %q does not exist: deploy the comparer and its Service, or name another one in spec.traffic.comparer.service", traffic.ErrUnusable, t.Comparer.Service), nil
	case portOf(found, t.Comparer.Port) == nil:
		return fmt.Errorf("%w: Service %q has no port %d: add it, or name another one in spec.traffic.comparer.port", traffic.ErrUnusable, t.Comparer.Service, t.Comparer.Port), nil
	}
	return nil, nil
}

// percentFault says, for a percentage of a step to come, that the API server drops it.
func (r *Router) percentFault(ctx context.Context, t traffic.Target, one *route) error {
	at := slices.IndexFunc(t.Mirrors, func(percent int32) bool { return percent < 100 })
	if at < 0 || r.percentKept.Load() {
		return nil
	}
	filters, refused := one.mirroring(namesOf(t), t.Mirrors[at])
	if len(refused) > 0 || !adds(filters) {
		return nil
	}
	if err := r.keepsPercent(ctx, one, namesOf(t), one.rewrite(nil, nil, filters)); errors.Is(err, traffic.ErrUnusable) {
		return err
	}
	return nil
}

// keepsPercent asks by a dry-run whether the API server keeps the percentage of each filter in
// a change. One with a Gateway API before 1.3 drops it, and everything would be mirrored.
func (r *Router) keepsPercent(ctx context.Context, one *route, n names, change []operation) error {
	if len(change) == 0 {
		return nil
	}
	tried := one.object.DeepCopy()
	if err := r.write(ctx, tried, one.resource(), change, client.DryRunAll); err != nil {
		return err
	}
	if !keepPercent(tried, n) {
		return fmt.Errorf("%w: %s: the API server drops requestMirror.percent, so that every request would be copied: install the CustomResourceDefinitions of Gateway API 1.3 or newer, or set the step's mirror to 100", traffic.ErrUnusable, one.ref)
	}
	r.percentKept.Store(true)
	return nil
}

// keepPercent is whether every filter that copies has a percentage, and there is one.
func keepPercent(kept *unstructured.Unstructured, n names) bool {
	spec, _ := kept.Object["spec"].(map[string]any)
	found := false
	for _, one := range rulesOf(spec) {
		for _, filter := range slices.DeleteFunc(one.filters(), func(f any) bool { return !n.mirrors(f) }) {
			if _, has, _ := unstructured.NestedFieldNoCopy(filter.(map[string]any), "requestMirror", "percent"); !has {
				return false
			}
			found = true
		}
	}
	return found
}
