package gateway_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

var testers = &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Type: v1alpha1.MatchExact, Name: "x-canary", Value: "1"}}}

func inForce(t *testing.T, w *gatewaytest.World) {
	t.Helper()
	if err := w.Router().Apply(t.Context(), w.Target(), traffic.Split{Testers: testers}); err != nil {
		t.Fatal(err)
	}
}

// TestChangedRulesForTestersAreSeen: whatever somebody makes of a route with testers, it does
// not count as what was applied, and one write puts it right.
func TestChangedRulesForTestersAreSeen(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*gatewayv1.HTTPRoute)
		// gone: nobody but who matches the user's own rules reaches the candidate.
		gone bool
	}{
		"the rule is removed": {func(r *gatewayv1.HTTPRoute) { r.Spec.Rules = r.Spec.Rules[1:] }, true},
		"the whole list is restored": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{gatewaytest.Reference("shop")}}}
		}, true},
		"everybody matches it": {func(r *gatewayv1.HTTPRoute) { r.Spec.Rules[0].Matches = nil }, false},
		"it is there twice": {func(r *gatewayv1.HTTPRoute) {
			again := *r.Spec.Rules[0].DeepCopy()
			other := gatewayv1.SectionName("belay.shop.7")
			again.Name = &other
			r.Spec.Rules = append(r.Spec.Rules, again)
		}, false},
		"the annotation is removed": {func(r *gatewayv1.HTTPRoute) { delete(r.Annotations, v1alpha1.AnnotationTesters+"shop") }, false},
		"only the pair is restored": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules[1].BackendRefs = []gatewayv1.HTTPBackendRef{gatewaytest.Reference("shop")}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			inForce(t, w)
			gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, test.change)
			o, err := w.Router().Observe(t.Context(), w.Target())
			if err != nil {
				t.Fatal(err)
			}
			none := o.Split == nil || o.Split.Testers == nil && !o.Mixed
			if none != test.gone || !test.gone && !o.Mixed {
				t.Errorf("observed %+v (split %+v)", o, o.Split)
			}
			inForce(t, w)
			if o, err := w.Router().Observe(t.Context(), w.Target()); err != nil || o.Split == nil || o.Mixed || o.Split.Testers == nil {
				t.Errorf("observed %+v (split %+v), %v, after it was applied again", o, o.Split, err)
			}
			if err := w.Router().Release(t.Context(), w.Target()); err != nil {
				t.Fatal(err)
			}
			route := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{})
			if len(route.Spec.Rules) != 1 || route.Spec.Rules[0].BackendRefs[0].Name != "shop" || len(route.Annotations) != 0 {
				t.Errorf("released, it has %+v and %v", route.Spec.Rules, route.Annotations)
			}
		})
	}
}

// TestWhatTestersNeedIsSaidBefore: Observe says of a step to come that a route cannot carry it
// out, and Apply changes nothing of that route.
func TestWhatTestersNeedIsSaidBefore(t *testing.T) {
	w := open(t)
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		r.Spec.Rules = slices.Repeat(r.Spec.Rules, 9)
	})
	target := w.Target()
	if _, err := w.Router().Observe(t.Context(), target); err != nil {
		t.Fatalf("nine rules without testers: %v", err)
	}
	target.Matches = []*v1alpha1.StepMatch{testers}
	_, err := w.Router().Observe(t.Context(), target)
	if !errors.Is(err, traffic.ErrUnusable) || !strings.Contains(err.Error(), `HTTPRoute "shop"`) || !strings.Contains(err.Error(), "it would have 18, and Gateway API allows 16") {
		t.Errorf("said %v", err)
	}
	before := w.Writes()
	if err := w.Router().Apply(t.Context(), target, traffic.Split{Testers: testers}); !errors.Is(err, traffic.ErrUnusable) || w.Writes() != before {
		t.Errorf("applied with %d writes: %v", w.Writes()-before, err)
	}
	if err := w.Router().Apply(t.Context(), target, traffic.Split{Canary: 10}); err != nil {
		t.Errorf("without testers it can be split: %v", err)
	}
}

// TestRoutesDisagreeAboutTesters: one of two routes that has no rule for them.
func TestRoutesDisagreeAboutTesters(t *testing.T) {
	w := open(t)
	w.Create(gatewaytest.NewRoute("second", gatewaytest.Reference("shop")))
	both := w.Target()
	both.Routes = append(both.Routes, traffic.Route{Kind: v1alpha1.KindHTTPRoute, Name: "second"})
	if err := w.Router().Apply(t.Context(), both, traffic.Split{}); err != nil {
		t.Fatal(err)
	}
	inForce(t, w)
	if o, err := w.Router().Observe(t.Context(), both); err != nil || !o.Mixed {
		t.Errorf("observed %+v, %v", o, err)
	}
	if err := w.Router().Apply(t.Context(), both, traffic.Split{Testers: testers}); err != nil {
		t.Fatal(err)
	}
	if o, err := w.Router().Observe(t.Context(), both); err != nil || o.Mixed || o.Split.Testers == nil {
		t.Errorf("observed %+v, %v", o, err)
	}
}
