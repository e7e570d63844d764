package gateway

import (
	"errors"
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// mirrored says what is added to the rules, or refused.
func mirroredBy(t *testing.T, r *route, percent int32) ([]map[string]any, string) {
	t.Helper()
	out, refused := r.mirroring(shop, percent)
	if err := errors.Join(refused...); err != nil {
		if !errors.Is(err, traffic.ErrUnusable) {
			t.Errorf("%v is no ErrUnusable", err)
		}
		return out, err.Error()
	}
	return out, ""
}

func filtersOf(n int) string {
	one := `{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"audit","port":80}}}`
	return `"filters":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]`
}

func TestRulesThatAreMirrored(t *testing.T) {
	refs := `"backendRefs":[{"name":"other","port":81,"weight":3},{"name":"shop","port":8080}]`
	for name, test := range map[string]struct {
		kind, rule string
		percent    int32
		want       string
		refused    string
	}{
		"a share, at the Service's port": {rule: `{` + refs + `}`, percent: 10,
			want: `{"type":"RequestMirror","requestMirror":{"backendRef":{"group":"","kind":"Service","name":"shop-canary","port":8080},"percent":10}}`},
		"everything needs no percentage": {rule: `{` + refs + `}`, percent: 100,
			want: `{"type":"RequestMirror","requestMirror":{"backendRef":{"group":"","kind":"Service","name":"shop-canary","port":8080}}}`},
		"nothing": {rule: `{` + refs + `}`},
		"a rule that gives the Service no request": {rule: `{"backendRefs":[{"name":"shop","port":80,"weight":0}]}`, percent: 10},
		"another Service's rule":                   {rule: `{"backendRefs":[{"name":"other","port":80}]}`, percent: 10},
		"beside the user's own mirrors": {rule: `{` + filtersOf(15) + `,` + refs + `}`, percent: 100,
			want: `{"type":"RequestMirror","requestMirror":{"backendRef":{"group":"","kind":"Service","name":"shop-canary","port":8080}}}`},
		"no room":       {rule: `{` + filtersOf(16) + `,` + refs + `}`, percent: 10, refused: "rule 0 has 16 filters, as many as Gateway API allows"},
		"a GRPCRoute":   {kind: v1alpha1.KindGRPCRoute, rule: `{` + refs + `}`, percent: 100, refused: "only HTTPRoutes can mirror a share of the requests, and this is a GRPCRoute"},
		"there already": {rule: `{"filters":[{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"shop-canary","port":80}}}],` + refs + `}`, percent: 10, refused: `rule 0 already mirrors requests to Service "shop-canary": remove that filter`},
	} {
		t.Run(name, func(t *testing.T) {
			kind := test.kind
			if kind == "" {
				kind = v1alpha1.KindHTTPRoute
			}
			got, refused := mirroredBy(t, routeOf(kind, decoded(t, test.rule)), test.percent)
			if test.refused == "" != (refused == "") || !strings.Contains(refused, test.refused) {
				t.Fatalf("refused with %q, want %q", refused, test.refused)
			}
			if test.want == "" {
				if len(got) != 1 || got[0] != nil {
					t.Errorf("added %v, want nothing", got)
				}
				return
			}
			if want := decoded(t, test.want); digestOf(got[0]) != digestOf(want) {
				t.Errorf("added %v, want %v", got[0], want)
			}
		})
	}
}

// TestCopiesForAComparer go to its own port, and nowhere else.
func TestCopiesForAComparer(t *testing.T) {
	compared := shop
	compared.comparer = &v1alpha1.Comparer{Service: "audit", Port: 8081}
	r := routeOf(v1alpha1.KindHTTPRoute, decoded(t, `{"filters":[{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"shop-canary","port":80}}}],"backendRefs":[{"name":"shop","port":80}]}`))
	got, refused := r.mirroring(compared, 10)
	want := decoded(t, `{"type":"RequestMirror","requestMirror":{"backendRef":{"group":"","kind":"Service","name":"audit","port":8081},"percent":10}}`)
	if len(refused) > 0 || digestOf(got[0]) != digestOf(want) {
		t.Errorf("added %v, refused %v, want %v", got, refused, want)
	}
	own := routeOf(v1alpha1.KindHTTPRoute, decoded(t, `{`+filtersOf(1)+`,"backendRefs":[{"name":"shop","port":80}]}`))
	if _, refused := own.mirroring(compared, 10); len(refused) != 1 || !strings.Contains(refused[0].Error(), `already mirrors requests to Service "audit"`) {
		t.Errorf("refused %v", refused)
	}
}

// TestOwnFiltersAreRecognised: by the annotation, or by what was saved of the rule.
func TestOwnFiltersAreRecognised(t *testing.T) {
	plain := decoded(t, `{"backendRefs":[{"name":"shop","port":80}]}`)
	with := plain.withFilters([]any{shop.mirrorFilter(80, 10)})
	for name, test := range map[string]struct {
		noted int32
		saved originals
		own   bool
	}{
		"noted":                        {10, nil, true},
		"noted with another share":     {20, nil, true},
		"saved without it":             {0, originals{save(plain, plain.references())}, true},
		"the user's own, saved so":     {0, originals{save(with, plain.references())}, false},
		"the user's own, before a run": {0, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := routeOf(v1alpha1.KindHTTPRoute, with)
			r.mirrored, r.originals = mirrorNote{percent: test.noted}, test.saved
			r.unmirror(shop)
			if r.mirrors.any() != test.own || (r.rules[0]["filters"] == nil) != test.own {
				t.Errorf("Belay's are %v, and left is %v", r.mirrors, r.rules)
			}
		})
	}
}
