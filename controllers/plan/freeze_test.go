package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func freezeCases() []ruleCase {
	const step, before, held = v1alpha1.PhaseStepping, v1alpha1.PhaseGating, v1alpha1.ReasonFrozen
	const over, back, progressing = v1alpha1.PhaseHandingOver, v1alpha1.PhaseRollingBack, v1alpha1.ReasonProgressing
	please := action(v1alpha1.ActionOverrideFreeze, candidateRevision)
	revert := all(baking, func(in *plan.Input) { in.Status.Promotion.Fast = true })
	unreasoned := func(in *plan.Input) { in.Action.Reason = "" }
	return []ruleCase{
		works("PreflightHolds", "frozen", given(gating, frozen), nil, before, held, "no run starts: held by Freeze shop/weekend, opens 13:00", "kubectl belay override-freeze shop --revision bbbbbbbbbb --reason WHY"),
		stalls("PreflightHolds", "a freeze that cannot be read", given(gating, freezeUnclear), nil, before, v1alpha1.ReasonFreezeUnclear, "it is not known whether a freeze holds"),
		works("PreflightHolds", "a restart, frozen", given(gating, restartOf(stableRevision), frozen), nil, before, held),
		works("RevertStarts", "frozen", given(gating, previously(candidateRevision), frozen), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing).then(plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Run: v1alpha1.RunLabel(plan.RunName("shop", candidateRevision, 2))}}, plan.PointServices{}),
		works("RunStarts", "frozen and overridden", given(gating, frozen, overridden), plan.CreateRun{}, step, progressing).then(plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Run: v1alpha1.RunLabel(plan.RunName("shop", candidateRevision, 2))}}, plan.PointServices{}),
		works("Unserved", "frozen", given(gating, frozen, stableReady(0), unavailableFor(time.Minute)), plan.CreateRun{}, over, v1alpha1.ReasonNothingServes),

		works("Frozen", "a step that has passed", given(stepAt(0), frozen), nil, step, held, "frozen at step 1 of 2 (smoke), weight 10 %: held by Freeze shop/weekend", "a trigger that fires still rolls back", "override-freeze"),
		works("Frozen", "the last step", given(stepAt(1), frozen), nil, step, held),
		works("Frozen", "before the weight", given(stepAt(0), split(0), acknowledgedAt(nil), frozen), nil, step, held),
		works("Frozen", "a bake that has passed", given(baking, frozen), nil, v1alpha1.PhaseBaking, held, "bake"),
		works("Frozen", "natively", given(stepAt(1), nativeMode, frozen), nil, step, held),
		works("Frozen", "at a deadline that rolls back", given(stepAt(0), verdict(v1alpha1.VerdictInconclusive), entered(longAgo), rollBackAtDeadline, frozen), nil, step, held),
		stalls("Frozen", "a freeze that cannot be read", given(stepAt(0), freezeUnclear), nil, step, v1alpha1.ReasonFreezeUnclear),
		works("Paused", "frozen too", given(stepAt(0), specPaused, frozen), nil, step, v1alpha1.ReasonPaused),
		works("PauseFollowsSize", "frozen", given(stepAt(1), scaled(8), frozen), plan.ScaleCanary{Replicas: 4}, step, held, "frozen: held by Freeze shop/weekend", "scaling the canary from 2 to 4"),
		works("StepPassed", "overridden", given(stepAt(0), frozen, overridden), plan.ScaleCanary{Replicas: 2}, step, progressing),

		works("TriggerFired", "frozen", given(stepAt(0), verdict(v1alpha1.VerdictFail), frozen), nil, back, v1alpha1.ReasonRollingBack),
		works("BlindTooLong", "frozen", given(stepAt(0), blind, frozen), nil, back, v1alpha1.ReasonRollingBack),
		works("AbortRequested", "frozen", given(stepAt(0), frozen, action(v1alpha1.ActionAbort, "")), nil, back, v1alpha1.ReasonRollingBack),
		works("Cancelled", "frozen", given(stepAt(0), declares(stableRevision), frozen), nil, back, v1alpha1.ReasonRollingBack),
		works("Superseded", "frozen", given(stepAt(0), declares(newerRevision), frozen), nil, back, v1alpha1.ReasonRollingBack),
		works("ApproveRequested", "frozen", given(stepAt(0), approval(0), frozen, stepAction(v1alpha1.ActionApprove, "1")), nil, step, progressing),

		works("OverrideRequested", "in a step", given(stepAt(0), frozen, please), nil, step, progressing, "shop:b goes on in spite of a freeze until its run ends, by ann, at step 1 of 2", `"because"`, "held by Freeze shop/weekend"),
		works("OverrideRequested", "before the run", given(gating, frozen, please), nil, before, progressing, "before its run"),
		works("OverrideRequested", "of one that cannot be read", given(gating, freezeUnclear, please), nil, before, progressing),
		works("ActionRefused", "override, nothing frozen", given(stepAt(0), please), nil, step, progressing, "no freeze holds shop:b now"),
		works("ActionRefused", "override, twice", given(stepAt(0), frozen, overridden, please), nil, step, progressing, "goes on in spite of freezes already, by ann since 11:50:00Z"),
		works("ActionRefused", "override, of no revision", given(stepAt(0), frozen, action(v1alpha1.ActionOverrideFreeze, "")), nil, step, progressing, "belay.dev/action-revision"),
		works("ActionRefused", "override, without a reason", given(stepAt(0), frozen, please, unreasoned), nil, step, progressing, "it needs a reason"),
		works("ActionRefused", "override, of another revision", given(stepAt(0), frozen, action(v1alpha1.ActionOverrideFreeze, newerRevision)), nil, step, progressing, "it is for revision"),
		works("ActionRefused", "override, another is declared", given(stepAt(0), frozen, declares(newerRevision), please), nil, step, progressing, "declares shop:c meanwhile"),
		works("ActionRefused", "override, without a candidate", given(frozen, action(v1alpha1.ActionOverrideFreeze, "")), nil, v1alpha1.PhaseStable, progressing, "no run is in progress"),
		works("ActionRefused", "promote, frozen", given(stepAt(0), frozen, action(v1alpha1.ActionPromote, candidateRevision)), nil, step, progressing, "shop:b is held by Freeze shop/weekend", "override-freeze"),
		works("ActionRefused", "skip, frozen", given(stepAt(0), frozen, stepAction(v1alpha1.ActionSkip, "1")), nil, step, progressing, "shop:b is held by Freeze shop/weekend"),
		works("HandsOver", "frozen, begun before", given(handingOver, locked, frozen), plan.HandOver{Replicas: replicas}, over, v1alpha1.ReasonHandingOver),
		works("BakePassed", "a revert, frozen", given(revert, frozen), plan.HandOver{Replicas: replicas}, over, v1alpha1.ReasonHandingOver),
	}
}

