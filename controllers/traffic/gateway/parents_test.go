package gateway_test

import (
	"testing"

	. "github.com/onsi/gomega"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

// kindOf is a reference to an object of another kind than a Service.
func kindOf(group, kind, name string, weight int32) gatewayv1.HTTPBackendRef {
	r := gatewaytest.Reference(name)
	g, k := gatewayv1.Group(group), gatewayv1.Kind(kind)
	r.Group, r.Kind, r.Port, r.Weight = &g, &k, nil, &weight
	return r
}

// TestOtherKindsOfBackendsAreLeftAlone: an InferencePool beside the user's Service keeps its part
// of the requests, also one that has the Service's name, and comes back as it was.
func TestOtherKindsOfBackendsAreLeftAlone(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := openWith(t, v1alpha1.KindHTTPRoute)
	mine := gatewaytest.Reference("shop")
	weight := int32(3)
	mine.Weight = &weight
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		r.Spec.Rules = []gatewayv1.HTTPRouteRule{
			{BackendRefs: []gatewayv1.HTTPBackendRef{kindOf("inference.networking.k8s.io", "InferencePool", "shop", 1), mine}},
			{BackendRefs: []gatewayv1.HTTPBackendRef{kindOf("example.org", "Bucket", "assets", 1)}},
		}
	})
	before := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec
	g.Expect(w.Router().Point(ctx, w.Target())).To(Succeed())
	g.Expect(w.Router().Apply(ctx, w.Target(), traffic.Split{Canary: 20})).To(Succeed())
	got := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules
	g.Expect(got[1]).To(Equal(before.Rules[1]))
	g.Expect(got[0].BackendRefs).To(HaveLen(3))
	pool := got[0].BackendRefs[0]
	g.Expect(*pool.Kind).To(Equal(gatewayv1.Kind("InferencePool")))
	g.Expect(pool.Name).To(Equal(gatewayv1.ObjectName("shop")))
	for i, want := range []int32{100, 240, 60} {
		g.Expect(*got[0].BackendRefs[i].Weight).To(Equal(want), "one part of four, and three of which the canary has a fifth")
	}
	g.Expect(observed(t, w, w.Target()).Acknowledged).To(BeFalse(), "the weight counts when the route with the pool is acknowledged")
	w.Follow()
	g.Expect(observed(t, w, w.Target()).Acknowledged).To(BeTrue())
	g.Expect(w.Router().Release(ctx, w.Target())).To(Succeed())
	g.Expect(gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec).To(Equal(before))
}

// TestAMeshAndAGatewayAsParents: a route with a Service as its parent is a mesh's (GAMMA). A
// weight counts when the controllers of all parents have acknowledged it, whoever they are.
func TestAMeshAndAGatewayAsParents(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := openWith(t, v1alpha1.KindHTTPRoute)
	group, kind, port := gatewayv1.Group(""), gatewayv1.Kind("Service"), gatewayv1.PortNumber(80)
	mesh := gatewayv1.ParentReference{Group: &group, Kind: &kind, Name: "shop", Port: &port}
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) { r.Spec.ParentRefs = append(r.Spec.ParentRefs, mesh) })
	g.Expect(w.Router().Point(ctx, w.Target())).To(Succeed())
	g.Expect(w.Router().Apply(ctx, w.Target(), traffic.Split{Canary: 20})).To(Succeed())
	route := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{})
	//nolint:contextcheck // observed takes the test's own
	report := func(entries ...gatewayv1.RouteParentStatus) traffic.Observation {
		t.Helper()
		route.Status.Parents = entries
		g.Expect(w.Client.Status().Update(ctx, route)).To(Succeed())
		return observed(t, w, w.Target())
	}
	now, generation := route.Spec.ParentRefs[0], route.GetGeneration()
	byGateway, byMesh := gatewaytest.Accepted(now, "example.org/gateway", generation), gatewaytest.Accepted(mesh, "example.org/mesh", generation)
	g.Expect(report(byGateway).Unacknowledged).To(And(ContainSubstring(`Service "shop" in namespace`), ContainSubstring("that a mesh runs")))
	g.Expect(report(byMesh).Unacknowledged).To(And(ContainSubstring(`Gateway "gateway"`), ContainSubstring("its controller runs")))
	g.Expect(report(byGateway, gatewaytest.Accepted(mesh, "example.org/mesh", generation-1)).Acknowledged).To(BeFalse())
	g.Expect(report(byGateway, byMesh).Acknowledged).To(BeTrue())
}
