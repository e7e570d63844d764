package plan_test

import (
	"testing"

	"belay.dev/belay/controllers/plan"
)

// TestAWaveIsNoEvent: people are told of starts, steps, weights and outcomes. That one
// pod of a wave became ready, and another is asked for, is none of them.
func TestAWaveIsNoEvent(t *testing.T) {
	for name, traffic := range map[string]change{"with a route": func(*plan.Input) {}, "by pods": byPods} {
		in := given(all(stepAt(1), traffic, acknowledgedAt(nil), scaled(40), active(stable(40)), canaryPods(16)))
		first := plan.Transition(in)
		if first.Rule != "ScalesCanary" {
			t.Fatalf("%s: %s: %s", name, first.Rule, first.Why)
		}
		in.Status = first.Status
		in.Canary.Desired, in.Canary.Pods, in.Canary.Ready, in.Canary.Available = 17, 17, 8, 8
		next := plan.Transition(in)
		if next.Rule != "ScalesCanary" {
			t.Fatalf("%s: %s: %s", name, next.Rule, next.Why)
		}
		t.Logf("%s: %s", name, next.Why)
		if next.Event != nil {
			t.Errorf("%s: event %q, weight %+v", name, next.Event.Message, next.Weight)
		}
	}
}
