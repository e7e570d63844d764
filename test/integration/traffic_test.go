package integration

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/contract"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

// TestRouterContract runs the routers' contract on a real API server.
func TestRouterContract(t *testing.T) {
	for _, kind := range gateway.Kinds() {
		t.Run(kind, func(t *testing.T) {
			contract.Run(t, contract.Capabilities{Shares: true, Mirrors: kind == v1alpha1.KindHTTPRoute, Pair: true, Narrows: true}, func(t *testing.T) contract.World {
				return gatewaytest.NewOf(t, kind, watching(t, nil), watching(t, belayItself), newNamespace(t))
			})
		})
	}
}

// belayItself is allowed everything: what the controller's role allows is tested
// with the roles.
func belayItself(c *rest.Config) {
	c.Impersonate = rest.ImpersonationConfig{UserName: controller, Groups: []string{"system:masters"}}
}

func watching(t *testing.T, change func(*rest.Config)) client.WithWatch {
	t.Helper()
	c := rest.CopyConfig(config)
	if change != nil {
		change(c)
	}
	out, err := client.NewWithWatch(c, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "traffic-"}}
	if err := admin.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// applied is a server-side apply as a user's tool does it, without force: it
// conflicts with whoever else owns a field that it changes.
func applied(t *testing.T, namespace, manifest string) error {
	t.Helper()
	u := object(t, manifest)
	u.SetNamespace(namespace)
	return admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("gitops"))
}

const (
	appliedRoute = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: shop}, spec: {
		parentRefs: [{name: gateway}], rules: [{backendRefs: [{name: shop, port: 80}], timeouts: {request: 5s}}]}}`
	changedRoute = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: shop}, spec: {
		parentRefs: [{name: gateway}], rules: [{backendRefs: [{name: shop, port: 8080}]}]}}`
	appliedService = `{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: http}]}}`
	changedService = `{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {selector: {app: shop, tier: web}, ports: [{name: http, port: 80, targetPort: http}]}}`
)

func targetIn(namespace string) traffic.Target {
	return traffic.Target{Namespace: namespace, Owner: "shop", Routes: httpRoutes("shop"), Service: "shop",
		Selector: map[string]string{"app": "shop"}, StableHash: "6c77698f9a", CanaryHash: "9fd21c3b07", Epoch: 1}
}

func httpRoutes(names ...string) (out []traffic.Route) {
	for _, name := range names {
		out = append(out, traffic.Route{Kind: v1alpha1.KindHTTPRoute, Name: name})
	}
	return out
}

func ownsNothing(g *WithT, o client.Object) {
	owns := slices.ContainsFunc(o.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool { return e.Manager == "belay" })
	g.Expect(owns).To(BeFalse(), "fields of %s that Belay owns: %v", o.GetName(), o.GetManagedFields())
	g.Expect(o.GetAnnotations()).To(BeEmpty())
}

// TestAReleasedRouteIsItsUsersAgain: while a run is in progress a server-side apply
// that would change the route is told so; afterwards it meets no conflict.
func TestAReleasedRouteIsItsUsersAgain(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	namespace := newNamespace(t)
	target := targetIn(namespace)
	router := gateway.New(watching(t, belayItself), "belay")
	g.Expect(applied(t, namespace, appliedRoute)).To(Succeed())
	for _, share := range []int32{10, 100} {
		g.Expect(router.Apply(ctx, target, traffic.Split{Canary: share})).To(Succeed())
	}
	g.Expect(apierrors.IsConflict(applied(t, namespace, changedRoute))).To(BeTrue(), "in a run Belay owns the rules")

	g.Expect(router.Release(ctx, target)).To(Succeed())
	route := &gatewayv1.HTTPRoute{}
	g.Expect(admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "shop"}, route)).To(Succeed())
	ownsNothing(g, route)
	g.Expect(route.Spec.Rules[0].BackendRefs).To(HaveLen(1))
	g.Expect(route.Spec.Rules[0].BackendRefs[0].Name).To(BeEquivalentTo("shop"))
	g.Expect(route.Spec.Rules[0].Timeouts).NotTo(BeNil())
	generation := route.Generation

	g.Expect(applied(t, namespace, appliedRoute)).To(Succeed())
	g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(route), route)).To(Succeed())
	g.Expect(route.Generation).To(Equal(generation), "the same manifest changes nothing")
	g.Expect(applied(t, namespace, changedRoute)).To(Succeed())
	g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(route), route)).To(Succeed())
	g.Expect(*route.Spec.Rules[0].BackendRefs[0].Port).To(BeEquivalentTo(8080))
}

// TestAWidenedServiceIsItsUsersAgain is the same for the Service's selector.
func TestAWidenedServiceIsItsUsersAgain(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	namespace := newNamespace(t)
	target := targetIn(namespace)
	router := gateway.New(watching(t, belayItself), "belay")
	g.Expect(applied(t, namespace, appliedService)).To(Succeed())
	g.Expect(router.Narrow(ctx, target, target.StableHash)).To(Succeed())
	g.Expect(router.Narrow(ctx, target, target.CanaryHash)).To(Succeed())
	g.Expect(apierrors.IsConflict(applied(t, namespace, changedService))).To(BeTrue(), "in a run Belay owns the selector")

	g.Expect(router.Narrow(ctx, target, "")).To(Succeed())
	service := &corev1.Service{}
	g.Expect(admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "shop"}, service)).To(Succeed())
	ownsNothing(g, service)
	g.Expect(service.Spec.Selector).To(Equal(map[string]string{"app": "shop"}))
	g.Expect(applied(t, namespace, changedService)).To(Succeed())
}

// TestAForcedApplyTakesTheSelectorBack: a server-side apply with force strips the
// hash, and who did it is seen.
func TestAForcedApplyTakesTheSelectorBack(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	namespace := newNamespace(t)
	target := targetIn(namespace)
	target.Routes = nil
	router := gateway.New(watching(t, belayItself), "belay")
	g.Expect(applied(t, namespace, appliedService)).To(Succeed())
	g.Expect(router.Narrow(ctx, target, target.StableHash)).To(Succeed())
	forced := object(t, appliedService)
	forced.SetNamespace(namespace)
	g.Expect(admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(forced), client.FieldOwner("gitops"), client.ForceOwnership)).To(Succeed())
	seen, err := router.Observe(ctx, target)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(seen.Narrowed).To(BeEmpty())
	g.Expect(seen.NarrowedBy).To(Equal("gitops"))
	g.Expect(router.Narrow(ctx, target, target.StableHash)).To(Succeed())
	seen, err = router.Observe(ctx, target)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]string{seen.Narrowed, seen.NarrowedBy}).To(Equal([]string{target.StableHash, ""}))
}
