package gatewayapi

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
)

// rules works on a route's rules alone, so that it can be tested without an API
// server. All functions return new rules and leave theirs as they were.

// share replaces, in every rule that refers to the user's Service or to the
// pair, those references by the pair with the split's weights. Where other
// backends share the rule, all weights are scaled first, so that their
// proportions stay as they are. It returns the rules' original references for restore.
func share(rules []gatewayv1.HTTPRouteRule, t traffic.Target, split traffic.Split, saved originals) ([]gatewayv1.HTTPRouteRule, originals, error) {
	out := make([]gatewayv1.HTTPRouteRule, len(rules))
	kept := originals{}
	found := false
	for i := range rules {
		out[i] = *rules[i].DeepCopy()
		original, ok := originalRefs(rules[i], t, saved[i])
		if !ok {
			continue
		}
		found = true
		kept[i] = original
		out[i].BackendRefs = sharedRefs(original, t, split)
	}
	if !found {
		return nil, nil, fmt.Errorf("%w: no backendRef names %q", traffic.ErrNotRouted, t.Service)
	}
	return out, kept, nil
}

// originalRefs is what the rule said before Belay shared it: its own references
// while it still names the user's Service, else those saved.
func originalRefs(rule gatewayv1.HTTPRouteRule, t traffic.Target, saved []gatewayv1.HTTPBackendRef) ([]gatewayv1.HTTPBackendRef, bool) {
	shared := false
	for _, ref := range rule.BackendRefs {
		if refersTo(ref, t.Service, t) {
			return rule.DeepCopy().BackendRefs, true
		}
		shared = shared || refersTo(ref, t.Stable, t)
	}
	if !shared {
		return nil, false
	}
	// Rules are known by their place. Somebody may have moved them during the run,
	// so what was saved counts only for a rule that shares with the same others.
	made := rebuilt(rule, t)
	if sameBackends(saved, made) {
		return saved, true
	}
	return made, true
}

// rebuilt makes the original references up from the pair: the stable one,
// renamed, with the weight that the two have together.
func rebuilt(rule gatewayv1.HTTPRouteRule, t traffic.Target) []gatewayv1.HTTPBackendRef {
	split, _, _ := splitOfRule(rule, t)
	var refs []gatewayv1.HTTPBackendRef
	for _, ref := range rule.DeepCopy().BackendRefs {
		switch {
		case refersTo(ref, t.Canary, t):
		case refersTo(ref, t.Stable, t):
			ref.Name = gatewayv1.ObjectName(t.Service)
			if split != nil && split.Canary < 100 && ref.Weight != nil {
				ref.Weight = ptr(*ref.Weight * 100 / (100 - split.Canary))
			}
			refs = append(refs, ref)
		default:
			refs = append(refs, ref)
		}
	}
	if len(refs) == 1 {
		refs[0].Weight = nil
	}
	return refs
}

func sameBackends(a, b []gatewayv1.HTTPBackendRef) bool {
	return slices.EqualFunc(a, b, func(a, b gatewayv1.HTTPBackendRef) bool {
		return a.Name == b.Name && equalOr(a.Namespace, b.Namespace) && equalOr(a.Port, b.Port)
	})
}

func sharedRefs(original []gatewayv1.HTTPBackendRef, t traffic.Target, split traffic.Split) []gatewayv1.HTTPBackendRef {
	scale := scaleOf(original)
	var refs []gatewayv1.HTTPBackendRef
	for _, ref := range original {
		weight := weightOf(ref) * scale
		if len(original) == 1 {
			weight = 100
		}
		if !refersTo(ref, t.Service, t) {
			other := *ref.DeepCopy()
			other.Weight = ptr(int32(math.Round(weight)))
			refs = append(refs, other)
			continue
		}
		stable, canary := *ref.DeepCopy(), *ref.DeepCopy()
		given := int32(math.Round(weight * float64(split.Canary) / 100))
		stable.Name, stable.Weight = gatewayv1.ObjectName(t.Stable), ptr(int32(math.Round(weight))-given)
		canary.Name, canary.Weight = gatewayv1.ObjectName(t.Canary), &given
		refs = append(refs, stable, canary)
	}
	return refs
}

