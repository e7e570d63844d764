package integration

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gatewayapi"
)

func httpRoute(namespace, name, service string) *gatewayv1.HTTPRoute {
	port, own := gatewayv1.PortNumber(80), gatewayv1.Namespace(namespace)
	ref := gatewayv1.HTTPBackendRef{}
	ref.Name, ref.Port, ref.Namespace = gatewayv1.ObjectName(service), &port, &own
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{ref}}}
	return route
}

// TestOneBadRouteKeepsNobodyFromTheOthers takes traffic back from the route that
// is left when another one of the Rollout is gone, and when one was pointed
// elsewhere.
func TestOneBadRouteKeepsNobodyFromTheOthers(t *testing.T) {
	ctx := context.Background()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "routes-"}}
	if err := admin.Create(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web", "api"} {
		if err := admin.Create(ctx, httpRoute(namespace.Name, name, "shop")); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Create(ctx, httpRoute(namespace.Name, "elsewhere", "other")); err != nil {
		t.Fatal(err)
	}
	router := gatewayapi.New(admin, "belay")
	target := traffic.Target{Namespace: namespace.Name, Owner: "shop", Routes: []string{"web", "api"}, Service: "shop", Stable: "shop-stable", Canary: "shop-canary", Epoch: 1}
	if err := router.Apply(ctx, target, traffic.Split{Canary: 25}); err != nil {
		t.Fatal(err)
	}
	if err := admin.Delete(ctx, httpRoute(namespace.Name, "web", "")); err != nil {
		t.Fatal(err)
	}
	target.Routes = []string{"web", "elsewhere", "api"}

	seen, err := router.Observe(ctx, target)
	if !errors.Is(err, traffic.ErrNotFound) || !errors.Is(err, traffic.ErrNotRouted) {
		t.Errorf("observing says %v, want both faults", err)
	}
	if seen.Split == nil || seen.Split.Canary != 25 || seen.Mixed || seen.Acknowledged {
		t.Errorf("observed %+v, want the other route's 25 %%, not acknowledged", seen)
	}
	if err := router.Apply(ctx, target, traffic.Split{Canary: 0}); !errors.Is(err, traffic.ErrNotFound) {
		t.Errorf("applying says %v, want what was not found", err)
	}
	if seen, _ = router.Observe(ctx, target); seen.Split == nil || seen.Split.Canary != 0 {
		t.Errorf("the other route has %+v after weight 0 was applied", seen.Split)
	}
	if err := router.Release(ctx, target); err != nil {
		t.Errorf("release: %v", err)
	}
	left := &gatewayv1.HTTPRoute{}
	if err := admin.Get(ctx, client.ObjectKey{Namespace: namespace.Name, Name: "api"}, left); err != nil {
		t.Fatal(err)
	}
	if refs := left.Spec.Rules[0].BackendRefs; len(refs) != 1 || refs[0].Name != "shop" || len(left.Annotations) != 0 {
		t.Errorf("released to %+v with annotations %v, want the user's Service alone", refs, left.Annotations)
	}
}
