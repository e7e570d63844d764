package integration

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
)

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
	router := gateway.New(watching(t, belayItself), "belay")
	target := traffic.Target{Namespace: namespace.Name, Owner: "shop", Routes: httpRoutes("web", "api"), Service: "shop", Selector: map[string]string{"app": "shop"}, StableHash: "6c77698f9a", CanaryHash: "9fd21c3b07", Epoch: 1}
	if err := router.Apply(ctx, target, traffic.Split{Canary: 25}); err != nil {
		t.Fatal(err)
	}
	if err := admin.Delete(ctx, httpRoute(namespace.Name, "web", "")); err != nil {
		t.Fatal(err)
	}
	target.Routes = httpRoutes("web", "elsewhere", "api")

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

// TestTwoRolloutsShareARoute: each keeps its own fence and its own way back, also
// when their epochs differ.
func TestTwoRolloutsShareARoute(t *testing.T) {
	ctx := t.Context()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shared-"}}
	if err := admin.Create(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	route := httpRoute(namespace.Name, "web", "shop")
	other, weight := httpRoute("", "", "cart").Spec.Rules[0].BackendRefs[0], int32(7)
	other.Namespace, other.Weight = nil, &weight
	route.Spec.Rules = append(route.Spec.Rules, gatewayv1.HTTPRouteRule{BackendRefs: []gatewayv1.HTTPBackendRef{other}})
	if err := admin.Create(ctx, route); err != nil {
		t.Fatal(err)
	}
	router := gateway.New(watching(t, belayItself), "belay")
	target := func(owner string, epoch int64) traffic.Target {
		return traffic.Target{Namespace: namespace.Name, Owner: owner, Routes: httpRoutes("web"), Service: owner, Selector: map[string]string{"app": owner}, StableHash: "6c77698f9a", CanaryHash: "9fd21c3b07", Epoch: epoch}
	}
	shop, cart := target("shop", 9), target("cart", 2)
	for _, step := range []struct {
		of    traffic.Target
		share int32
	}{{shop, 50}, {cart, 25}, {cart, 0}, {shop, 0}} {
		if err := router.Apply(ctx, step.of, traffic.Split{Canary: step.share}); err != nil {
			t.Fatalf("%s at %d %%: %v", step.of.Owner, step.share, err)
		}
	}
	if seen, err := router.Observe(ctx, shop); err != nil || seen.Epoch != 9 {
		t.Errorf("shop's epoch is %d, %v; want 9", seen.Epoch, err)
	}
	stale := shop
	stale.Epoch = 8
	if err := router.Apply(ctx, stale, traffic.Split{Canary: 50}); !apierrors.IsForbidden(err) {
		t.Errorf("a superseded controller's write says %v, want a denial", err)
	}
	for _, of := range []traffic.Target{shop, cart} {
		if err := router.Release(ctx, of); err != nil {
			t.Fatalf("release %s: %v", of.Owner, err)
		}
	}
	left := &gatewayv1.HTTPRoute{}
	if err := admin.Get(ctx, client.ObjectKeyFromObject(route), left); err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(left.Spec.Rules, route.Spec.Rules) || len(left.Annotations) != 0 {
		t.Errorf("released to %+v with annotations %v, want the route as it was", left.Spec.Rules, left.Annotations)
	}
}

// TestOnlyTheControllerFences: a number that somebody else wrote would keep a
// rollback from the route.
func TestOnlyTheControllerFences(t *testing.T) {
	ctx := t.Context()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "fence-"}}
	if err := admin.Create(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	route := httpRoute(namespace.Name, "web", "shop")
	if err := admin.Create(ctx, route); err != nil {
		t.Fatal(err)
	}
	fence := func(c client.Client, value string) error {
		patch := []byte(`{"metadata":{"annotations":{"belay.dev/fence.shop":` + value + `}}}`)
		return c.Patch(ctx, httpRoute(namespace.Name, "web", ""), client.RawPatch(types.MergePatchType, patch))
	}
	if err := fence(admin, `"999999"`); !apierrors.IsForbidden(err) {
		t.Errorf("somebody's fence says %v, want a denial", err)
	}
	if err := fence(as(t, controller), `"3"`); err != nil {
		t.Errorf("the controller's fence says %v", err)
	}
	if err := fence(as(t, controller), `"x"`); !apierrors.IsForbidden(err) {
		t.Errorf("a fence that is no number says %v, want a denial", err)
	}
	labelled := []byte(`{"metadata":{"labels":{"team":"shop"}}}`)
	if err := admin.Patch(ctx, httpRoute(namespace.Name, "web", ""), client.RawPatch(types.MergePatchType, labelled)); err != nil {
		t.Errorf("another change of a fenced route says %v", err)
	}
	if err := fence(admin, "null"); err != nil {
		t.Errorf("taking the fence away says %v", err)
	}
}
