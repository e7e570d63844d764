package gatewayapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
)

var shop = traffic.Target{Service: "shop", Stable: "shop-stable", Canary: "shop-canary"}

func ref(name string, weight *int32) gatewayv1.HTTPBackendRef {
	r := gatewayv1.HTTPBackendRef{}
	r.Name, r.Weight = gatewayv1.ObjectName(name), weight
	r.Port = ptr(gatewayv1.PortNumber(80))
	return r
}

func rule(refs ...gatewayv1.HTTPBackendRef) gatewayv1.HTTPRouteRule {
	return gatewayv1.HTTPRouteRule{BackendRefs: refs}
}

func TestShare(t *testing.T) {
	tests := map[string]struct {
		before []gatewayv1.HTTPRouteRule
		split  int32
		want   []gatewayv1.HTTPRouteRule
	}{
		"a lone reference becomes the pair and sums to 100": {
			before: []gatewayv1.HTTPRouteRule{rule(ref("shop", nil))},
			split:  5,
			want:   []gatewayv1.HTTPRouteRule{rule(ref("shop-stable", ptr(int32(95))), ref("shop-canary", ptr(int32(5))))},
		},
		"a shared rule takes the new weights": {
			before: []gatewayv1.HTTPRouteRule{rule(ref("shop-stable", ptr(int32(95))), ref("shop-canary", ptr(int32(5))))},
			split:  25,
			want:   []gatewayv1.HTTPRouteRule{rule(ref("shop-stable", ptr(int32(75))), ref("shop-canary", ptr(int32(25))))},
		},
		"a foreign backend keeps its proportion": {
			before: []gatewayv1.HTTPRouteRule{rule(ref("shop", ptr(int32(9))), ref("legacy", ptr(int32(1))))},
			split:  10,
			want: []gatewayv1.HTTPRouteRule{rule(
				ref("shop-stable", ptr(int32(810))), ref("shop-canary", ptr(int32(90))), ref("legacy", ptr(int32(100))))},
		},
		"weights too large to multiply keep their proportion": {
			before: []gatewayv1.HTTPRouteRule{rule(ref("shop", ptr(int32(30000))), ref("legacy", ptr(int32(10000))))},
			split:  10,
			want: []gatewayv1.HTTPRouteRule{rule(
				ref("shop-stable", ptr(int32(900000))), ref("shop-canary", ptr(int32(100000))), ref("legacy", ptr(int32(333333))))},
		},
		"a rule that gives the Service nothing has no say in the share": {
			before: []gatewayv1.HTTPRouteRule{rule(ref("shop", ptr(int32(0))), ref("legacy", ptr(int32(1)))), rule(ref("shop", nil))},
			split:  25,
			want: []gatewayv1.HTTPRouteRule{
				rule(ref("shop-stable", ptr(int32(0))), ref("shop-canary", ptr(int32(0))), ref("legacy", ptr(int32(100)))),
				rule(ref("shop-stable", ptr(int32(75))), ref("shop-canary", ptr(int32(25))))},
		},
		"a rule about another Service stays as it is": {
			before: []gatewayv1.HTTPRouteRule{rule(ref("other", ptr(int32(7)))), rule(ref("shop", nil))},
			split:  100,
			want: []gatewayv1.HTTPRouteRule{rule(ref("other", ptr(int32(7)))),
				rule(ref("shop-stable", ptr(int32(0))), ref("shop-canary", ptr(int32(100))))},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, saved, err := share(tc.before, shop, traffic.Split{Canary: tc.split}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("shared rules (-want +got):\n%s", diff)
			}
			split, _, agrees := splitOf(got, shop)
			if !agrees || split == nil || split.Canary != tc.split {
				t.Errorf("read back %v, want %d", split, tc.split)
			}
			encoded, _ := saved.encode()
			if tc.before[len(tc.before)-1].BackendRefs[0].Name == "shop" || tc.before[0].BackendRefs[0].Name == "shop" {
				if diff := cmp.Diff(tc.before, restore(got, shop, decodeOriginals(encoded))); diff != "" {
					t.Errorf("restored rules differ from the original (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestRestoreWithoutSavedReferencesFallsBackToTheService(t *testing.T) {
	shared := []gatewayv1.HTTPRouteRule{rule(ref("shop-stable", ptr(int32(95))), ref("shop-canary", ptr(int32(5))))}
	want := []gatewayv1.HTTPRouteRule{rule(ref("shop", nil))}
	if diff := cmp.Diff(want, restore(shared, shop, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShareRefusesARouteThatDoesNotNameTheService(t *testing.T) {
	if _, _, err := share([]gatewayv1.HTTPRouteRule{rule(ref("other", nil))}, shop, traffic.Split{}, nil); err == nil {
		t.Fatal("want an error")
	}
}

// TestAnUnsharedRuleIsNoReleasedRoute: somebody added a rule while the others are
// shared. The share of the others must not vanish from sight, whatever the order.
func TestAnUnsharedRuleIsNoReleasedRoute(t *testing.T) {
	shared, added := rule(ref("shop-stable", ptr(int32(50))), ref("shop-canary", ptr(int32(50)))), rule(ref("shop", nil))
	for name, rules := range map[string][]gatewayv1.HTTPRouteRule{"last": {shared, added}, "first": {added, shared}} {
		split, routed, agrees := splitOf(rules, shop)
		if split == nil || split.Canary != 50 || !routed || agrees {
			t.Errorf("added %s: split %v, routed %v, agrees %v; want 50 %% that not all carry", name, split, routed, agrees)
		}
	}
}
