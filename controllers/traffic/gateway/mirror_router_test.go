package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

func mirrorApplied(t *testing.T, w *gatewaytest.World, target traffic.Target) {
	t.Helper()
	if err := w.Router().Apply(t.Context(), target, traffic.Split{Mirror: 10}); err != nil {
		t.Fatal(err)
	}
}

// TestChangedMirrorsAreSeen: whatever somebody makes of a route that mirrors, it does not count
// as what was applied, one write puts it right, and a release leaves nothing.
func TestChangedMirrorsAreSeen(t *testing.T) {
	all := int32(100)
	for name, test := range map[string]struct {
		change func(*gatewayv1.HTTPRoute)
		// gone: nothing is copied any more.
		gone bool
	}{
		"the filter is removed":     {func(r *gatewayv1.HTTPRoute) { r.Spec.Rules[0].Filters = nil }, true},
		"everything is mirrored":    {func(r *gatewayv1.HTTPRoute) { r.Spec.Rules[0].Filters[0].RequestMirror.Percent = nil }, false},
		"another share is mirrored": {func(r *gatewayv1.HTTPRoute) { r.Spec.Rules[0].Filters[0].RequestMirror.Percent = &all }, false},
		"it is there twice": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules[0].Filters = append(r.Spec.Rules[0].Filters, r.Spec.Rules[0].Filters[0])
		}, false},
		"the annotation is removed":  {func(r *gatewayv1.HTTPRoute) { delete(r.Annotations, v1alpha1.AnnotationMirror+"shop") }, false},
		"the annotation is nonsense": {func(r *gatewayv1.HTTPRoute) { r.Annotations[v1alpha1.AnnotationMirror+"shop"] = "1e9" }, false},
		"only the Service is put back": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules[0].BackendRefs = []gatewayv1.HTTPBackendRef{gatewaytest.Reference("shop")}
		}, false},
		"the whole route is as it was": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{gatewaytest.Reference("shop")}}}
		}, true},
	} {
		for to, comparer := range map[string]*v1alpha1.Comparer{"the canary": nil, "a comparer": {Service: "audit", Port: 8080}} {
			t.Run(name+"/"+to, func(t *testing.T) { changedMirror(t, comparer, test.change, test.gone) })
		}
	}
}

func changedMirror(t *testing.T, comparer *v1alpha1.Comparer, change func(*gatewayv1.HTTPRoute), gone bool) {
	w := open(t)
	target := w.Target()
	target.Comparer = comparer
	mirrorApplied(t, w, target)
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, change)
	o, err := w.Router().Observe(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	none := o.Split == nil || o.Split.Mirror == 0 && !o.Mixed
	if none != gone || !gone && !o.Mixed {
		t.Errorf("observed %+v (split %+v)", o, o.Split)
	}
	mirrorApplied(t, w, target)
	if o, err := w.Router().Observe(t.Context(), target); err != nil || o.Split == nil || o.Mixed || o.Split.Mirror != 10 {
		t.Errorf("observed %+v (split %+v), %v, after it was applied again", o, o.Split, err)
	}
	if err := w.Router().Release(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	route := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{})
	if rule := route.Spec.Rules[0]; len(route.Spec.Rules) != 1 || rule.Filters != nil || rule.BackendRefs[0].Name != "shop" || len(route.Annotations) != 0 {
		t.Errorf("released, it has %+v and %v", route.Spec.Rules, route.Annotations)
	}
}

// TestAPercentageThatIsDroppedIsRefused: a Gateway API before 1.3 would mirror everything.
func TestAPercentageThatIsDroppedIsRefused(t *testing.T) {
	w := open(t)
	dropped := func(o client.Object) { dropPercent(rulesIn(o.(*unstructured.Unstructured))) }
	old := gateway.New(gatewaytest.DryRuns(interceptor.NewClient(w.Client, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if err := c.Patch(ctx, o, p, opts...); err != nil {
			return err
		}
		dropped(o)
		return c.Update(ctx, o)
	}}), dropped), gatewaytest.Manager)
	target := w.Target()
	target.Mirrors = []int32{10}
	before := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).ResourceVersion
	_, err := old.Observe(t.Context(), target)
	if !errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), "drops requestMirror.percent") || !strings.Contains(err.Error(), "Gateway API 1.3") {
		t.Errorf("said %v", err)
	}
	if err := old.Apply(t.Context(), target, traffic.Split{Mirror: 10}); !errors.Is(err, traffic.ErrUnusable) {
		t.Errorf("applied: %v", err)
	}
	if after := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).ResourceVersion; after != before {
		t.Error("the route was written")
	}
	target.Mirrors = []int32{100}
	if _, err := old.Observe(t.Context(), target); err != nil {
		t.Errorf("everything can be mirrored without a percentage: %v", err)
	}
	if err := old.Apply(t.Context(), target, traffic.Split{Mirror: 100}); err != nil {
		t.Errorf("everything can be mirrored without a percentage: %v", err)
	}
	if o, err := old.Observe(t.Context(), target); err != nil || o.Mixed || o.Split == nil || o.Split.Mirror != 100 {
		t.Errorf("observed %+v, %v", o, err)
	}
}

