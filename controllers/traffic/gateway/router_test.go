package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

func observed(t *testing.T, w *gatewaytest.World, target traffic.Target) traffic.Observation {
	t.Helper()
	o, err := w.Router().Observe(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func httpRoutes(names ...string) (out []traffic.Route) {
	for _, name := range names {
		out = append(out, traffic.Route{Kind: v1alpha1.KindHTTPRoute, Name: name})
	}
	return out
}

// TestFieldsNewerThanBelaySurvive: nothing of a route is written but its
// backendRefs and Belay's two annotations.
func TestFieldsNewerThanBelaySurvive(t *testing.T) {
	for _, kind := range gateway.Kinds() {
		t.Run(kind, func(t *testing.T) { newerFieldsSurvive(t, kind) })
	}
}

func newerFieldsSurvive(t *testing.T, kind string) {
	g, ctx := NewWithT(t), t.Context()
	stored := `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"` + kind + `","metadata":{"name":"shop","namespace":"shop","annotations":{"team":"shop"}},
		"spec":{"newer":1,"parentRefs":[{"name":"gateway","newer":true}],"rules":[
			{"newer":{"keep":"me"},"backendRefs":[{"name":"other","port":80,"newer":[1]}]},
			{"newer":{"keep":"me too"},"backendRefs":[{"name":"shop","port":80,"weight":1,"newer":[2]}]}]}}`
	route := &unstructured.Unstructured{}
	g.Expect(utiljson.Unmarshal([]byte(stored), &route.Object)).To(Succeed())
	// A scheme without Gateway API's types keeps what they do not know.
	scheme := runtime.NewScheme()
	g.Expect(corev1.AddToScheme(scheme)).To(Succeed())
	var documents []string
	c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(route).Build(), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			raw, err := patch.Data(o)
			documents = append(documents, string(raw))
			if err != nil {
				return err
			}
			return c.Patch(ctx, o, patch, opts...)
		}})
	before := gateway.Route(kind)
	g.Expect(c.Get(ctx, client.ObjectKeyFromObject(route), before)).To(Succeed())
	router := gateway.New(c, "belay")
	target := traffic.Target{Namespace: "shop", Owner: "shop", Routes: []traffic.Route{{Kind: kind, Name: "shop"}}, Service: "shop", Epoch: 4}

	g.Expect(router.Apply(ctx, target, traffic.Split{Canary: 30})).To(Succeed())
	shared := gateway.Route(kind)
	g.Expect(c.Get(ctx, client.ObjectKeyFromObject(route), shared)).To(Succeed())
	rules, _, err := unstructured.NestedSlice(shared.Object, "spec", "rules")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rules[1]).To(Equal(map[string]any{"newer": map[string]any{"keep": "me too"}, "backendRefs": []any{
		map[string]any{"name": "shop-stable", "port": int64(80), "weight": int64(70), "newer": []any{int64(2)}},
		map[string]any{"name": "shop-canary", "port": int64(80), "weight": int64(30), "newer": []any{int64(2)}}}}))
	g.Expect(shared.GetAnnotations()).To(HaveKeyWithValue("belay.dev/fence.shop", "4"))
	g.Expect(documents).To(HaveLen(1))
	g.Expect(documents[0]).To(And(HavePrefix(`[{"op":"test","path":"/metadata/resourceVersion"`), ContainSubstring(`"path":"/spec/rules/1/backendRefs"`),
		Not(ContainSubstring("/spec/rules/0")), Not(ContainSubstring("keep"))))

	g.Expect(router.Release(ctx, target)).To(Succeed())
	after := gateway.Route(kind)
	g.Expect(c.Get(ctx, client.ObjectKeyFromObject(route), after)).To(Succeed())
	g.Expect(after.Object["spec"]).To(Equal(before.Object["spec"]))
	g.Expect(after.GetAnnotations()).To(Equal(map[string]string{"team": "shop"}))
}