// TestAFreezeStopsTheClocks: what is left of a hold and of a bake comes afterwards, and no
// deadline is over.
func TestAFreezeStopsTheClocks(t *testing.T) {
	open := func(in *plan.Input) { in.Gates = in.Gates[:1] }
	for name, c := range map[string]struct {
		stage change
		rest  time.Duration
	}{
		"a hold": {all(stepAt(0), acknowledgedAt(ptr(ago(30*time.Second))), entered(ago(time.Minute))), 30 * time.Second},
		"a bake": {all(baking, fullAt(ptr(ago(time.Minute)))), 4 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			l := &looks{t, given(c.stage, rollBackAtDeadline)}
			l.look(0, frozen)
			if r := l.look(3 * time.Hour); r.Reason != v1alpha1.ReasonFrozen || len(r.Effects) > 0 {
				t.Fatalf("after three hours: %s", r.Reason)
			}
			l.look(200*time.Millisecond, open)
			if r := l.look(c.rest - 2*time.Second); r.Status.Phase != l.in.Status.Phase || r.Rule == "StepPassed" || r.Reason == v1alpha1.ReasonDeadlineExceeded {
				t.Fatalf("the rest is cut: %s", r.Rule)
			}
			if r := l.look(5 * time.Second); r.Rule != "StepPassed" && r.Status.Phase != v1alpha1.PhaseHandingOver {
				t.Errorf("the rest is over, and not the stage: %s", r.Rule)
			}
		})
	}
}

// TestAFreezeIsAskedWhenItOpens: no event tells of it.
func TestAFreezeIsAskedWhenItOpens(t *testing.T) {
	soon := func(in *plan.Input) { in.Gates[len(in.Gates)-1].Until = now.Add(3 * time.Second) }
	for name, in := range map[string]plan.Input{"before the run": given(gating, frozen, soon), "in a step": given(stepAt(0), frozen, soon)} {
		if d := plan.Decide(in); d.Recheck != 3*time.Second {
			t.Errorf("%s: again after %s", name, d.Recheck)
		}
	}
}

// TestAnOverrideEndsWithItsCandidate, and is for no other.
func TestAnOverrideEndsWithItsCandidate(t *testing.T) {
	for name, c := range map[string]struct {
		in    plan.Input
		stays bool
	}{
		"in its run":         {given(stepAt(0), frozen, overridden), true},
		"the freeze is over": {given(stepAt(0), overridden), true},
		"rejected":           {given(stepAt(0), frozen, overridden, verdict(v1alpha1.VerdictFail)), false},
		"replaced":           {given(gating, frozen, overridden, declares(newerRevision)), false},
		"taken over":         {given(handed, frozen, overridden), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := plan.Transition(c.in)
			if stays := r.Status.FreezeOverride != nil; stays != c.stays {
				t.Errorf("%s: it stays: %t", r.Rule, stays)
			}
		})
	}
	other := given(stepAt(0), frozen, overridden, func(in *plan.Input) { in.Status.FreezeOverride.Revision = newerRevision })
	if r := plan.Transition(other); r.Rule != "Frozen" {
		t.Errorf("one for another revision: %s", r.Rule)
	}
}
