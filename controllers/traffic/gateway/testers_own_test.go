package gateway_test

import (
	"errors"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

// TestTheUsersOwnRuleForTheSameTestersStays: a user's rule that is what Belay would add could
// be taken for Belay's once somebody applies the route, and removed at the end of the step.
func TestTheUsersOwnRuleForTheSameTestersStays(t *testing.T) {
	w := open(t)
	plain := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules
	inForce(t, w)
	own := *gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules[0].DeepCopy()
	own.Name = nil
	if err := w.Router().Release(t.Context(), w.Target()); err != nil {
		t.Fatal(err)
	}
	declare := func(r *gatewayv1.HTTPRoute) { r.Spec.Rules = append([]gatewayv1.HTTPRouteRule{own}, plain...) }

	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, declare)
	if err := w.Router().Apply(t.Context(), w.Target(), traffic.Split{Testers: testers}); !errors.Is(err, traffic.ErrUnusable) {
		t.Errorf("applied with %v, want a refusal", err)
	}
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, declare)
	for _, end := range []func() error{
		func() error { return w.Router().Apply(t.Context(), w.Target(), traffic.Split{}) },
		func() error { return w.Router().Release(t.Context(), w.Target()) },
	} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if got := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules; len(got) != 2 || got[0].Name != nil {
			t.Errorf("of the two rules that the user has declared there are %+v", got)
		}
	}
}

// TestTestersAreSeenWhereNoRuleNamesTheService: somebody points the user's rule elsewhere, and
// Belay's rule still leads to the candidate, which a rollback and a deletion have to know.
func TestTestersAreSeenWhereNoRuleNamesTheService(t *testing.T) {
	w := open(t)
	inForce(t, w)
	gatewaytest.Update(w, "shop", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		r.Spec.Rules[1].BackendRefs = []gatewayv1.HTTPBackendRef{gatewaytest.Reference("other")}
	})
	o, err := w.Router().Observe(t.Context(), w.Target())
	if !errors.Is(err, traffic.ErrNotRouted) || o.Split == nil || !o.Mixed {
		t.Errorf("testers reach the candidate, and observed is %+v (split %+v), %v", o, o.Split, err)
	}
	if err := w.Router().Apply(t.Context(), w.Target(), traffic.Split{}); !errors.Is(err, traffic.ErrNotRouted) {
		t.Errorf("applied with %v", err)
	}
	if got := gatewaytest.Get(w, "shop", &gatewayv1.HTTPRoute{}).Spec.Rules; len(got) != 1 || got[0].BackendRefs[0].Name != "other" {
		t.Errorf("without testers it has %+v", got)
	}
	if o, err := w.Router().Observe(t.Context(), w.Target()); !errors.Is(err, traffic.ErrNotRouted) || o.Split != nil {
		t.Errorf("observed %+v (split %+v), %v", o, o.Split, err)
	}
}
