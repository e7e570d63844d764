package integration

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TestFence writes one fence over another. An empty one is no annotation.
func TestFence(t *testing.T) {
	NewWithT(t).Eventually(func() error { return fenced(t, "first", "2", "1") }).WithTimeout(soon).
		Should(MatchError(ContainSubstring("superseded")), "the policy is in force")
	for name, c := range map[string]struct {
		before, after string
		accepted      bool
	}{
		"rises":              {"9", "10", true},
		"stays":              {"10", "10", true},
		"falls":              {"10", "9", false},
		"falls to nought":    {"1", "0", false},
		"is set":             {"", "1", true},
		"is released":        {"10", "", true},
		"becomes no number":  {"10", "ten", false},
		"becomes negative":   {"10", "-11", false},
		"becomes too large":  {"10", "9223372036854775808", false},
		"rises to the limit": {"1", "999999999999999999", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := fenced(t, "then", c.before, c.after)
			if c.accepted {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(err).To(MatchError(ContainSubstring("this write comes from a superseded controller")))
		})
	}
}

// TestRoutesWithoutAFenceAreNobodysBusiness: any number of other annotations.
func TestRoutesWithoutAFenceAreNobodysBusiness(t *testing.T) {
	g := NewWithT(t)
	route := httpRoute("shop", "unfenced", "shop")
	g.Expect(admin.Create(t.Context(), route)).To(Succeed())
	// Thousands of keys: the condition that looks for a fence must not become too dear.
	route.Annotations = map[string]string{}
	for i := range 3000 {
		route.Annotations[fmt.Sprintf("example.com/%06d", i)] = ""
	}
	g.Expect(admin.Update(t.Context(), route)).To(Succeed())
	route.Annotations = nil
	g.Expect(admin.Update(t.Context(), route)).To(Succeed())
	forged := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"1"}}}`, v1alpha1.AnnotationFence+"shop"))
	err := admin.Patch(t.Context(), route, forged)
	g.Expect(err).To(MatchError(ContainSubstring("is written by Belay's controller only")))
}

// fenced makes a route, and lets the controller write one fence and the next.
func fenced(t *testing.T, name, before, after string) error {
	t.Helper()
	g := NewWithT(t)
	route, belay := httpRoute("shop", "fence-"+name, "shop"), as(t, controller)
	g.Expect(client.IgnoreNotFound(admin.Delete(t.Context(), route.DeepCopy()))).To(Succeed())
	g.Expect(admin.Create(t.Context(), route)).To(Succeed())
	write := func(value string) error {
		document := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}},"spec":{"hostnames":["fence.example"]}}`, v1alpha1.AnnotationFence+"shop", value)
		return belay.Patch(t.Context(), &gatewayv1.HTTPRoute{ObjectMeta: route.ObjectMeta}, client.RawPatch(types.MergePatchType, document))
	}
	if before != "" {
		g.Expect(write(fmt.Sprintf("%q", before))).To(Succeed())
	}
	if after == "" {
		return write("null")
	}
	return write(fmt.Sprintf("%q", after))
}

func httpRoute(namespace, name, service string) *gatewayv1.HTTPRoute {
	port, own := gatewayv1.PortNumber(80), gatewayv1.Namespace(namespace)
	ref := gatewayv1.HTTPBackendRef{}
	ref.Name, ref.Port, ref.Namespace = gatewayv1.ObjectName(service), &port, &own
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{ref}}}
	return route
}
