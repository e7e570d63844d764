package gateway

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"belay.dev/belay/controllers/traffic"
)

var shop = namesOf(traffic.Target{Namespace: "shop", Owner: "shop", Service: "shop"})

const unset = -1

func ref(name string, weight int64) reference {
	r := reference{"name": name, "port": int64(80)}
	if weight != unset {
		r["weight"] = weight
	}
	return r
}

func ruleOf(refs ...reference) rule { return matching("", refs...) }

// matching is a rule for the requests with a path.
func matching(path string, refs ...reference) rule {
	list := make([]any, len(refs))
	for i, r := range refs {
		list[i] = map[string]any(r)
	}
	out := rule{"backendRefs": list}
	if path != "" {
		out["matches"] = []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": path}}}
	}
	return out
}

// decoded is a rule as JSON has it.
func decoded(t *testing.T, text string) rule {
	t.Helper()
	var out map[string]any
	if err := utiljson.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// carriedOut returns the rules with their changes.
func carriedOut(rules []rule, changes []change) []rule {
	out := append([]rule(nil), rules...)
	for _, c := range changes {
		changed := rule(out[c.index].matcher())
		list := make([]any, len(c.references))
		for i, r := range c.references {
			list[i] = map[string]any(r)
		}
		changed["backendRefs"] = list
		out[c.index] = changed
	}
	return out
}

func readBack(rules []rule, saved originals) (*traffic.Split, bool) {
	return agree(sharesOf(rules, shop, saved))
}

func TestShare(t *testing.T) {
	tests := map[string]struct {
		before []rule
		split  int32
		want   []rule
		// restored is what a release makes of want; before, unless it is set.
		restored []rule
	}{
		"a lone reference becomes the pair and sums to 100": {
			before: []rule{ruleOf(ref("shop", unset))},
			split:  5,
			want:   []rule{ruleOf(ref("shop-stable", 95), ref("shop-canary", 5))},
		},
		"a lone reference keeps the weight it had": {
			before: []rule{ruleOf(ref("shop", 7))},
			split:  5,
			want:   []rule{ruleOf(ref("shop-stable", 95), ref("shop-canary", 5))},
		},
		"a lone reference with weight 0 stays shut": {
			before: []rule{matching("/off", ref("shop", 0)), ruleOf(ref("shop", unset))},
			split:  5,
			want:   []rule{matching("/off", ref("shop-stable", 0), ref("shop-canary", 0)), ruleOf(ref("shop-stable", 95), ref("shop-canary", 5))},
		},
		"a shared rule takes the new weights": {
			before:   []rule{ruleOf(ref("shop-stable", 95), ref("shop-canary", 5))},
			split:    25,
			want:     []rule{ruleOf(ref("shop-stable", 75), ref("shop-canary", 25))},
			restored: []rule{ruleOf(ref("shop", unset))},
		},
		"a foreign backend keeps its proportion": {
			before: []rule{ruleOf(ref("shop", 9), ref("legacy", 1))},
			split:  10,
			want:   []rule{ruleOf(ref("shop-stable", 810), ref("shop-canary", 90), ref("legacy", 100))},
		},
		"weights too large to multiply keep their proportion": {
			before: []rule{ruleOf(ref("shop", 30000), ref("legacy", 10000))},
			split:  10,
			want:   []rule{ruleOf(ref("shop-stable", 900000), ref("shop-canary", 100000), ref("legacy", 333333))},
		},
		"a rule that gives the Service nothing has no say in the share": {
			before: []rule{ruleOf(ref("shop", 0), ref("legacy", 1)), matching("/x", ref("shop", unset))},
			split:  25,
			want: []rule{ruleOf(ref("shop-stable", 0), ref("shop-canary", 0), ref("legacy", 100)),
				matching("/x", ref("shop-stable", 75), ref("shop-canary", 25))},
		},
		"a rule about another Service stays as it is": {
			before: []rule{ruleOf(ref("other", 7)), ruleOf(ref("shop", unset))},
			split:  100,
			want:   []rule{ruleOf(ref("other", 7)), ruleOf(ref("shop-stable", 0), ref("shop-canary", 100))},
		},
		"a tester's rule for the canary stays as it is": {
			before: []rule{matching("/test", ref("shop-canary", 1)), ruleOf(ref("shop", unset))},
			split:  20,
			want:   []rule{matching("/test", ref("shop-canary", 1)), ruleOf(ref("shop-stable", 80), ref("shop-canary", 20))},
		},
		"two ports are two pairs": {
			before: []rule{ruleOf(ref("shop", 3), reference{"name": "shop", "port": int64(90), "weight": int64(1)})},
			split:  50,
			want: []rule{ruleOf(ref("shop-stable", 150), ref("shop-canary", 150),
				reference{"name": "shop-stable", "port": int64(90), "weight": int64(50)}, reference{"name": "shop-canary", "port": int64(90), "weight": int64(50)})},
		},
		"a reference to a Service of another namespace is another backend": {
			before: []rule{ruleOf(ref("shop", 1), reference{"name": "shop", "namespace": "old", "port": int64(80), "weight": int64(1)})},
			split:  50,
			want: []rule{ruleOf(ref("shop-stable", 50), ref("shop-canary", 50),
				reference{"name": "shop", "namespace": "old", "port": int64(80), "weight": int64(100)})},
		},
		"a rule that names both is made one of them": {
			before:   []rule{ruleOf(ref("shop", 0), ref("shop-stable", 95), ref("shop-canary", 5))},
			split:    10,
			want:     []rule{ruleOf(ref("shop-stable", 90), ref("shop-canary", 10))},
			restored: []rule{ruleOf(ref("shop", unset))},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			changes, saved, err := share(tc.before, shop, traffic.Split{Canary: tc.split}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := carriedOut(tc.before, changes)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("shared rules (-want +got):\n%s", diff)
			}
			encoded, err := saved.encode()
			if err != nil {
				t.Fatal(err)
			}
			saved = decodeOriginals(encoded)
			if split, mixed := readBack(got, saved); mixed || split == nil || split.Canary != tc.split {
				t.Errorf("read back %v, mixed %v, want %d", split, mixed, tc.split)
			}
			want := tc.restored
			if want == nil {
				want = tc.before
			}
			if diff := cmp.Diff(want, carriedOut(got, restore(got, shop, saved))); diff != "" {
				t.Errorf("restored rules (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSharedReferencesKeepWhatBelayDoesNotKnow: filters of a backendRef, and fields
// newer than Belay, stand on both sides and come back.
func TestSharedReferencesKeepWhatBelayDoesNotKnow(t *testing.T) {
	before := []rule{decoded(t, `{"newer":{"keep":["me"]},"backendRefs":[{"name":"shop","port":80,"newer":true,"filters":[{"type":"RequestHeaderModifier","requestHeaderModifier":{"set":[{"name":"x","value":"y"}]}}]}]}`)}
	want := []rule{decoded(t, `{"newer":{"keep":["me"]},"backendRefs":[
		{"name":"shop-stable","weight":60,"port":80,"newer":true,"filters":[{"type":"RequestHeaderModifier","requestHeaderModifier":{"set":[{"name":"x","value":"y"}]}}]},
		{"name":"shop-canary","weight":40,"port":80,"newer":true,"filters":[{"type":"RequestHeaderModifier","requestHeaderModifier":{"set":[{"name":"x","value":"y"}]}}]}]}`)}
	changes, saved, err := share(before, shop, traffic.Split{Canary: 40}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := carriedOut(before, changes)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shared rules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, carriedOut(got, restore(got, shop, saved))); diff != "" {
		t.Errorf("restored rules (-want +got):\n%s", diff)
	}
}

// TestWhatChangesInARun: rules move, and are edited, between sharing and restoring.
func TestWhatChangesInARun(t *testing.T) {
	before := []rule{matching("/a", ref("shop", 3), ref("legacy", 1)), matching("/b", ref("shop", 5))}
	changes, saved, err := share(before, shop, traffic.Split{Canary: 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b := carriedOut(before, changes)[0], carriedOut(before, changes)[1]
	tester := matching("/test", ref("shop-canary", 1))
	edited := decoded(t, `{"backendRefs":[{"name":"shop-stable","port":80,"weight":80,"filters":[{"type":"URLRewrite"}]},{"name":"shop-canary","port":80,"weight":20,"filters":[{"type":"URLRewrite"}]}]}`)
	edited["matches"] = b["matches"]
	for name, tc := range map[string]struct {
		now, want []rule
		mixed     bool
	}{
		"rules are moved":                           {now: []rule{b, a}, want: []rule{before[1], before[0]}},
		"a tester's rule is put first":              {now: []rule{tester, a, b}, want: []rule{tester, before[0], before[1]}},
		"a tester's rule that is like a shared one": {now: []rule{matching("/b", ref("shop-canary", 1)), a, b}, want: []rule{matching("/b", ref("shop-canary", 1)), before[0], before[1]}},
		"a rule is removed":                         {now: []rule{b}, want: []rule{before[1]}},
		"a shared rule loses its canary reference":  {now: []rule{a, matching("/b", ref("shop-stable", 80))}, want: before, mixed: true},
		"a shared rule loses its stable reference":  {now: []rule{a, matching("/b", ref("shop-canary", 20))}, want: before, mixed: true},
		"a rule is applied again":                   {now: []rule{a, before[1]}, want: before, mixed: true},
		"a filter is added to both sides": {now: []rule{a, edited}, want: []rule{before[0],
			{"matches": b["matches"], "backendRefs": []any{map[string]any{"name": "shop", "port": int64(80), "weight": int64(5), "filters": []any{map[string]any{"type": "URLRewrite"}}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			if split, mixed := readBack(tc.now, saved); split == nil || mixed != tc.mixed || !mixed && split.Canary != 20 {
				t.Errorf("read back %+v, mixed %v, want mixed %v", split, mixed, tc.mixed)
			}
			if diff := cmp.Diff(tc.want, carriedOut(tc.now, restore(tc.now, shop, saved))); diff != "" {
				t.Errorf("restored rules (-want +got):\n%s", diff)
			}
			again, _, err := share(tc.now, shop, traffic.Split{Canary: 60}, saved)
			if err != nil {
				t.Fatal(err)
			}
			if split, mixed := readBack(carriedOut(tc.now, again), saved); mixed || split == nil || split.Canary != 60 {
				t.Errorf("the next write gives %+v, mixed %v, want 60 everywhere", split, mixed)
			}
		})
	}
}

// TestRestoreWithoutSavedReferences makes the weights up: proportions stay.
func TestRestoreWithoutSavedReferences(t *testing.T) {
	for name, tc := range map[string]struct{ shared, want rule }{
		"alone":            {ruleOf(ref("shop-stable", 95), ref("shop-canary", 5)), ruleOf(ref("shop", unset))},
		"all on canary":    {ruleOf(ref("shop-stable", 0), ref("shop-canary", 100)), ruleOf(ref("shop", unset))},
		"beside a backend": {ruleOf(ref("shop-stable", 810), ref("shop-canary", 90), ref("legacy", 100)), ruleOf(ref("shop", 900), ref("legacy", 100))},
		"shut":             {ruleOf(ref("shop-stable", 0), ref("shop-canary", 0)), ruleOf(ref("shop", 0))},
	} {
		for _, lost := range []string{"", "no JSON", `{"0":[{"name":"shop"}]}`} {
			got := carriedOut([]rule{tc.shared}, restore([]rule{tc.shared}, shop, decodeOriginals(lost)))
			if diff := cmp.Diff([]rule{tc.want}, got); diff != "" {
				t.Errorf("%s, with %q saved (-want +got):\n%s", name, lost, diff)
			}
		}
	}
}

func TestShareRefuses(t *testing.T) {
	full := make([]reference, maxReferences)
	for i := range full {
		full[i] = ref("other", 1)
	}
	full[3] = ref("shop", 1)
	for name, tc := range map[string]struct {
		rules []rule
		split int32
		is    error
		words string
	}{
		"a route that does not name the Service":     {[]rule{ruleOf(ref("other", unset))}, 10, traffic.ErrNotRouted, `no backendRef names Service "shop"`},
		"a route with a tester's rule alone":         {[]rule{ruleOf(ref("shop-canary", unset))}, 10, traffic.ErrNotRouted, `no backendRef names Service "shop"`},
		"a share too fine for the weights":           {[]rule{ruleOf(ref("shop", 1), ref("legacy", 1_000_000))}, 5, traffic.ErrUnusable, "rule 0: 5 % of the weight 1 is not a whole number beside a weight of 1000000"},
		"one backendRef more than Gateway API takes": {[]rule{ruleOf(full...)}, 5, traffic.ErrUnusable, "rule 0: it has 16 backendRefs, with the split it would have 17, and Gateway API allows 16"},
	} {
		changes, _, err := share(tc.rules, shop, traffic.Split{Canary: tc.split}, nil)
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.words) || len(changes) != 0 {
			t.Errorf("%s: %v and %d changes, want %q", name, err, len(changes), tc.words)
		}
	}
	coarse := []rule{ruleOf(ref("shop", 1), ref("legacy", 1_000_000)), matching("/x", ref("shop", 1))}
	if changes, _, err := share(coarse, shop, traffic.Split{Canary: 5}, nil); err == nil || len(changes) != 1 || changes[0].index != 1 {
		t.Errorf("one rule too fine: %v and changes %+v, want the other rule's", err, changes)
	}
	for _, whole := range []int32{0, 100} {
		if changes, _, err := share(coarse, shop, traffic.Split{Canary: whole}, nil); err != nil || len(changes) != 2 {
			t.Errorf("%d %%: %v and %d changes, want both rules", whole, err, len(changes))
		}
	}
}

// TestAgree: the share of some rules must not vanish from sight, whatever the
// order.
func TestAgree(t *testing.T) {
	half, added := matching("/a", ref("shop-stable", 50), ref("shop-canary", 50)), matching("/b", ref("shop", unset))
	tester := matching("/t", ref("shop-stable", 1))
	for name, tc := range map[string]struct {
		rules []rule
		split int32 // -1: none
		mixed bool
	}{
		"whole":                        {[]rule{added}, -1, false},
		"whole, and a tester's":        {[]rule{tester, added}, -1, false},
		"shared, and a tester's":       {[]rule{half, tester}, 50, false},
		"an unshared rule last":        {[]rule{half, added}, 50, true},
		"an unshared rule first":       {[]rule{added, half}, 50, true},
		"two shares":                   {[]rule{half, matching("/c", ref("shop-stable", 60), ref("shop-canary", 40))}, 50, true},
		"both named":                   {[]rule{ruleOf(ref("shop", 50), ref("shop-stable", 25), ref("shop-canary", 25))}, 25, true},
		"nothing served":               {[]rule{ruleOf(ref("shop-stable", 0), ref("shop-canary", 0))}, 0, false},
		"a share too small to round":   {[]rule{ruleOf(ref("shop-stable", 999), ref("shop-canary", 1))}, 1, false},
		"a share too large to round":   {[]rule{ruleOf(ref("shop-stable", 1), ref("shop-canary", 999))}, 99, false},
		"absent weights are 1":         {[]rule{ruleOf(ref("shop-stable", unset), ref("shop-canary", unset))}, 50, false},
		"another kind of that name":    {[]rule{added, ruleOf(reference{"name": "shop-canary", "kind": "Bucket", "group": "example.org"}, ref("shop-stable", 1))}, -1, false},
		"weights that came as a float": {[]rule{ruleOf(reference{"name": "shop-stable", "weight": 75.0}, reference{"name": "shop-canary", "weight": 25.0})}, 25, false},
	} {
		split, mixed := readBack(tc.rules, nil)
		got := int32(-1)
		if split != nil {
			got = split.Canary
		}
		if got != tc.split || mixed != tc.mixed {
			t.Errorf("%s: %d %%, mixed %v; want %d, %v", name, got, mixed, tc.split, tc.mixed)
		}
	}
}

// FuzzOriginals: an annotation that somebody wrote breaks nothing.
func FuzzOriginals(f *testing.F) {
	good, _ := originals{save(ruleOf(ref("shop", 1)), []reference{ref("shop", 1)})}.encode()
	for _, seed := range []string{good, "", "null", "[]", `[{"rule":"x","backendRefs":[null]}]`, strings.Replace(good, `"weight":1`, `"weight":"a"`, 1), strings.Replace(good, `"weight":1`, `"weight":-1`, 1)} {
		f.Add(seed)
	}
	rules := []rule{ruleOf(ref("shop-stable", 60), ref("shop-canary", 40))}
	f.Fuzz(func(t *testing.T, annotation string) {
		saved := decodeOriginals(annotation)
		for _, r := range carriedOut(rules, restore(rules, shop, saved)) {
			refs := r.references()
			weight, set := refs[0]["weight"]
			number, ok := weight.(int64)
			if shop.standingOf(r, false) != whole || len(refs) != 1 || set && (!ok || number < 0 || number > maxWeight) {
				t.Errorf("restored to %v", r)
			}
		}
	})
}
