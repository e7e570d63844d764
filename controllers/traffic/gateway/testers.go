package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// While testers reach the candidate, each rule that refers to the user's Service has a copy
// in front of it, whose matches also ask for the testers' and whose backendRefs are the
// canary's. Gateway API prefers of two rules with the same path and method the one with more
// header matches, then with more query parameters, then the first: so the copy gets what its
// rule would have got of the testers' requests, and may get what another rule of the same path
// took by fewer conditions.

// The limits of Gateway API.
const (
	maxRules       = 16
	maxRuleMatches = 64
	maxMatches     = 128
	maxConditions  = 16
)

// testers is the annotation with the match that is in force on a route.
type testers struct {
	Match *v1alpha1.StepMatch `json:"match"`
	// Rules are digests of the rules that were added, without their names. API servers with
	// a Gateway API before 1.2 drop the names.
	Rules []string `json:"rules"`
}

func decodeTesters(annotation string) testers {
	var t testers
	if json.Unmarshal([]byte(annotation), &t) != nil {
		return testers{}
	}
	return t
}

// ownName is the name of the owner's added rule with this number.
func ownName(owner string, number int) string { return fmt.Sprintf("belay.%s.%d", owner, number) }

// isOwnName reports whether a rule's name is one that ownName makes for the owner.
func isOwnName(name, owner string) bool {
	number, ok := strings.CutPrefix(name, "belay."+owner+".")
	n, err := strconv.Atoi(number)
	return ok && err == nil && ownName(owner, n) == name
}

// parted takes the rules apart: those that Belay has added for the owner, and all others in
// their order. A rule is Belay's by its name, or where names are dropped by its digest. With
// no annotation it has to refer to the canary alone too.
func parted(all []rule, n names, owner string, noted testers) (users, added []rule) {
	left := map[string]int{}
	for _, d := range noted.Rules {
		left[d]++
	}
	ours := make([]bool, len(all))
	for i, r := range all {
		name, _ := r["name"].(string)
		ours[i] = isOwnName(name, owner) && (noted.Match != nil || n.canaryOnly(r))
		if ours[i] {
			left[r.nameless()]--
		}
	}
	for i, r := range all {
		if name, _ := r["name"].(string); !ours[i] && name == "" && n.canaryOnly(r) && left[r.nameless()] > 0 {
			ours[i] = true
			left[r.nameless()]--
		}
		if ours[i] {
			added = append(added, r)
		} else {
			users = append(users, r)
		}
	}
	return users, added
}

func (n names) canaryOnly(r rule) bool {
	refs := r.references()
	for _, ref := range refs {
		if n.roleOf(ref) != roleCanary {
			return false
		}
	}
	return len(refs) > 0
}

// nameless is a digest of the whole rule but its name.
func (r rule) nameless() string {
	whole := maps.Clone(r)
	delete(whole, "name")
	return digestOf(whole)
}

// addition is a rule to be added, in front of the user's rule with this index.
type addition struct {
	before int
	rule   rule
}

// additions are the rules that send the testers' requests to the canary; none without a
// match. The errors say which rules cannot be copied, and why.
func (r *route) additions(n names, match *v1alpha1.StepMatch) (out []addition, refused []error) {
	if match == nil {
		return nil, nil
	}
	if r.ref.Kind != v1alpha1.KindHTTPRoute && len(match.Cookies)+len(match.QueryParams) > 0 {
		return nil, []error{fmt.Errorf("%w: the step's match has cookies or query parameters, and a %s matches headers alone: use match.headers", traffic.ErrUnusable, r.ref.Kind)}
	}
	assigned, tried := r.originals.assign(r.rules, n), false
	for i, one := range r.rules {
		refs := n.canaryReferences(n.unshared(one, assigned[i]))
		if len(refs) == 0 {
			continue
		}
		tried = true
		copied, fault := r.copied(one, match)
		if fault != "" {
			refused = append(refused, fmt.Errorf("%w: rule %d: %s", traffic.ErrUnusable, i, fault))
			continue
		}
		if copied == nil {
			continue
		}
		copied["backendRefs"], copied["name"] = refs, ownName(r.owner, len(out))
		if same := r.userHas(copied); same >= 0 {
			refused = append(refused, fmt.Errorf("%w: rule %d is already what the step's match would add for rule %d: remove it from the route, or remove match from the step", traffic.ErrUnusable, same, i))
			continue
		}
		out = append(out, addition{i, copied})
	}
	if tried && len(out) == 0 && len(refused) == 0 {
		refused = append(refused, fmt.Errorf("%w: no rule can have a request with %s: each asks for another value of one of these; change the step's match", traffic.ErrUnusable, match))
	}
	if fault := r.overLimit(out); fault != "" {
		refused = append(refused, fmt.Errorf("%w: %s", traffic.ErrUnusable, fault))
	}
	return out, refused
}

// userHas is the index of a user's rule without a name that is otherwise this one; -1 for none.
// If Belay's were removed, that rule could not be told from it.
func (r *route) userHas(added rule) int {
	wanted := added.nameless()
	return slices.IndexFunc(r.rules, func(one rule) bool {
		name, _ := one["name"].(string)
		return name == "" && one.nameless() == wanted
	})
}

