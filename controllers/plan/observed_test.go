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

// undecidedObserved has triggers in mode Observe beside one that enforces and passes.
func undecidedObserved(in *plan.Input) {
	observes := func(name string, outcome v1alpha1.VerdictOutcome, reason string) v1alpha1.VerdictReference {
		return v1alpha1.VerdictReference{Trigger: name, Mode: v1alpha1.ModeObserve, Outcome: outcome, Reason: reason}
	}
	in.Verdict.Observed = 5
	in.Verdict.References = []v1alpha1.VerdictReference{
		{Trigger: "shop/errors", Outcome: v1alpha1.VerdictPass, Reason: "Healthy"},
		observes("shop/slow", v1alpha1.VerdictFail, "Regression"), observes("shop/fast", v1alpha1.VerdictPass, "Healthy"), observes("shop/rare", v1alpha1.VerdictInconclusive, "BelowMinSamples"),
		observes("shop/blind", v1alpha1.VerdictError, "Unreachable"), observes("shop/other", v1alpha1.VerdictInconclusive, "NoTraffic"),
	}
}

// TestWhatWouldHaveHeld is noted where the stage ends, once for each trigger, and said then
// and in the history.
func TestWhatWouldHaveHeld(t *testing.T) {
	const rare = "shop/rare at step 1 of 2 (smoke), weight 10 % (BelowMinSamples)"
	nativeOver := given(nativeAlone, undecidedObserved)
	for name, tc := range map[string]struct {
		in   plan.Input
		rule string
		// first is where the first trigger would have held; empty when nothing is noted.
		first, says string
	}{
		"during the hold":        {given(stepAt(0), undecidedObserved, acknowledgedAt(&justNow)), "StepHolds", "", "2 of 2 triggers pass"},
		"the hold is over":       {given(stepAt(0), undecidedObserved), "StepPassed", "step 1 of 2 (smoke), weight 10 %", "observe only: 5; would have held: " + rare + ", shop/blind at step 1 of 2 (smoke), weight 10 % (Unreachable), and 1 more; step 2 of 2"},
		"the last step":          {given(stepAt(1), undecidedObserved), "StepsPassed", "step 2 of 2, weight 50 %", "; would have held: shop/rare at step 2 of 2, weight 50 % (BelowMinSamples)"},
		"one that enforces does": {given(stepAt(0), undecidedObserved, verdict(v1alpha1.VerdictError)), "StepUndecided", "", "staying at 10 %"},
		"the bake":               {given(baking, undecidedObserved, fullAt(&longAgo)), "BakePassed", "bake, weight 100 %", "; would have held: shop/rare at bake, weight 100 %"},
		"a native bake":          {nativeOver, "NativeDone", "", ""},
	} {
		d := plan.Decide(tc.in)
		if d.Rule != tc.rule || !strings.Contains(d.Why, tc.says) {
			t.Errorf("%s: %s: %s", name, d.Rule, d.Why)
		}
		switch held := d.Status.WouldHold; {
		case tc.first == "" && len(held) > 0, tc.first != "" && len(held) != 3:
			t.Errorf("%s: noted are %+v", name, held)
		case tc.first != "" && (held[0].Trigger != "shop/rare" || held[0].Stage != tc.first || held[0].Reason != "BelowMinSamples" || held[0].At.IsZero()):
			t.Errorf("%s: the first is %+v", name, held[0])
		}
	}
	if d := plan.Decide(nativeOver); d.Finished == nil || !strings.Contains(d.Finished.Message, "; would have held: shop/rare at native promotion (BelowMinSamples)") {
		t.Errorf("a native bake ends with %+v", d.Finished)
	}
	again := given(stepAt(1), undecidedObserved, noted("shop/blind"))
	again.Status.WouldHold = []v1alpha1.ObservedHold{{Trigger: "shop/rare", Stage: "step 1 of 2 (smoke), weight 10 %", Reason: "BelowMinSamples", At: recently}}
	if held := plan.Decide(again).Status.WouldHold; len(held) != 2 || held[0].Stage != again.Status.WouldHold[0].Stage || held[1].Trigger != "shop/other" {
		t.Errorf("one that would have held before, and one that would have rolled back: %+v", held)
	}
	ended := given(rollingBack(&longAgo), noted("shop/slow"), noCanary, noSplit)
	ended.Status.Rollback.Message, ended.Status.WouldHold = strings.Repeat("x", 1024), again.Status.WouldHold
	d := plan.Decide(ended)
	if m := d.Finished.Message; !strings.HasSuffix(m, "; would have rolled back: shop/slow at step 1 of 2 (smoke), weight 10 %; would have held: "+rare) || len(m) > 1024 || d.Status.WouldHold != nil {
		t.Errorf("the history says %q, and the status still has %v", m, d.Status.WouldHold)
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
