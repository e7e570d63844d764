package gateway_test

import (
	"errors"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

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
