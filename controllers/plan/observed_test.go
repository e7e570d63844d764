package plan_test

import (
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestAFinishedRunSaysWhatWouldHaveRolledItBack, however long its message is, and the next
// run begins without it.
func TestAFinishedRunSaysWhatWouldHaveRolledItBack(t *testing.T) {
	const says = "; would have rolled back: shop/slow at step 1 of 2 (smoke), weight 10 %"
	for name, message := range map[string]string{"short": "aborted", "long": strings.Repeat("x", 1024)} {
		in := given(rollingBack(&longAgo), noted("shop/slow"), noCanary, noSplit)
		in.Status.Rollback.Message = message
		d := plan.Decide(in)
		if d.Finished == nil {
			t.Fatalf("%s: %s does not end the run: %s", name, d.Rule, d.Why)
		}
		if m := d.Finished.Message; !strings.HasSuffix(m, says) || len(m) > 1024 || m[:5] != message[:5] {
			t.Errorf("%s: the history says %q", name, m)
		}
		if len(d.Status.WouldRollBack) > 0 {
			t.Errorf("%s: after the run the status still has %v", name, d.Status.WouldRollBack)
		}
	}
}

// TestAnObservedFailIsAWarning that people are told of once, in a phase in which nothing
// else would be said.
func TestAnObservedFailIsAWarning(t *testing.T) {
	in := given(stepAt(0), observedFails)
	r := plan.Transition(in)
	if r.Event == nil || !r.Event.Warning || r.Event.Reason != "WouldRollBack" || r.Record == nil {
		t.Fatalf("the event is %+v, the record %+v", r.Event, r.Record)
	}
	want := v1alpha1.ObservedFail{Trigger: "shop/slow", Stage: "step 1 of 2 (smoke), weight 10 %"}
	got := r.Status.WouldRollBack
	if len(got) != 1 || got[0].Trigger != want.Trigger || got[0].Stage != want.Stage {
		t.Fatalf("noted are %v", got)
	}
	in.Status = r.Status
	if again := plan.Decide(in); again.Rule == "WouldRollBack" {
		t.Error("it is noted twice")
	}
}
