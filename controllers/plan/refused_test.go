package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/controllers/plan"
)

// TestARefusedRouteHoldsBackNothingElse: an admission webhook refuses every write of the
// routes for five minutes. Meanwhile the Deployment is neither paused by Belay nor locked,
// and direct callers do not stay on what is given up.
func TestARefusedRouteHoldsBackNothingElse(t *testing.T) {
	smaller := all(scaled(8), func(in *plan.Input) { in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 2) }, func(in *plan.Input) { active(stable(8), in.Canary.Set)(in) })
	reverted := all(declares(stableRevision), paused(true))
	fenced := func(in *plan.Input) { in.Canary.Epoch = in.Status.Epoch }
	tests := map[string]struct {
		in plan.Input
		// paused is what it stays, and narrowed the version that direct callers reach.
		paused   bool
		narrowed string
	}{
		"handed":                                {given(handed), false, ""},
		"handed, narrowed":                      {given(handed, narrowed(canaryHash)), false, ""},
		"handed, never recognised":              {given(handed, unrecognised), false, ""},
		"handed, scaled in between":             {given(handed, smaller), false, ""},
		"handed, deleted":                       {given(handed, narrowed(canaryHash), deleted(time.Second)), false, ""},
		"handed, deleted long ago":              {given(handed, narrowed(canaryHash), deleted(time.Hour)), false, ""},
		"bake, rolled back":                     {given(baking, asRollback, narrowed(canaryHash)), true, stableHash},
		"handover, rolled back":                 {given(handoverBack, fenced, locked, narrowed(canaryHash)), true, stableHash},
		"bake, canary lost":                     {given(baking, narrowed(canaryHash), canaryReady(0)), true, stableHash},
		"bake, deleted":                         {given(baking, narrowed(canaryHash), deleted(time.Second)), true, ""},
		"handover, deleted":                     {given(handingOver, locked, deleted(time.Second)), true, ""},
		"handover, deleted, stable gone":        {given(handingOver, locked, narrowed(canaryHash), stableReady(0), deleted(time.Second)), true, ""},
		"rolled back, stable declared":          {given(rollingBack(&recently), noCanary, reverted), false, ""},
		"rolled back, stable declared, deleted": {given(rollingBack(&recently), noCanary, reverted, deleted(time.Second)), false, ""},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in, w.refused = c.in, []plan.Effect{plan.ReleaseRoute{}, plan.SetSplit{}}
			for range 30 {
				w.decides(0, plan.Decide(w.in).Rule)
				w.in.Now = w.in.Now.Add(10 * time.Second)
			}
			wl, message := w.in.Workload, w.in.Status.Message
			if wl.Lock != "" || wl.Paused != c.paused || w.in.Route.Narrowed != c.narrowed {
				t.Errorf("locked %q, paused %v, narrowed to %q: %s", wl.Lock, wl.Paused, w.in.Route.Narrowed, message)
			}
			if w.in.Status.Refusal == nil || w.in.Route.Split == nil {
				t.Errorf("nothing is refused: %s", message)
			}
		})
	}
}