func dropPercent(rules []any) {
	for _, one := range rules {
		filters, _ := one.(map[string]any)["filters"].([]any)
		for _, filter := range filters {
			if mirror, _ := filter.(map[string]any)["requestMirror"].(map[string]any); mirror != nil {
				delete(mirror, "percent")
			}
		}
	}
}

// TestWhatMirroringNeedsIsSaidBefore: Observe says of a step to come that a route cannot carry
// it out, and Apply changes nothing of that route.
func TestWhatMirroringNeedsIsSaidBefore(t *testing.T) {
	w := open(t)
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		port := gatewayv1.PortNumber(80)
		own := gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{}}
		own.RequestMirror.BackendRef.Name, own.RequestMirror.BackendRef.Port = "shop-canary", &port
		r.Spec.Rules[0].Filters = []gatewayv1.HTTPRouteFilter{own}
	})
	target := w.Target()
	if _, err := w.Router().Observe(t.Context(), target); err != nil {
		t.Fatalf("without a step that mirrors: %v", err)
	}
	target.Mirrors = []int32{10}
	if _, err := w.Router().Observe(t.Context(), target); !errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), "already mirrors requests") {
		t.Errorf("said %v", err)
	}
	before := w.Writes()
	if err := w.Router().Apply(t.Context(), target, traffic.Split{Mirror: 10}); !errors.Is(err, traffic.ErrUnusable) || w.Writes() != before {
		t.Errorf("applied with %d writes: %v", w.Writes()-before, err)
	}
	if err := w.Router().Apply(t.Context(), target, traffic.Split{Canary: 10}); err != nil {
		t.Errorf("without a mirror it can be split: %v", err)
	}
	if err := w.Router().Release(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if rule := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules[0]; len(rule.Filters) != 1 {
		t.Errorf("the user's own mirror is gone: %+v", rule)
	}
}

// TestAnotherRulesOwnMirrorStays: a user's filter to the same Service, in a rule that gives the
// user's Service no requests, is never taken for Belay's.
func TestAnotherRulesOwnMirrorStays(t *testing.T) {
	for to, comparer := range map[string]*v1alpha1.Comparer{"shop-canary": nil, "audit": {Service: "audit", Port: 8080}} {
		t.Run(to, func(t *testing.T) {
			w := open(t)
			gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
				port, percent := gatewayv1.PortNumber(80), int32(5)
				own := gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{Percent: &percent}}
				own.RequestMirror.BackendRef.Name, own.RequestMirror.BackendRef.Port = gatewayv1.ObjectName(to), &port
				r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{Filters: []gatewayv1.HTTPRouteFilter{own}, BackendRefs: []gatewayv1.HTTPBackendRef{gatewaytest.Reference("other")}})
			})
			target := w.Target()
			target.Comparer, target.Mirrors = comparer, []int32{10}
			if _, err := w.Router().Observe(t.Context(), target); !errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), "rule 1 already mirrors requests to Service") {
				t.Errorf("said %v", err)
			}
			if err := w.Router().Apply(t.Context(), target, traffic.Split{Mirror: 10}); !errors.Is(err, traffic.ErrUnusable) {
				t.Errorf("applied: %v", err)
			}
			for _, split := range []traffic.Split{{Canary: 10}, {}} {
				if err := w.Router().Apply(t.Context(), target, split); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Router().Release(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if rules := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules; len(rules) != 2 || len(rules[1].Filters) != 1 {
				t.Errorf("the user's own mirror is gone: %+v", rules)
			}
		})
	}
}

// TestCopiesToAnotherComparerAreSeen: a filter to a comparer that is no longer named, such as in
// a route that was put back from a backup, does not copy for ever.
func TestCopiesToAnotherComparerAreSeen(t *testing.T) {
	for name, now := range map[string]*v1alpha1.Comparer{"another": {Service: "second", Port: 8080}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			target := w.Target()
			target.Comparer = &v1alpha1.Comparer{Service: "audit", Port: 8080}
			mirrorApplied(t, w, target)
			target.Comparer = now
			if o, err := w.Router().Observe(t.Context(), target); err != nil || !o.Mixed {
				t.Errorf("observed %+v, %v", o, err)
			}
			if err := w.Router().Release(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if route := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}); route.Spec.Rules[0].Filters != nil || len(route.Annotations) != 0 {
				t.Errorf("released, it has %+v and %v", route.Spec.Rules, route.Annotations)
			}
		})
	}
}

// TestAComparerThatIsNotThereIsSaidBefore a route names it, and only for steps that copy to it.
func TestAComparerThatIsNotThereIsSaidBefore(t *testing.T) {
	w := open(t)
	target := w.Target()
	target.Comparer = &v1alpha1.Comparer{Service: "shop-comparer", Port: 8080}
	says := func(want string) {
		t.Helper()
		if _, err := w.Router().Observe(t.Context(), target); want == "" && err != nil || want != "" && (!errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), want)) {
			t.Errorf("said %v, want %q", err, want)
		}
	}
	says("")
	target.Mirrors = []int32{10}
	says(`Service "shop-comparer" does not exist: deploy the comparer`)
	w.Create(&corev1.Service{ObjectMeta: objectMeta("shop-comparer"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}})
	says(`Service "shop-comparer" has no port 8080`)
	target.Comparer.Port = 80
	says("")
}
