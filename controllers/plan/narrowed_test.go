package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/controllers/plan"
)

// A rollback from a bake takes direct callers back although the gateway is silent.
func TestARollbackTakesDirectCallersFromASilentGateway(t *testing.T) {
	for name, in := range map[string]plan.Input{
		"bake": given(baking, asRollback, split(0), narrowed(canaryHash), unacknowledged),
		"handover, routes at the narrowed Service": given(handingOver, asRollback, noSplit, narrowed(canaryHash), unacknowledged),
	} {
		t.Run(name, func(t *testing.T) {
			d := plan.Transition(in)
			if e, ok := plan.EffectOf[plan.NarrowService](d.Decision); !ok || e.Hash != stableHash {
				t.Errorf("%s: %s (%s): direct callers stay on the rejected candidate", d.Rule, d.Why, d.Does())
			}
		})
	}
}

// CanaryLostWidens is recorded, its effect fails (a conflict, a crash).
func TestALostCanaryWidensUntilItIsDone(t *testing.T) {
	in := given(handingOver, narrowed(canaryHash), noSplit, canaryReady(0), serviceEndpoints(0), unacknowledged)
	d := plan.Transition(in)
	if d.Rule != "CanaryLostWidens" {
		t.Fatalf("%s", d.Rule)
	}
	in.Status = d.Status
	for range 10 {
		in.Now = in.Now.Add(time.Minute)
		d = plan.Transition(in)
		in.Status = d.Status
		if _, ok := plan.EffectOf[plan.NarrowService](d.Decision); ok {
			return
		}
	}
	t.Errorf("after ten minutes: %s: %s: Service selects nobody, stable has %d ready pods", d.Rule, d.Why, in.Workload.Stable.Ready)
}
