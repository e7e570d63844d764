package plan_test

import (
	"strings"
	"testing"

	"belay.dev/belay/controllers/plan"
)

// TestWhoEndedTheStepsStays in the promotion's message when that goes on in another way.
func TestWhoEndedTheStepsStays(t *testing.T) {
	for rule, c := range map[string]struct {
		in      plan.Input
		because string
	}{
		"HandoverImpossible": {given(handingOver, personPromoted, func(in *plan.Input) { in.Workload.Chosen = "shop-old" }), "shop-old"},
		"RollbackOvertaken":  {given(handoverBack, personPromoted, func(in *plan.Input) { in.Canary.Handed = true }), "declare shop:a again"},
	} {
		r := plan.Transition(c.in)
		p := r.Status.Promotion
		if r.Rule != rule || p == nil || p.Actor != "ann" || !strings.Contains(p.Message, c.because) || !strings.Contains(p.Message, "ann ended its steps at step 1 of 2") {
			t.Errorf("%s, want %s: %+v", r.Rule, rule, p)
		}
	}
}
