package gateway

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// reference is a backendRef as the API server has it, including fields that Belay does not
// know.
type reference map[string]any

// role is what a backendRef refers to.
type role int

const (
	roleOther role = iota
	roleService
	roleStable
	roleCanary
)

// names are the names that tell the roles apart.
type names struct {
	namespace, service, stable, canary string
	// comparer gets copies of requests in place of the canary; nil for none.
	comparer *v1alpha1.Comparer
}

func namesOf(t traffic.Target) names {
	stable, canary := v1alpha1.PairNames(t.Owner)
	return names{namespace: t.Namespace, service: t.Service, stable: stable, canary: canary, comparer: t.Comparer}
}

// roleOf is roleOther for anything but a Service of the route's own namespace.
func (n names) roleOf(ref reference) role {
	switch n.serviceOf(ref) {
	case "":
		return roleOther
	case n.service:
		return roleService
	case n.stable:
		return roleStable
	case n.canary:
		return roleCanary
	default:
		return roleOther
	}
}

// serviceOf is the name of the Service of the route's own namespace that a reference names;
// empty for anything else.
func (n names) serviceOf(ref reference) string {
	if kind := ref.text("kind"); kind != "" && kind != "Service" || ref.text("group") != "" {
		return ""
	}
	if namespace := ref.text("namespace"); namespace != "" && namespace != n.namespace {
		return ""
	}
	return ref.text("name")
}

func (r reference) text(key string) string {
	s, _ := r[key].(string)
	return s
}

// number is 0 for a field that is absent or not a number.
func (r reference) number(key string) int64 {
	switch v := r[key].(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	default:
		return 0
	}
}

func (r reference) port() int32 { return int32(r.number("port")) }

// weight is 1 when it is absent, as Gateway API has it.
func (r reference) weight() float64 {
	if _, ok := r["weight"]; !ok {
		return 1
	}
	return float64(r.number("weight"))
}

// with is a copy that refers to another Service with another weight.
func (r reference) with(name string, weight int64) reference {
	out := r.copied()
	out["name"], out["weight"] = name, weight
	return out
}

func (r reference) copied() reference { return reference(runtime.DeepCopyJSON(r)) }

func (r reference) sameBackend(o reference) bool {
	return r.text("name") == o.text("name") && r.text("namespace") == o.text("namespace") && r.port() == o.port()
}

func copied(refs []reference) []reference {
	out := make([]reference, len(refs))
	for i, ref := range refs {
		out[i] = ref.copied()
	}
	return out
}

// rule is a route's rule as the API server has it.
type rule map[string]any

// rulesOf are the rules of a route's spec.
func rulesOf(spec map[string]any) []rule {
	list, _ := spec["rules"].([]any)
	out := make([]rule, len(list))
	for i, one := range list {
		out[i], _ = one.(map[string]any)
	}
	return out
}

func (r rule) references() []reference {
	list, _ := r["backendRefs"].([]any)
	out := make([]reference, len(list))
	for i, one := range list {
		ref, _ := one.(map[string]any)
		if ref == nil {
			ref = map[string]any{}
		}
		out[i] = ref
	}
	return out
}

// matcher is the rule without its backendRefs. It identifies the rule when its place among
// the rules changes.
func (r rule) matcher() map[string]any {
	out := maps.Clone(r)
	delete(out, "backendRefs")
	return out
}

// standing is how a rule relates to a Rollout.
type standing int

const (
	// foreign rules do not concern the Rollout. A user's own rule that refers to only one
	// of the generated Services, for testers, is foreign too.
	foreign standing = iota
	// whole rules refer to the user's Service.
	whole
	// shared rules refer to the two generated Services instead.
	shared
	// torn rules refer to both: somebody changed a shared rule by hand.
	torn
)

// standingOf returns a rule's standing. saved is whether Belay has saved the rule's
// original references.
func (n names) standingOf(r rule, saved bool) standing {
	var named [roleCanary + 1]bool
	for _, ref := range r.references() {
		named[n.roleOf(ref)] = true
	}
	pair := named[roleStable] || named[roleCanary]
	switch {
	case named[roleService] && pair:
		return torn
	case named[roleService]:
		return whole
	case named[roleStable] && named[roleCanary], pair && saved:
		return shared
	default:
		return foreign
	}
}

// unshared is a rule's references without Belay's split: its own while it still refers to
// the user's Service; otherwise they are reconstructed from those to the generated
// Services, with the saved weights. It is nil for a foreign rule.
func (n names) unshared(r rule, saved []reference) []reference {
	switch n.standingOf(r, saved != nil) {
	case foreign:
		return nil
	case whole:
		return copied(r.references())
	case torn:
		return merged(n.joined(r.references()))
	default:
		made := n.joined(r.references())
		if !slices.EqualFunc(made, saved, reference.sameBackend) {
			return withoutLoneWeight(made)
		}
		for i, before := range saved {
			// Anybody who may write the route may have changed what was saved.
			weight, ok := before["weight"].(int64)
			switch {
			case ok && weight >= 0 && weight <= maxWeight:
				made[i]["weight"] = weight
			case before["weight"] == nil:
				delete(made[i], "weight")
			}
		}
		return made
	}
}

// joined replaces each pair of a stable and a canary reference by one to the user's Service
// with the weight of both.
func (n names) joined(refs []reference) []reference {
	var out []reference
	open := map[int]bool{}
	for _, ref := range refs {
		switch n.roleOf(ref) {
		case roleStable:
			open[len(out)] = true
			out = append(out, ref.with(n.service, int64(ref.weight())))
		case roleCanary:
			i := 0
			for i < len(out) && (!open[i] || out[i].port() != ref.port()) {
				i++
			}
			if i == len(out) {
				out = append(out, ref.with(n.service, int64(ref.weight())))
				continue
			}
			open[i] = false
			out[i]["weight"] = out[i].number("weight") + int64(ref.weight())
		default:
			out = append(out, ref.copied())
		}
	}
	return out
}

// merged adds up the weights of references to the same backend.
func merged(refs []reference) []reference {
	var out []reference
	for _, ref := range refs {
		i := slices.IndexFunc(out, ref.sameBackend)
		if i < 0 {
			out = append(out, ref)
			continue
		}
		out[i]["weight"] = int64(out[i].weight() + ref.weight())
	}
	return withoutLoneWeight(out)
}

// withoutLoneWeight removes the weight of a single reference, which gets all requests
// whatever its weight.
func withoutLoneWeight(refs []reference) []reference {
	if len(refs) == 1 && refs[0].weight() > 0 {
		delete(refs[0], "weight")
	}
	return refs
}
