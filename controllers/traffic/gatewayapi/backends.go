package gatewayapi

import (
	"encoding/json"
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
)

// rules works on a route's rules alone, so that it can be tested without an API
// server. All functions return new rules and leave theirs as they were.

// share replaces, in every rule that refers to the user's Service or to the
// pair, those references by the pair with the split's weights. Where other
// backends share the rule, all weights are scaled by 100 first, so that their
// proportions stay exact. It returns the rules' original references for restore.
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
	split, _ := splitOfRule(rule, t)
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
	alone := len(original) == 1
	var refs []gatewayv1.HTTPBackendRef
	for _, ref := range original {
		weight := int32(1)
		if ref.Weight != nil {
			weight = *ref.Weight
		}
		if alone {
			weight = 1
		}
		if !refersTo(ref, t.Service, t) {
			other := *ref.DeepCopy()
			other.Weight = ptr(weight * 100)
			refs = append(refs, other)
			continue
		}
		stable, canary := *ref.DeepCopy(), *ref.DeepCopy()
		stable.Name, stable.Weight = gatewayv1.ObjectName(t.Stable), ptr(weight*(100-split.Canary))
		canary.Name, canary.Weight = gatewayv1.ObjectName(t.Canary), ptr(weight*split.Canary)
		refs = append(refs, stable, canary)
	}
	return refs
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

// splitOf reads the share back from a route's rules. ok is false when the rules
// disagree or only some of them are shared.
func splitOf(rules []gatewayv1.HTTPRouteRule, t traffic.Target) (split *traffic.Split, routed, ok bool) {
	first := true
	ok = true
	for i := range rules {
		one, refers := splitOfRule(rules[i], t)
		if !refers {
			continue
		}
		routed = true
		if !first && !equalSplit(split, one) {
			ok = false
		}
		split, first = one, false
	}
	return split, routed, ok
}

func splitOfRule(rule gatewayv1.HTTPRouteRule, t traffic.Target) (split *traffic.Split, refers bool) {
	var stable, canary int64
	pair := false
	for _, ref := range rule.BackendRefs {
		weight := int64(1)
		if ref.Weight != nil {
			weight = int64(*ref.Weight)
		}
		switch {
		case refersTo(ref, t.Service, t):
			return nil, true
		case refersTo(ref, t.Stable, t):
			pair, stable = true, stable+weight
		case refersTo(ref, t.Canary, t):
			pair, canary = true, canary+weight
		}
	}
	if !pair {
		return nil, false
	}
	if stable+canary == 0 {
		return &traffic.Split{Canary: 0}, true
	}
	return &traffic.Split{Canary: int32(canary * 100 / (stable + canary))}, true
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