// TestATestersRule is a user's own rule that names only one Service of the pair:
// it holds nothing up, before, in and after a run, and nobody changes it.
func TestATestersRule(t *testing.T) {
	for _, name := range []string{"shop-canary", "shop-stable"} {
		t.Run(name, func(t *testing.T) {
			g, ctx := NewWithT(t), t.Context()
			w := open(t)
			target, router := w.Target(), w.Router()
			header := gatewayv1.HTTPRouteMatch{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "x-tester", Value: "yes"}}}
			rule := gatewayv1.HTTPRouteRule{Matches: []gatewayv1.HTTPRouteMatch{header}, BackendRefs: []gatewayv1.HTTPBackendRef{gatewaytest.Reference(name)}}
			add := func(at int) {
				gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
					r.Spec.Rules = append(r.Spec.Rules[:at:at], append([]gatewayv1.HTTPRouteRule{rule}, r.Spec.Rules[at:]...)...)
				})
			}
			rules := func() []gatewayv1.HTTPRouteRule { return gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules }
			before := rules()

			add(0)
			g.Expect(router.Point(ctx, target)).To(Succeed())
			w.Follow()
			o := observed(t, w, target)
			g.Expect(o.Split).To(BeNil())
			g.Expect(o.Mixed).To(BeFalse())
			g.Expect(router.Apply(ctx, target, traffic.Split{Canary: 20})).To(Succeed())
			add(2)
			o = observed(t, w, target)
			g.Expect(o.Mixed).To(BeFalse())
			g.Expect(o.Split).To(HaveValue(Equal(traffic.Split{Canary: 20})))
			g.Expect(router.Apply(ctx, target, traffic.Split{Canary: 0})).To(Succeed())
			g.Expect(observed(t, w, target).Split).To(HaveValue(Equal(traffic.Split{})))
			g.Expect(rules()[0]).To(Equal(rule))
			g.Expect(rules()[2]).To(Equal(rule))
			g.Expect(router.Release(ctx, target)).To(Succeed())
			g.Expect(rules()).To(Equal([]gatewayv1.HTTPRouteRule{rule, before[0], rule}))
			o = observed(t, w, target)
			g.Expect(o.Split).To(BeNil())
			g.Expect(o.Marked).To(BeFalse())
		})
	}
}

// TestACutOffReleaseIsSeen: the second write of a release gives up what Belay owns;
// until it is made the route is marked, and a release makes it.
func TestACutOffReleaseIsSeen(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	target := w.Target()
	made, cut := 0, errors.New("the process ends")
	router := gateway.New(interceptor.NewClient(w.Client, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if made++; made%2 == 0 {
				return cut
			}
			return c.Patch(ctx, o, patch, opts...)
		}}), gatewaytest.Manager)
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{Canary: 50})).To(Succeed())
	g.Expect(w.Router().Narrow(ctx, target, target.StableHash)).To(Succeed())

	g.Expect(router.Release(ctx, target)).To(MatchError(cut))
	g.Expect(w.Router().Narrow(ctx, target, "")).To(Succeed())
	o := observed(t, w, target)
	g.Expect(o.Split).To(BeNil())
	g.Expect(o.Marked).To(BeTrue(), "the route still has Belay's marks")
	g.Expect(w.Router().Release(ctx, target)).To(Succeed())
	g.Expect(observed(t, w, target).Marked).To(BeFalse())

	g.Expect(w.Router().Narrow(ctx, target, target.StableHash)).To(Succeed())
	g.Expect(router.Narrow(ctx, target, "")).To(MatchError(cut))
	o = observed(t, w, target)
	g.Expect(o.Narrowed).To(BeEmpty())
	g.Expect(o.Marked).To(BeTrue(), "the Service still has Belay's marks")
	g.Expect(w.Router().Narrow(ctx, target, "")).To(Succeed())
	g.Expect(observed(t, w, target).Marked).To(BeFalse())
}

// TestTwoRolloutsShareARoute: each keeps its own fence and its own way back, and
// what Belay owns is given up with the last of them.
func TestTwoRolloutsShareARoute(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	shop := w.Target()
	shop.Epoch = 9
	cart := shop
	cart.Owner, cart.Service, cart.Epoch = "cart", "cart", 2
	cart.Selector = map[string]string{"app": "cart"}
	service := gatewaytest.Get(w, "shop", &corev1.Service{}).DeepCopy()
	w.Create(&corev1.Service{ObjectMeta: objectMeta("cart"), Spec: corev1.ServiceSpec{Selector: cart.Selector, Ports: service.Spec.Ports}})
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{BackendRefs: []gatewayv1.HTTPBackendRef{gatewaytest.Reference("cart")}})
	})
	before := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules
	for _, step := range []struct {
		of    traffic.Target
		share int32
	}{{shop, 50}, {cart, 25}, {cart, 0}, {shop, 10}} {
		g.Expect(w.Router().Apply(ctx, step.of, traffic.Split{Canary: step.share})).To(Succeed())
	}
	g.Expect(observed(t, w, shop).Epoch).To(BeEquivalentTo(9))
	g.Expect(observed(t, w, cart).Epoch).To(BeEquivalentTo(2))

	g.Expect(w.Router().Release(ctx, cart)).To(Succeed())
	g.Expect(observed(t, w, cart).Marked).To(BeFalse())
	o := observed(t, w, shop)
	g.Expect(o.Split).To(HaveValue(Equal(traffic.Split{Canary: 10})))
	managers := func() (out []string) {
		for _, entry := range gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).ManagedFields {
			out = append(out, entry.Manager)
		}
		return out
	}
	g.Expect(managers()).To(ContainElement(gatewaytest.Manager), "shop's run still needs the rules")
	g.Expect(w.Router().Release(ctx, shop)).To(Succeed())
	route := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{})
	g.Expect(route.Spec.Rules).To(Equal(before))
	g.Expect(route.Annotations).To(BeEmpty())
	g.Expect(managers()).NotTo(ContainElement(gatewaytest.Manager))
}

