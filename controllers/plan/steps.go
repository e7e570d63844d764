package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// stepsTable applies in Stepping; its last row always matches. It comes after the
// rows of trial: a step is judged only while pods and weight are as it asks,
// and the gateway has acknowledged them.
var stepsTable = table{
	name:    "Steps: judgement",
	about:   "Stepping, with the weight acknowledged: hold, verdicts, approval, next step.",
	applies: stepping,
	rules: []rule{
		{"StepHolds", holdRunning, holdStep},
		{"StepUndecided", undecided, holdUndecided},
		{"AwaitsApproval", approvalMissing, awaitApproval},
		{"StepPassed", stepHasNext, nextStep},
		{"StepsPassed", always, startPromotion},
	},
}

func (f *facts) stepHold() time.Duration {
	i := int(f.step().Index)
	if i >= len(f.in.Spec.Steps) {
		return 0
	}
	return f.in.Spec.Steps[i].Hold.Duration
}

func holdRunning(f *facts) bool {
	over, _ := f.sinceElapsed(f.step().AcknowledgedAt, f.stepHold()+f.stood())
	return !over
}

func holdStep(f *facts) Decision {
	_, left := f.sinceElapsed(f.step().AcknowledgedAt, f.stepHold()+f.stood())
	until := f.in.Now.Add(left)
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s: holding at %s until %s; %s", f.stage(), f.stepShare(), clock(until), f.verdictSummary()))
	d.Key = fmt.Sprint(f.step().Index)
	d.Recheck = left
	f.sayNextAgain(&d, "judge "+f.stage(), until)
	return d
}

func (f *facts) verdictSummary() string {
	v, summary := f.in.Verdict, "there are no triggers"
	switch {
	case v.Total == 0 && v.Observed == 0 && len(v.Excused) > 0:
		summary = "no trigger has requests to judge by"
	case v.Total == 0 && v.Observed > 0:
		summary = fmt.Sprintf("no trigger enforces, observe only: %d", v.Observed)
	case v.Total > 0 && v.Observed > 0:
		summary = fmt.Sprintf("%d of %d triggers pass, observe only: %d", v.Passing, v.Total, v.Observed)
	case v.Total > 0:
		summary = fmt.Sprintf("%d of %d triggers pass", v.Passing, v.Total)
	}
	return summary + f.excused() + sayObserved(f.in.Status.WouldRollBack, f.in.Status.WouldHold)
}

func undecided(f *facts) bool { return f.in.Verdict.Outcome != v1alpha1.VerdictPass }

// holdUndecided is for a verdict that is neither Pass nor Fail: the weight
// stays where it is.
func holdUndecided(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonHolding, fmt.Sprintf("%s: the hold is over, staying at %s: %s", f.stage(), f.stepShare(), f.undecidedBecause()))
	d.Key = fmt.Sprintf("%d/%s/%s", f.step().Index, f.in.Verdict.Trigger, f.in.Verdict.Reason)
	return d
}

func (f *facts) undecidedBecause() string {
	v := f.in.Verdict
	if v.Trigger == "" {
		return "no verdict yet"
	}
	return fmt.Sprintf("%s is %s (%s): %s", v.Trigger, v.Outcome, v.Reason, v.Message)
}

func stepHasNext(f *facts) bool { return int(f.step().Index)+1 < len(f.in.Spec.Steps) }

func nextStep(f *facts) Decision {
	f = f.passed()
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s passed at %s: %s%s", f.stage(), f.stepShare(), f.verdictSummary(), f.approved()))
	d.Key = fmt.Sprint(f.step().Index)
	d.Status.Step = &v1alpha1.StepStatus{Index: f.step().Index + 1, EnteredAt: f.now(), Skipped: f.step().Skipped}
	d.Recheck = 1
	f.grow(&d, f.after(d).stage()+": ")
	return d
}

// startPromotion goes on to weight 100, or leaves the rest to the Deployment.
func startPromotion(f *facts) Decision {
	f = f.passed()
	d := f.reconciling(v1alpha1.ReasonPromoting, fmt.Sprintf("%s passed at %s, the last one: %s%s; promoting", f.stage(), f.stepShare(), f.verdictSummary(), f.approved()))
	d.Key = f.candidate
	d.Status.Phase = v1alpha1.PhasePromoting
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: f.now(), Mode: v1alpha1.TakeOverHandOver, Message: f.step().Skipped}
	switch {
	case f.in.Spec.Promotion.Mode == v1alpha1.PromotionNative:
		f.switchToNative(&d, "promotion.mode is Native")
	case f.in.Canary.Changed != "":
		// A bake would judge pods that the Deployment replaces afterwards.
		f.switchToNative(&d, f.nativeReason())
	}
	d.Recheck = 1
	f.grow(&d, "")
	f.bakeAtOnce(&d)
	return d
}

// bakeAtOnce lets the end of the last step begin the bake where nothing is left to set
// up for it: the last step gave the canary its full size and weight.
func (f *facts) bakeAtOnce(d *Decision) {
	next := f.after(*d)
	if _, more := trialTable.first(next); more {
		return
	}
	if baked, ok := bakeTable.comesTo("BakeStarts", next); ok {
		d.Status, d.Reason, d.Recheck, d.Why = baked.Status, baked.Reason, baked.Recheck, d.Why+"; "+baked.Why
	}
}

// grow lets a decision that begins a run, or takes it to its next step or to the
// promotion, ask for the first pods of that, as the next look would: they wait for
// nothing that it changes but the run that it creates. The message names the step,
// where it has not yet.
func (f *facts) grow(d *Decision, stage string) {
	next := f.after(*d)
	if grown, ok := trialTable.comesTo("ScalesCanary", next); ok {
		d.Status, d.Effects, d.Why = grown.Status, append(d.Effects, grown.Effects...), d.Why+"; "+stage+next.podsAskedFor()
	}
}
