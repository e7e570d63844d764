package stories

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// TestKindsOfRoutes: a release through an HTTPRoute and a GRPCRoute of one name
// answers every request, and both are their users' again.
func TestKindsOfRoutes(t *testing.T) {
	t.Parallel()
	s := open(t, 3, nil, func(spec map[string]any) { spec["steps"] = []any{map[string]any{"weight": 50, "hold": "2s"}} })
	port := gatewayv1.PortNumber(80)
	route := &gatewayv1.GRPCRoute{}
	route.Name, route.Namespace = cluster.Name, s.Namespace
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	ref := gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: cluster.Name, Port: &port}}
	route.Spec.Rules = []gatewayv1.GRPCRouteRule{{BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: ref}}}}
	s.Must(admin.Create(t.Context(), route))
	before := route.DeepCopy()
	both := []byte(`{"spec":{"traffic":{"routes":[{"kind":"HTTPRoute","name":"shop"},{"kind":"GRPCRoute","name":"shop"}]}}}`)
	s.Must(admin.Patch(t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, both)))

	s.Push("v2")
	s.until("half of the requests are the candidate's, by both routes", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Step).NotTo(BeNil())
		g.Expect(r.Status.Step.AcknowledgedAt).NotTo(BeNil())
		g.Expect(r.Status.Step.Weight.Desired).To(BeEquivalentTo(50))
		now := &gatewayv1.GRPCRoute{}
		s.Must(admin.Get(t.Context(), s.Key(), now))
		g.Expect(now.Spec.Rules[0].BackendRefs).To(HaveLen(2))
		g.Expect(*now.Spec.Rules[0].BackendRefs[1].Weight).To(BeEquivalentTo(50))
		g.Expect(now.Status.Parents[0].Conditions[0].ObservedGeneration).To(Equal(now.Generation))
	})
	s.promoted("v2", 3)
	s.Served()
	s.made(map[string]int{"v1": 3, "v2": 3})
	s.Must(admin.Get(t.Context(), s.Key(), route))
	g := NewWithT(t)
	g.Expect(route.Spec).To(Equal(before.Spec))
	g.Expect(route.Annotations).To(BeEmpty())
}