// TestOneBadRouteKeepsNobodyFromTheOthers takes traffic back from the route that
// is left when another one is gone, and when one was pointed elsewhere.
func TestOneBadRouteKeepsNobodyFromTheOthers(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	w.Create(gatewaytest.NewRoute("elsewhere", gatewaytest.Reference("other")))
	target := w.Target()
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{Canary: 25})).To(Succeed())
	target.Routes = httpRoutes("gone", "elsewhere", "shop")
	o, err := w.Router().Observe(ctx, target)
	g.Expect(err).To(And(MatchError(traffic.ErrNotFound), MatchError(traffic.ErrNotRouted)))
	g.Expect(o.Split).To(HaveValue(Equal(traffic.Split{Canary: 25})))
	g.Expect(o.Mixed).To(BeFalse())
	g.Expect(o.Acknowledged).To(BeFalse())
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{})).To(MatchError(traffic.ErrNotFound))
	o, _ = w.Router().Observe(ctx, target)
	g.Expect(o.Split).To(HaveValue(Equal(traffic.Split{})))
	g.Expect(w.Router().Release(ctx, target)).To(Succeed())
	g.Expect(gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules[0].BackendRefs).To(HaveLen(1))
}

// TestARouteSomebodyElseWrote: who wrote the rules last is named.
func TestARouteSomebodyElseWrote(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	w := open(t)
	target := w.Target()
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{Canary: 25})).To(Succeed())
	g.Expect(observed(t, w, target).Manager).To(BeEmpty())
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		r.Spec.Rules[0].BackendRefs = []gatewayv1.HTTPBackendRef{gatewaytest.Reference("shop")}
	})
	o := observed(t, w, target)
	g.Expect(o.Manager).To(Equal("user"))
	g.Expect(o.Split).To(BeNil())
	g.Expect(w.Router().Apply(ctx, target, traffic.Split{Canary: 25})).To(Succeed())
	g.Expect(observed(t, w, target).Manager).To(BeEmpty())
}

// TestUnusableRoutes: what cannot be shared out is said before a run.
func TestUnusableRoutes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*gatewayv1.HTTPRoute)
		words  string
	}{
		"no parent": {func(r *gatewayv1.HTTPRoute) { r.Spec.ParentRefs = nil }, `HTTPRoute "shop" has no parentRefs, so no Gateway serves it`},
		"weights far apart": {func(r *gatewayv1.HTTPRoute) {
			heavy := gatewaytest.Reference("legacy")
			*heavy.Weight = 1_000_000
			r.Spec.Rules[0].BackendRefs = append(r.Spec.Rules[0].BackendRefs, heavy)
		}, `HTTPRoute "shop": rule 0: 1 % of the weight 1 is not a whole number beside a weight of 1000000`},
		"a port that the Service does not have": {func(r *gatewayv1.HTTPRoute) { *r.Spec.Rules[0].BackendRefs[0].Port = 8080 },
			`HTTPRoute "shop" refers to port 8080, which Service "shop" does not have`},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, c.change)
			_, err := w.Router().Observe(t.Context(), w.Target())
			if !errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("observed %v, want %q", err, c.words)
			}
		})
	}
}

// TestAReadThatFailedIsNoFault: it is worth a retry, and says nothing.
func TestAReadThatFailedIsNoFault(t *testing.T) {
	w := open(t)
	down := errors.New("the API server is down")
	for name, funcs := range map[string]interceptor.Funcs{
		"get": {Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return down
		}},
		"list": {List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return down }},
	} {
		router := gateway.New(interceptor.NewClient(w.Client, funcs), gatewaytest.Manager)
		o, err := router.Observe(t.Context(), w.Target())
		if !errors.Is(err, down) || errors.Is(err, traffic.ErrUnusable) || o != (traffic.Observation{}) {
			t.Errorf("%s: observed %+v, %v", name, o, err)
		}
	}
}

// TestAnUnreadableFenceIsNone.
func TestAnUnreadableFenceIsNone(t *testing.T) {
	w := open(t)
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		r.Annotations = map[string]string{v1alpha1.AnnotationFence + "shop": "ten"}
	})
	if o := observed(t, w, w.Target()); o.Epoch != 0 || !o.Marked {
		t.Errorf("observed epoch %d, marked %v", o.Epoch, o.Marked)
	}
}
