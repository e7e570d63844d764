package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
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

// TestANarrowedServiceIsNotLeftAtACanaryWithoutPods: stable's pods are ready and the canary
// has none, and something holds the run back. The Service selects stable at once.
func TestANarrowedServiceIsNotLeftAtACanaryWithoutPods(t *testing.T) {
	unusable := func(in *plan.Input) {
		in.Route.Fault = plan.Fault{Reason: v1alpha1.ReasonRouteNotFound, Message: "one of two is gone"}
	}
	// A handover at 0 replicas, and what scales the Deployment up then.
	emptied := all(handingOver, narrowed(canaryHash), noSplit, scaled(0), active())
	lost := all(baking, narrowed(canaryHash), canaryReady(0))
	tests := map[string]struct {
		in      plan.Input
		silent  bool
		refused plan.Effect
	}{
		"from 0":                                 {given(emptied), false, nil},
		"from 0, paused":                         {given(emptied, specPaused), false, nil},
		"from 0, a silent gateway":               {given(emptied), true, nil},
		"from 0, a route that cannot be used":    {given(emptied, unusable), false, nil},
		"canary lost, a refused write":           {given(lost), false, plan.NarrowService{Hash: stableHash}},
		"canary lost, a refused write, paused":   {given(lost, specPaused), false, plan.NarrowService{Hash: stableHash}},
		"canary lost, refused, a silent gateway": {given(lost), true, plan.NarrowService{Hash: stableHash}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in, w.refused = c.in, []plan.Effect{c.refused}
			looks := func(n int) {
				for range n {
					w.decides(0, plan.Decide(w.in).Rule)
					w.happens(canaryReady(0), later(10*time.Second))
					w.in.Route.Acknowledged = !c.silent
				}
			}
			looks(4)
			w.refused = nil
			if w.in.Workload.Replicas == 0 {
				w.happens(scaled(replicas), active(stable(replicas)))
			}
			looks(3)
			if w.in.Route.Narrowed != stableHash {
				t.Errorf("Service shop selects %d pods, narrowed to %q, beside %d of stable: %s", w.in.Route.ServiceEndpoints, w.in.Route.Narrowed, w.in.Workload.Stable.Ready, w.in.Status.Message)
			}
		})
	}
}