// canaryReferences are the references to the user's Service, to the canary instead; none when
// their weights are 0.
func (n names) canaryReferences(original []reference) []any {
	var out []any
	total := 0.0
	for _, ref := range original {
		if n.roleOf(ref) != roleService {
			continue
		}
		total += ref.weight()
		out = append(out, map[string]any(ref.with(n.canary, int64(ref.weight()))))
	}
	if total == 0 {
		return nil
	}
	return out
}

// overLimit says which limit of Gateway API the route would exceed.
func (r *route) overLimit(added []addition) string {
	rules, total := len(r.rules)+len(added), 0
	for _, one := range r.rules {
		total += len(one.matches())
	}
	for _, one := range added {
		matches := len(one.rule.matches())
		total += matches
		if matches > maxRuleMatches {
			return fmt.Sprintf("for the step's match rule %d would be copied with %d matches, and Gateway API allows %d: remove some, or remove match from the step", one.before, matches, maxRuleMatches)
		}
	}
	const remedy = ": spread the rules over two routes, or remove match from the step"
	switch {
	case rules > maxRules:
		return fmt.Sprintf("it has %d rules, with those for the step's match it would have %d, and Gateway API allows %d%s", len(r.rules), rules, maxRules, remedy)
	case total > maxMatches:
		return fmt.Sprintf("with those for the step's match it would have %d matches, and Gateway API allows %d%s", total, maxMatches, remedy)
	}
	return ""
}

func (r rule) matches() []any {
	list, _ := r["matches"].([]any)
	return list
}

// copied is a user's rule with the testers' match in each of its matches. It is nil when no
// request can have both.
func (r *route) copied(one rule, match *v1alpha1.StepMatch) (rule, string) {
	out := rule(runtime.DeepCopyJSON(one.matcher()))
	given := one.matches()
	if len(given) == 0 {
		given = []any{map[string]any{}}
	}
	var combined []any
	for i, m := range given {
		before, _ := m.(map[string]any)
		both, never, fault := r.combined(before, match)
		if fault != "" {
			return nil, fmt.Sprintf("match %d: %s", i, fault)
		}
		if !never {
			combined = append(combined, both)
		}
	}
	if len(combined) == 0 {
		return nil, ""
	}
	out["matches"] = combined
	return out, ""
}

// notes bring the annotation up to what is in force after a write.
func (r *route) notes(match *v1alpha1.StepMatch, added []addition) ([]operation, error) {
	key, annotations := v1alpha1.AnnotationTesters+r.owner, r.object.GetAnnotations()
	if match == nil {
		return unannotate(annotations, key), nil
	}
	t := testers{Match: match}
	for _, one := range added {
		t.Rules = append(t.Rules, one.rule.nameless())
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("save the testers' match: %w", err)
	}
	return renoted(annotations, key, string(raw)), nil
}

// inForce is the testers' match that the route carries out. mixed is set when the added rules
// are not what the annotation says. A route that was written anew, without them, has none.
func (r *route) inForce(n names) (match *v1alpha1.StepMatch, mixed bool) {
	wanted, refused := r.additions(n, r.noted.Match)
	switch {
	case r.noted.Match == nil || len(refused) > 0:
		return nil, len(r.added) > 0
	case len(r.added) == 0 && len(wanted) > 0:
		return nil, false
	case len(r.added) != len(wanted):
		return nil, true
	}
	for i, one := range wanted {
		if one.rule.nameless() != r.added[i].nameless() {
			return nil, true
		}
	}
	return r.noted.Match, false
}

// interleaved are the user's rules after the changes, with the additions, and with the filters
// that mirror.
func interleaved(rules []rule, changes []change, added []addition, filters []map[string]any) []any {
	users := make([]map[string]any, len(rules))
	for i, r := range rules {
		users[i] = r
	}
	for _, c := range changes {
		changed := rules[c.index].matcher()
		refs := make([]any, len(c.references))
		for i, ref := range c.references {
			refs[i] = map[string]any(ref)
		}
		changed["backendRefs"] = refs
		users[c.index] = changed
	}
	for i, filter := range filters {
		if filter != nil {
			users[i] = rule(users[i]).withFilters(append(slices.Clone(rules[i].filters()), filter))
		}
	}
	var out []any
	for i, user := range users {
		for _, one := range added {
			if one.before == i {
				out = append(out, map[string]any(one.rule))
			}
		}
		out = append(out, user)
	}
	return out
}

// rewrite is the change of the route's rules. Rules that are added or removed move the others,
// so that the whole list is written then, and where filters change too.
func (r *route) rewrite(changes []change, added []addition, filters []map[string]any) []operation {
	if len(r.added) == 0 && len(added) == 0 && !r.mirrors.any() && !adds(filters) {
		return operationsOf(changes, r.rules)
	}
	next := interleaved(r.rules, changes, added, filters)
	now, _ := r.object.Object["spec"].(map[string]any)["rules"].([]any)
	if equality.Semantic.DeepEqual(withoutOwnNames(next, r.owner), withoutOwnNames(now, r.owner)) {
		return nil
	}
	return []operation{{Op: "replace", Path: "/spec/rules", Value: next}}
}

// withoutOwnNames are the rules as an API server keeps them that drops names.
func withoutOwnNames(rules []any, owner string) []any {
	out := make([]any, len(rules))
	for i, one := range rules {
		r, _ := one.(map[string]any)
		if name, _ := r["name"].(string); isOwnName(name, owner) {
			r = maps.Clone(r)
			delete(r, "name")
		}
		out[i] = r
	}
	return out
}