// maxWeight is the largest that Gateway API takes.
const maxWeight = 1_000_000

// scaleOf is 100, which keeps all proportions exact, or as much as the largest
// weight leaves room for.
func scaleOf(refs []gatewayv1.HTTPBackendRef) float64 {
	scale := 100.0
	for _, ref := range refs {
		if w := weightOf(ref); w > 0 {
			scale = min(scale, maxWeight/w)
		}
	}
	return scale
}

func weightOf(ref gatewayv1.HTTPBackendRef) float64 {
	if ref.Weight == nil {
		return 1
	}
	return float64(*ref.Weight)
}

// restore puts the saved references back.
func restore(rules []gatewayv1.HTTPRouteRule, t traffic.Target, saved originals) []gatewayv1.HTTPRouteRule {
	out := make([]gatewayv1.HTTPRouteRule, len(rules))
	for i := range rules {
		out[i] = *rules[i].DeepCopy()
		if original, ok := originalRefs(rules[i], t, saved[i]); ok {
			out[i].BackendRefs = original
		}
	}
	return out
}

// splitOf reads the share back from a route's rules: the first that one of them
// carries. ok is false when the rules disagree or only some of them are shared.
func splitOf(rules []gatewayv1.HTTPRouteRule, t traffic.Target) (split *traffic.Split, routed, ok bool) {
	var seen []*traffic.Split
	shut := false
	for i := range rules {
		one, refers, serves := splitOfRule(rules[i], t)
		routed = routed || refers
		if refers && serves {
			seen = append(seen, one)
		}
		shut = shut || refers && !serves && one != nil
	}
	if len(seen) == 0 && shut {
		// Whatever the share is, nobody gets it.
		return &traffic.Split{}, routed, true
	}
	ok = true
	for _, one := range seen {
		ok = ok && equalSplit(one, seen[0])
		if split == nil {
			split = one
		}
	}
	return split, routed, ok
}

// splitOfRule is nil for a rule that names the user's Service. serves is false
// for one whose weight for it, or for the pair, is 0: it has no share to agree on.
func splitOfRule(rule gatewayv1.HTTPRouteRule, t traffic.Target) (split *traffic.Split, refers, serves bool) {
	var stable, canary, own float64
	pair, service := false, false
	for _, ref := range rule.BackendRefs {
		switch {
		case refersTo(ref, t.Service, t):
			service, own = true, own+weightOf(ref)
		case refersTo(ref, t.Stable, t):
			pair, stable = true, stable+weightOf(ref)
		case refersTo(ref, t.Canary, t):
			pair, canary = true, canary+weightOf(ref)
		}
	}
	switch {
	case service:
		return nil, true, own > 0
	case !pair:
		return nil, false, false
	case stable+canary == 0:
		return &traffic.Split{}, true, false
	default:
		return &traffic.Split{Canary: int32(math.Round(100 * canary / (stable + canary)))}, true, true
	}
}

func equalSplit(a, b *traffic.Split) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// refersTo reports whether a backendRef names a Service of the target's
// namespace, which is the route's own.
func refersTo(ref gatewayv1.HTTPBackendRef, service string, t traffic.Target) bool {
	if ref.Kind != nil && *ref.Kind != "Service" || ref.Group != nil && *ref.Group != "" {
		return false
	}
	if ref.Namespace != nil && string(*ref.Namespace) != t.Namespace {
		return false
	}
	return string(ref.Name) == service
}

// originals are the references that rules had before a run, by rule index.
type originals map[int][]gatewayv1.HTTPBackendRef

func (o originals) encode() (string, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("save the route's original backendRefs: %w", err)
	}
	return string(raw), nil
}

// decodeOriginals reads what encode wrote. An unreadable annotation counts as
// lost: the references are then rebuilt from the pair.
func decodeOriginals(annotation string) originals {
	var o originals
	if json.Unmarshal([]byte(annotation), &o) != nil {
		return nil
	}
	return o
}

func ptr[T any](v T) *T { return &v }
