package gateway_test

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

var (
	http = traffic.Route{Kind: v1alpha1.KindHTTPRoute, Name: "shop"}
	grpc = traffic.Route{Kind: v1alpha1.KindGRPCRoute, Name: "shop"}
)

// openBoth makes an application with a route of each kind, both named shop.
func openBoth(t *testing.T) (*gatewaytest.World, traffic.Target) {
	t.Helper()
	w := openWith(t, v1alpha1.KindHTTPRoute)
	w.Create(gatewaytest.NewGRPCRoute("shop", gatewaytest.Reference("shop").BackendRef))
	target := w.Target()
	target.Routes = []traffic.Route{http, grpc}
	return w, target
}

// TestMixedKinds: the routes of a Rollout may be of different kinds, and have the
// same name. They get the same share, and a step waits for both.
func TestMixedKinds(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w, target := openBoth(t)
	before := gatewaytest.Get(w, "shop", &gatewayv1.GRPCRoute{}).Spec
	g.Expect(w.Router().Point(ctx, target)).To(Succeed())
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{Canary: 20})).To(Succeed())
	o := observed(t, w, target)
	g.Expect(o.Split).To(HaveValue(Equal(traffic.Split{Canary: 20})))
	g.Expect(o.Mixed).To(BeFalse())
	g.Expect(o.Unacknowledged).To(And(ContainSubstring(`HTTPRoute "shop" at generation 2`), ContainSubstring(`GRPCRoute "shop" at generation 2`)))
	w.Follow()
	g.Expect(observed(t, w, target).Acknowledged).To(BeTrue())

	only := target
	only.Routes = []traffic.Route{grpc}
	g.Expect(w.Router().Apply(ctx, only, traffic.Split{Canary: 50})).To(Succeed())
	o = observed(t, w, target)
	g.Expect(o.Mixed).To(BeTrue(), "the routes carry 20 and 50 percent")
	g.Expect(o.Acknowledged).To(BeFalse())
	g.Expect(o.Unacknowledged).To(And(ContainSubstring(`GRPCRoute "shop" at generation 3`), Not(ContainSubstring("HTTPRoute"))))

	gatewaytest.Update(w, "shop", &gatewayv1.GRPCRoute{}, func(r *gatewayv1.GRPCRoute) {
		r.Spec.Rules[0].BackendRefs = []gatewayv1.GRPCBackendRef{{BackendRef: gatewaytest.Reference("shop").BackendRef}}
	})
	g.Expect(observed(t, w, target).Manager).To(Equal("user"), "who took the GRPCRoute is named")
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{Canary: 50})).To(Succeed())

	g.Expect(w.Router().Release(ctx, target)).To(Succeed())
	o = observed(t, w, target)
	g.Expect(o.Split).To(BeNil())
	g.Expect(o.Marked).To(BeFalse())
	g.Expect(gatewaytest.Get(w, "shop", &gatewayv1.GRPCRoute{}).Spec).To(Equal(before))
}

// TestAKindThatIsNotInstalled: it is said, keeps nobody from the routes of other
// kinds, and needs no release.
func TestAKindThatIsNotInstalled(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w, target := openBoth(t)
	router := gateway.New(interceptor.NewClient(w.Client, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if o.GetObjectKind().GroupVersionKind().Kind == v1alpha1.KindGRPCRoute {
				return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: gatewayv1.GroupName, Kind: v1alpha1.KindGRPCRoute}, SearchedVersions: []string{"v1"}}
			}
			return c.Get(ctx, key, o, opts...)
		}}), gatewaytest.Manager)

	g.Expect(router.Apply(ctx, target, traffic.Split{Canary: 20})).To(MatchError(traffic.ErrNotFound))
	o, err := router.Observe(ctx, target)
	g.Expect(err).To(MatchError(traffic.ErrNotFound))
	g.Expect(err).To(MatchError(ContainSubstring(`GRPCRoute "shop": the API server does not serve GRPCRoutes of gateway.networking.k8s.io/v1: install Gateway API's CustomResourceDefinition for them`)))
	g.Expect(o.Split).To(HaveValue(Equal(traffic.Split{Canary: 20})), "the HTTPRoute has its share")
	g.Expect(router.Release(ctx, target)).To(Succeed())
	g.Expect(gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules[0].BackendRefs).To(HaveLen(1))
}

// TestAnUnknownKind is one that a newer API accepts: it is an error, and keeps
// nobody from the other routes.
func TestAnUnknownKind(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	target := w.Target()
	target.Routes = append(target.Routes, traffic.Route{Kind: "TCPRoute", Name: "shop"})
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{Canary: 20})).To(MatchError(traffic.ErrUnusable))
	o, err := w.Router().Observe(ctx, target)
	g.Expect(err).To(MatchError(traffic.ErrUnusable))
	g.Expect(o.Split).To(HaveValue(Equal(traffic.Split{Canary: 20})), "the HTTPRoute has its share")
	g.Expect(err).To(MatchError(ContainSubstring(`a route of kind "TCPRoute": this version of Belay supports GRPCRoute and HTTPRoute`)))
	g.Expect(w.Router().Release(ctx, target)).To(MatchError(traffic.ErrUnusable))
}

// TestFaultsOfAGRPCRoute name it, and what its callers get.
func TestFaultsOfAGRPCRoute(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*gatewaytest.World)
		words  string
	}{
		"no parent": {route(func(r *gatewayv1.GRPCRoute) { r.Spec.ParentRefs = nil }), `GRPCRoute "shop" has no parentRefs, so no Gateway serves it`},
		"no reference": {route(func(r *gatewayv1.GRPCRoute) { r.Spec.Rules[0].BackendRefs[0].Name = "other" }),
			`GRPCRoute "shop" has no backendRef to Service "shop"`},
		"a port that the Service does not have": {route(func(r *gatewayv1.GRPCRoute) { *r.Spec.Rules[0].BackendRefs[0].Port = 8080 }),
			`GRPCRoute "shop" refers to port 8080, which Service "shop" does not have`},
		"gone": {(*gatewaytest.World).LoseRoute, `GRPCRoute "shop": create it, or name another one`},
	} {
		t.Run(name, func(t *testing.T) {
			w := openWith(t, v1alpha1.KindGRPCRoute)
			c.change(w)
			_, err := w.Router().Observe(t.Context(), w.Target())
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.words)))
		})
	}
	t.Run("pods without the port", func(t *testing.T) {
		g, w := NewWithT(t), openWith(t, v1alpha1.KindGRPCRoute)
		w.Run(3, 2)
		rename(w, gatewaytest.Canary, "web")
		g.Expect(w.Router().Point(t.Context(), w.Target())).To(Succeed())
		w.Follow()
		g.Expect(observed(t, w, w.Target()).NoPort).To(ContainSubstring(`requests through GRPCRoute "shop" would fail with the gRPC status UNAVAILABLE`))
	})
}

func route(change func(*gatewayv1.GRPCRoute)) func(*gatewaytest.World) {
	return func(w *gatewaytest.World) { gatewaytest.Update(w, "shop", &gatewayv1.GRPCRoute{}, change) }
}
