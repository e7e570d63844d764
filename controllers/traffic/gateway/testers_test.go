package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

var canaryHeader = &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Type: v1alpha1.MatchExact, Name: "x-canary", Value: "1"}}}

func routeOf(kind string, rules ...rule) *route {
	return &route{ref: traffic.Route{Kind: kind, Name: "shop"}, owner: "shop", rules: rules}
}

// added are the matches of the added rules, as JSON.
func added(t *testing.T, r *route, match *v1alpha1.StepMatch) ([]addition, string) {
	t.Helper()
	out, refused := r.additions(shop, match)
	if err := errors.Join(refused...); err != nil {
		if !errors.Is(err, traffic.ErrUnusable) {
			t.Errorf("%v is no ErrUnusable", err)
		}
		return out, err.Error()
	}
	return out, ""
}

func TestAddedRulesCombineMatches(t *testing.T) {
	path := map[string]any{"type": "PathPrefix", "value": "/"}
	header := map[string]any{"type": "Exact", "name": "x-canary", "value": "1"}
	beta := map[string]any{"name": "x-beta", "value": "yes"}
	refs := `"backendRefs":[{"name":"shop","port":80},{"name":"other","port":80,"weight":3}]`
	tests := map[string]struct {
		rule  string
		match *v1alpha1.StepMatch
		// want are the matches of the copy; nil for no copy.
		want []any
		// refused is a part of what is said of a rule that cannot be copied.
		refused string
	}{
		"no match of its own": {rule: `{` + refs + `}`, match: canaryHeader,
			want: []any{map[string]any{"path": path, "headers": []any{header}}}},
		"beside another header, in each match": {rule: `{"matches":[{"path":{"type":"PathPrefix","value":"/"},"headers":[{"name":"x-beta","value":"yes"}]},{"method":"GET"}],` + refs + `}`, match: canaryHeader,
			want: []any{map[string]any{"path": path, "headers": []any{beta, header}}, map[string]any{"path": path, "method": "GET", "headers": []any{header}}}},
		"the same header and value, in another case": {rule: `{"matches":[{"headers":[{"name":"X-Canary","value":"1"}]}],` + refs + `}`, match: canaryHeader,
			want: []any{map[string]any{"path": path, "headers": []any{map[string]any{"name": "X-Canary", "value": "1"}}}}},
		"another value of it, which no tester has": {rule: `{"matches":[{"headers":[{"name":"x-canary","value":"2"}]},{"method":"GET"}],` + refs + `}`, match: canaryHeader,
			want: []any{map[string]any{"path": path, "method": "GET", "headers": []any{header}}}},
		"only another value of it":                 {rule: `{"matches":[{"headers":[{"name":"x-canary","value":"2"}]}],` + refs + `}`, match: canaryHeader, refused: "no rule can have a request with header x-canary: 1"},
		"a regular expression of it":               {rule: `{"matches":[{"headers":[{"type":"RegularExpression","name":"x-canary","value":".*"}]}],` + refs + `}`, match: canaryHeader, refused: `rule 0: match 0: it already matches headers "x-canary"`},
		"a rule that gives the Service no request": {rule: `{"backendRefs":[{"name":"shop","port":80,"weight":0}]}`, match: canaryHeader},
		"another Service's rule":                   {rule: `{"backendRefs":[{"name":"other","port":80}]}`, match: canaryHeader},
		"a cookie, quoted": {rule: `{` + refs + `}`, match: &v1alpha1.StepMatch{Cookies: []v1alpha1.CookieMatch{{Name: "a.b", Value: "1+1"}}},
			want: []any{map[string]any{"path": path, "headers": []any{map[string]any{"type": "RegularExpression", "name": "Cookie", "value": `^(.*;\s*)?a\.b=1\+1(\s*;.*)?$`}}}}},
		"a query parameter": {rule: `{` + refs + `}`, match: &v1alpha1.StepMatch{QueryParams: []v1alpha1.QueryParamMatch{{Name: "preview", Value: "1"}}},
			want: []any{map[string]any{"path": path, "queryParams": []any{map[string]any{"type": "Exact", "name": "preview", "value": "1"}}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := routeOf(v1alpha1.KindHTTPRoute, decoded(t, test.rule))
			before := fmt.Sprint(r.rules)
			got, refused := added(t, r, test.match)
			if test.refused == "" != (refused == "") || !strings.Contains(refused, test.refused) {
				t.Fatalf("refused with %q, want %q", refused, test.refused)
			}
			var matches []any
			for _, one := range got {
				matches = append(matches, one.rule.matches()...)
				want := []reference{{"name": "shop-canary", "port": int64(80), "weight": int64(1)}}
				if diff := cmp.Diff(want, one.rule.references()); diff != "" {
					t.Errorf("the added rule leads elsewhere: %s", diff)
				}
			}
			if diff := cmp.Diff(test.want, matches); diff != "" {
				t.Error(diff)
			}
			if after := fmt.Sprint(r.rules); after != before {
				t.Errorf("the user's rule was changed: %s", after)
			}
		})
	}
}

func TestGRPCRoutesMatchHeadersAlone(t *testing.T) {
	r := routeOf(v1alpha1.KindGRPCRoute, ruleOf(ref("shop", 1)))
	got, refused := added(t, r, canaryHeader)
	if refused != "" || len(got) != 1 || len(got[0].rule.matches()) != 1 || got[0].rule.matches()[0].(map[string]any)["path"] != nil {
		t.Errorf("added %v, %s", got, refused)
	}
	for _, match := range []*v1alpha1.StepMatch{
		{Cookies: []v1alpha1.CookieMatch{{Name: "a", Value: "b"}}}, {QueryParams: []v1alpha1.QueryParamMatch{{Name: "a", Value: "b"}}},
	} {
		if got, refused := added(t, r, match); !strings.Contains(refused, "a GRPCRoute matches headers alone") {
			t.Errorf("added %v, said %q", got, refused)
		}
	}
}

// TestWhatDoesNotFitIsRefused: beyond a limit of Gateway API nothing is added, and the message
// says what to do.
func TestWhatDoesNotFitIsRefused(t *testing.T) {
	many := func(n int, r rule) []rule {
		var out []rule
		for range n {
			out = append(out, r)
		}
		return out
	}
	matching := func(n int) rule {
		r := ruleOf(ref("shop", 1))
		var list []any
		for i := range n {
			list = append(list, map[string]any{"path": map[string]any{"type": "Exact", "value": fmt.Sprint("/", i)}})
		}
		r["matches"] = list
		return r
	}
	headers := ruleOf(ref("shop", 1))
	var list []any
	for i := range maxConditions {
		list = append(list, map[string]any{"name": fmt.Sprint("h", i), "value": "v"})
	}
	headers["matches"] = []any{map[string]any{"headers": list}}
	for name, test := range map[string]struct {
		rules []rule
		said  string
	}{
		"8 rules fit":            {many(8, ruleOf(ref("shop", 1))), ""},
		"9 rules":                {many(9, ruleOf(ref("shop", 1))), "it has 9 rules, with those for the step's match it would have 18, and Gateway API allows 16: spread"},
		"64 matches fit":         {many(1, matching(64)), ""},
		"65 matches of one rule": {many(1, matching(65)), "would be copied with 65 matches, and Gateway API allows 64"},
		"130 matches in all":     {append(many(1, matching(64)), matching(1)), "it would have 130 matches, and Gateway API allows 128"},
		"16 headers already":     {many(1, headers), "it has 16 headers already"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, refused := added(t, routeOf(v1alpha1.KindHTTPRoute, test.rules...), canaryHeader); test.said == "" != (refused == "") || !strings.Contains(refused, test.said) {
				t.Errorf("said %q, want %q", refused, test.said)
			}
		})
	}
}

