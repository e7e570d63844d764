package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/controllers/plan"
)

// TestARefusedRouteHoldsBackNothingElse: an admission webhook refuses every write of the
// routes for five minutes. Meanwhile the Deployment is neither paused by Belay nor locked,
// and direct callers do not stay on what is given up. Only a Deployment that would scale the
// set that the routes name to 0 stays paused.
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
		"handed, never recognised":              {given(handed, unrecognised), true, ""},
		"handed, never recognised, scaled":      {given(handed, unrecognised, smaller), true, ""},
		"handed, never recognised, deleted":     {given(handed, unrecognised, deleted(time.Second)), true, ""},
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

// TestNothingRollsAwayTheSetThatIsNamed: the Deployment controller does not recognise the
// set that was handed over, so what is unpaused makes one of its own and scales the other
// to 0. While a write that gives requests back is refused, those reach pods.
func TestNothingRollsAwayTheSetThatIsNamed(t *testing.T) {
	unknown := all(handed, unrecognised, handedAt(ptr(ago(time.Minute))), func(in *plan.Input) { in.Workload.Chosen = "" })
	rolls := func(in *plan.Input) {
		if !in.Workload.Paused {
			in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 0)
			active(own(replicas))(in)
		}
	}
	tests := map[string]struct {
		in      plan.Input
		refused plan.Effect
	}{
		"split":             {given(unknown), plan.ReleaseRoute{}},
		"split, blocked":    {given(unknown, serviceGone), nil},
		"narrowed":          {given(unknown, narrowed(canaryHash), noSplit), plan.NarrowService{}},
		"split, deleted":    {given(unknown, deleted(time.Second)), plan.ReleaseRoute{}},
		"narrowed, deleted": {given(unknown, narrowed(canaryHash), noSplit, deleted(time.Second)), plan.NarrowService{}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in, w.refused = c.in, []plan.Effect{c.refused}
			for range 10 {
				w.decides(0, plan.Decide(w.in).Rule)
				w.happens(rolls, later(10*time.Second))
			}
			if in := w.in; !in.Workload.Paused || in.Workload.Lock != "" || in.Canary.Ready == 0 {
				t.Errorf("paused %v, locked %q, the set that is named has %d ready pods: %s", in.Workload.Paused, in.Workload.Lock, in.Canary.Ready, in.Status.Message)
			}
			if c.refused == nil {
				return
			}
			w.refused = nil
			for range 4 {
				w.decides(0, plan.Decide(w.in).Rule)
				w.happens(rolls, later(10*time.Second))
			}
			if in := w.in; in.Workload.Paused || in.Route.Split != nil || in.Route.Narrowed != "" {
				t.Errorf("not refused any more: paused %v, split %v, narrowed to %q: %s", in.Workload.Paused, in.Route.Split, in.Route.Narrowed, in.Status.Message)
			}
		})
	}
}

// TestARefusedFenceHoldsBackNoRequests: the API server refuses every write of ReplicaSets,
// which is why a handover did not go through. The routes can be written.
func TestARefusedFenceHoldsBackNoRequests(t *testing.T) {
	due := all(handingOver, handedAt(&recently), locked, narrowed(canaryHash))
	tests := map[string]struct {
		in       plan.Input
		narrowed string
	}{
		"rolled back": {given(handoverBack, locked, narrowed(canaryHash)), stableHash},
		"deleted":     {given(due, deleted(time.Second)), ""},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in, w.refused = c.in, []plan.Effect{plan.FenceCanary{Epoch: c.in.Status.Epoch}}
			for range 3 {
				w.decides(0, plan.Decide(w.in).Rule)
				w.happens(later(10 * time.Second))
			}
			if r := w.in.Route; *r.Split != 0 || r.Narrowed != c.narrowed || w.in.Workload.Lock != "" {
				t.Errorf("split %d, narrowed to %q, locked %q: %s", *r.Split, r.Narrowed, w.in.Workload.Lock, w.in.Status.Message)
			}
			if w.in.Status.Refusal == nil {
				t.Errorf("nothing is refused: %s", w.in.Status.Message)
			}
		})
	}
}

// TestTheLabelsStayForWhatABypassHasToUndo: while routes are split or the Service is
// narrowed the labels on the Deployment say so, by which a refusal prints what to undo.
func TestTheLabelsStayForWhatABypassHasToUndo(t *testing.T) {
	for name, c := range map[string]struct {
		in      plan.Input
		refused plan.Effect
	}{
		"split":                    {given(handed), plan.ReleaseRoute{}},
		"split, narrowed":          {given(handed, narrowed(canaryHash)), plan.ReleaseRoute{}},
		"narrowed":                 {given(handed, narrowed(canaryHash), noSplit), plan.NarrowService{}},
		"split, deleted":           {given(handed, deleted(time.Second)), plan.ReleaseRoute{}},
		"narrowed, deleted":        {given(handed, narrowed(canaryHash), deleted(time.Second)), plan.NarrowService{}},
		"narrowed, deleted, split": {given(handed, narrowed(canaryHash), deleted(time.Second)), plan.ReleaseRoute{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in, w.refused = c.in, []plan.Effect{c.refused}
			for range 9 {
				w.decides(0, plan.Decide(w.in).Rule)
				w.happens(later(10 * time.Second))
				m, r := w.in.Workload.Marks, w.in.Route
				if r.Split != nil && m.Run == "" || r.Narrowed != "" && m.Narrowed == "" {
					t.Fatalf("split %v, narrowed to %q, and the labels are %q: %s", r.Split, r.Narrowed, m, w.in.Status.Message)
				}
			}
			if w.in.Workload.Paused {
				t.Errorf("paused: %s", w.in.Status.Message)
			}
		})
	}
}
