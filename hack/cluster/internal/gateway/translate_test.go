package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// world is a fluent builder: one Gateway that serves port 80 for everyone.
type worldBuilder struct{ World }

func newWorld() *worldBuilder {
	all := gatewayv1.NamespacesFromAll
	w := World{Port: 80, Services: map[string]*corev1.Service{}}
	w.Classes = []*gatewayv1.GatewayClass{{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: ControllerName}}}
	w.Gateways = []*gatewayv1.Gateway{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "gateway", Name: "local"},
		Spec: gatewayv1.GatewaySpec{GatewayClassName: "c", Listeners: []gatewayv1.Listener{{
			Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType,
			AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &all}},
		}}},
	}}
	return &worldBuilder{w}
}

// service adds a Service on port 80 whose pods listen at the given addresses;
// an address with a leading ! is not ready.
func (b *worldBuilder) service(name string, addresses ...string) *worldBuilder {
	b.Services["ns/"+name] = &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, address := range addresses {
		host, ready := strings.CutPrefix(address, "!")
		ready = !ready
		host, port, _ := strings.Cut(host, ":")
		var number int32 = 8080
		_, _ = fmt.Sscanf(port, "%d", &number)
		b.Slices = append(b.Slices, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Labels: map[string]string{"kubernetes.io/service-name": name}},
			Ports:      []discoveryv1.EndpointPort{{Port: &number}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{host}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		})
	}
	return b
}

func (b *worldBuilder) route(name string, rules ...gatewayv1.HTTPRouteRule) *worldBuilder {
	namespace := gatewayv1.Namespace("gateway")
	b.HTTPRoutes = append(b.HTTPRoutes, &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Generation: 7},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "local", Namespace: &namespace}}},
			Rules:           rules,
		},
	})
	return b
}

func weighted(pairs ...any) gatewayv1.HTTPRouteRule {
	var rule gatewayv1.HTTPRouteRule
	port := gatewayv1.PortNumber(80)
	for i := 0; i < len(pairs); i += 2 {
		weight := int32(pairs[i+1].(int))
		rule.BackendRefs = append(rule.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{
			BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(pairs[i].(string)), Port: &port},
			Weight:                 &weight,
		}})
	}
	return rule
}

func withHeader(rule gatewayv1.HTTPRouteRule, name, value string) gatewayv1.HTTPRouteRule {
	rule.Matches = []gatewayv1.HTTPRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: gatewayv1.HTTPHeaderName(name), Value: value}}}}
	return rule
}

func withPrefix(rule gatewayv1.HTTPRouteRule, prefix string) gatewayv1.HTTPRouteRule {
	kind := gatewayv1.PathMatchPathPrefix
	rule.Matches = []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: &kind, Value: &prefix}}}
	return rule
}

func TestVerdicts(t *testing.T) {
	redirect := weighted("a", 1)
	redirect.Filters = []gatewayv1.HTTPRouteFilter{{Type: gatewayv1.HTTPRouteFilterRequestRedirect}}
	tests := map[string]struct {
		world *worldBuilder
		want  string
	}{
		"a route whose Services exist is accepted and resolved": {
			world: newWorld().service("a", "10.0.0.1").route("r", weighted("a", 1)),
			want:  "Accepted=true/Accepted ResolvedRefs=true/ResolvedRefs",
		},
		"a missing Service is named, the route stays accepted": {
			world: newWorld().service("a", "10.0.0.1").route("r", weighted("a", 95, "b", 5)),
			want:  "Accepted=true/Accepted ResolvedRefs=false/BackendNotFound",
		},
		"a Service without endpoints is resolved": {
			world: newWorld().service("a").route("r", weighted("a", 1)),
			want:  "Accepted=true/Accepted ResolvedRefs=true/ResolvedRefs",
		},
		"an unsupported filter is refused, not ignored": {
			world: newWorld().service("a", "10.0.0.1").route("r", redirect),
			want:  "Accepted=false/UnsupportedValue ResolvedRefs=true/ResolvedRefs",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			translation, err := Translate(tc.world.World)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range translation.told[0].parents[0].verdicts {
				got = append(got, fmt.Sprintf("%s=%t/%s", v.kind, v.ok, v.reason))
			}
			if joined := strings.Join(got, " "); joined != tc.want {
				t.Errorf("got %s, want %s", joined, tc.want)
			}
		})
	}
}

func TestTranslationIsStable(t *testing.T) {
	build := func() string {
		translation, err := Translate(newWorld().service("a", "10.0.0.2", "10.0.0.1").service("b", "!10.0.0.3").
			route("r", weighted("a", 95, "b", 5), withHeader(weighted("b", 1), "x-canary", "yes")).World)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := json.Marshal(translation.Routes)
		return string(raw)
	}
	if a, b := build(), build(); a != b {
		t.Errorf("two translations of one world differ:\n%s\n%s", a, b)
	}
}

func TestStatusKeepsOtherControllersAndCarriesTheGeneration(t *testing.T) {
	world := newWorld().service("a", "10.0.0.1").route("r", weighted("a", 1))
	translation, err := Translate(world.World)
	if err != nil {
		t.Fatal(err)
	}
	foreign := gatewayv1.RouteParentStatus{ControllerName: "example.com/other"}
	stale := gatewayv1.RouteParentStatus{ControllerName: ControllerName, ParentRef: gatewayv1.ParentReference{Name: "gone"}}
	got := mergeParents([]gatewayv1.RouteParentStatus{foreign, stale}, translation.told[0].parents, 7)
	if len(got) != 2 || got[0].ControllerName != "example.com/other" || got[1].ParentRef.Name != "local" {
		t.Fatalf("parents %+v, want the foreign one and ours for local", got)
	}
	for _, condition := range got[1].Conditions {
		if condition.ObservedGeneration != 7 {
			t.Errorf("%s reports generation %d, want 7", condition.Type, condition.ObservedGeneration)
		}
	}
}