// TestOwnRulesAreRecognised: by their names, and by what they are where an API server has
// dropped the names. The user's own rule for the canary stays the user's.
func TestOwnRulesAreRecognised(t *testing.T) {
	user, theirs := ruleOf(ref("shop", 1)), ruleOf(ref("shop-canary", 1))
	theirs["matches"] = []any{map[string]any{"headers": []any{map[string]any{"name": "x-tester", "value": "yes"}}}}
	r := routeOf(v1alpha1.KindHTTPRoute, theirs, user)
	list, _ := r.additions(shop, canaryHeader)
	if len(list) != 1 || list[0].before != 1 {
		t.Fatalf("added %v, want one rule, in front of the user's", list)
	}
	named := list[0].rule
	nameless := rule(named.matcher())
	nameless["backendRefs"] = named["backendRefs"]
	delete(nameless, "name")
	noted := testers{Match: canaryHeader, Rules: []string{named.nameless()}}
	changed := rule(named.matcher())
	changed["backendRefs"] = []any{map[string]any{"name": "shop"}}
	for name, test := range map[string]struct {
		noted testers
		own   rule
		found bool
	}{
		"by its name":                     {noted, named, true},
		"by its name, changed":            {noted, changed, true},
		"by what it is":                   {noted, nameless, true},
		"by its name, without annotation": {testers{}, named, true},
		"not by the name alone":           {testers{}, changed, false},
		"not without name and annotation": {testers{}, nameless, false},
	} {
		t.Run(name, func(t *testing.T) {
			users, ours := parted([]rule{theirs, test.own, user}, shop, "shop", test.noted)
			if found := len(ours) == 1; found != test.found || len(users)+len(ours) != 3 {
				t.Errorf("found %v among them, and %d of the user's", ours, len(users))
			}
		})
	}
	for name, own := range map[string]bool{"belay.shop.0": true, "belay.shop.12": true, "belay.shop.01": false, "belay.shop.": false, "belay.shop.x": false, "belay.other.0": false, "belay.shop.api.0": false} {
		if isOwnName(name, "shop") != own {
			t.Errorf("%s: own is %v", name, !own)
		}
	}
}
