package plan_test

import (
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func skipCases() []ruleCase {
	const progressing, promotes, back = v1alpha1.ReasonProgressing, v1alpha1.ReasonPromoting, v1alpha1.ReasonRollingBack
	const step, promotion, bake, over = v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking, v1alpha1.PhaseHandingOver
	skip, last := stepAction(v1alpha1.ActionSkip, "1"), stepAction(v1alpha1.ActionSkip, "2")
	unknown := verdict(v1alpha1.VerdictInconclusive)
	unnamed := func(in *plan.Input) { in.Action.Revision = "" }
	return []ruleCase{
		works("SkipRequested", "without a verdict", given(stepAt(0), unknown, skip), nil, step, progressing, "shop:b goes on to step 2 of 2", "ann skipped step 1 of 2 (smoke) at weight 10 %", `"because"`, "not judged there: shop/errors is Inconclusive"),
		works("SkipRequested", "in a hold", given(stepAt(0), acknowledgedAt(&justNow), skip), nil, step, progressing, "not judged there: it had not ended"),
		works("SkipRequested", "before the pods are ready", given(stepAt(0), split(0), canaryReady(0), acknowledgedAt(nil), skip), nil, step, progressing, "at weight 0 %"),
		works("SkipRequested", "the last step", given(stepAt(1), unknown, last), nil, promotion, promotes, "shop:b is promoted: ann skipped step 2 of 2", "its bake has to pass"),
		works("SkipRequested", "natively, the first", given(stepAt(0), nativeMode, skip), nil, step, progressing),
		works("SkipRequested", "approved", given(stepAt(0), approval(0), personApproved, unknown, skip), nil, step, progressing, `approved by bob at 11:50:00Z: "looks good"`),
		works("SkipRequested", "before a step that needs an approval", given(stepAt(0), approval(1), unknown, skip), nil, step, progressing),
		works("TriggerFired", "asked to skip", given(stepAt(0), verdict(v1alpha1.VerdictFail), skip), nil, v1alpha1.PhaseRollingBack, back),
		works("BlindTooLong", "asked to skip", given(stepAt(0), blind, skip), nil, v1alpha1.PhaseRollingBack, back),
		works("ActionRefused", "skip, natively in the last step", given(stepAt(1), nativeMode, last), nil, step, progressing, "that step has to pass"),
		works("ActionRefused", "skip, without its approval", given(stepAt(0), approval(0), skip), nil, step, progressing, "step 1 of 2 (smoke) needs an approval, and Skip does not stand for one: give Approve first"),
		works("ActionRefused", "skip, of no revision", given(stepAt(0), skip, unnamed), nil, step, progressing, "belay.dev/action-revision", candidateRevision),
		works("ActionRefused", "skip, of no step", given(stepAt(0), action(v1alpha1.ActionSkip, candidateRevision)), nil, step, progressing, `belay.dev/action-step: "1"`),
		works("ActionRefused", "skip, of another step", given(stepAt(1), skip), nil, step, progressing, `Skip refused: it is for step "1", and shop:b is in step 2 of 2`),
		works("ActionRefused", "skip, of another revision", given(stepAt(0), action(v1alpha1.ActionSkip, newerRevision)), nil, step, progressing, "Skip refused: it is for revision"),
		works("ActionRefused", "skip, another is declared", given(stepAt(0), declares(newerRevision), skip), nil, step, progressing, "declares shop:c meanwhile"),
		works("ActionRefused", "skip, of an older version's run", given(stepAt(0), formerRun, skip), nil, step, progressing, "another version of Belay"),
		works("ActionRefused", "skip, before the run", given(gating, skip), nil, v1alpha1.PhaseGating, progressing, "once it is in a step"),
		works("ActionRefused", "skip, paused", given(stepAt(0), personPaused, skip), nil, step, progressing, "paused by ann since 11:50:00Z", "after the command Resume"),
		works("ActionRefused", "skip, in the bake", given(baking, fullAt(&justNow), last), nil, bake, v1alpha1.ReasonBaking, "its bake is neither skipped nor approved"),
		works("ActionRefused", "skip, promoting", given(promoting, last), nil, promotion, promotes, "past its steps"),
		works("ActionRefused", "skip, before the owner changes", given(handingOver, last), nil, over, v1alpha1.ReasonHandingOver, "its handover has begun"),
		works("ActionRefused", "skip, rolling back", given(rollingBack(nil), last), nil, v1alpha1.PhaseRollingBack, back, "Skip refused: already rolling back since 11:50:00Z"),
		works("ActionRefused", "skip nothing", given(action(v1alpha1.ActionSkip, "")), nil, v1alpha1.PhaseStable, progressing, "no run is in progress"),
	}
}

func approvalCases() []ruleCase {
	const progressing, awaits, back = v1alpha1.ReasonProgressing, v1alpha1.ReasonAwaitingApproval, v1alpha1.ReasonRollingBack
	const step, promotion = v1alpha1.PhaseStepping, v1alpha1.PhasePromoting
	approve := stepAction(v1alpha1.ActionApprove, "1")
	unknown, due := verdict(v1alpha1.VerdictInconclusive), awaitsApproval(recently)
	promote := action(v1alpha1.ActionPromote, candidateRevision)
	return []ruleCase{
		works("AwaitsApproval", "passed", given(stepAt(0), approval(0)), nil, step, awaits, "step 1 of 2 (smoke) waits for its approval since 12:00:00Z, at 10 %: 2 of 2 triggers pass", "still rolls back; to go on, run kubectl belay approve shop", "--step 1 --revision "+candidateRevision+" (verb approve)"),
		works("AwaitsApproval", "in the last step, for a while", given(stepAt(1), approval(1), due), nil, step, awaits, "since 11:50:00Z"),
		works("AwaitsApproval", "for longer than the deadline", given(stepAt(0), approval(0), entered(longAgo), awaitsApproval(longAgo), rollBackAtDeadline), nil, step, awaits),
		works("StepHolds", "with an approval to come", given(stepAt(0), approval(0), acknowledgedAt(&justNow)), nil, step, progressing),
		works("StepUndecided", "without an approval", given(stepAt(0), approval(0), unknown), nil, step, v1alpha1.ReasonHolding),
		works("StepUndecided", "approved", given(stepAt(0), approval(0), personApproved, unknown), nil, step, v1alpha1.ReasonHolding),
		works("StepUndecided", "after a long wait for an approval", given(stepAt(0), approval(0), entered(longAgo), awaitsApproval(longAgo), rollBackAtDeadline, unknown), nil, step, v1alpha1.ReasonHolding),
		works("StepPassed", "approved", given(stepAt(0), approval(0), personApproved), plan.ScaleCanary{Replicas: 2}, step, progressing, `approved by bob at 11:50:00Z: "looks good"`),
		works("StepsPassed", "approved", given(stepAt(1), approval(1), personApproved), plan.ScaleCanary{Replicas: 3}, promotion, v1alpha1.ReasonPromoting, "approved by bob"),
		works("TriggerFired", "waiting for an approval", given(stepAt(0), approval(0), due, verdict(v1alpha1.VerdictFail)), nil, v1alpha1.PhaseRollingBack, back),
		works("TriggerFired", "asked to approve", given(stepAt(0), approval(0), due, verdict(v1alpha1.VerdictFail), approve), nil, v1alpha1.PhaseRollingBack, back),
		works("AbortRequested", "waiting for an approval", given(stepAt(0), approval(0), due, action(v1alpha1.ActionAbort, "")), nil, v1alpha1.PhaseRollingBack, back),
		works("Superseded", "waiting for an approval", given(stepAt(0), approval(0), due, declares(newerRevision)), nil, v1alpha1.PhaseRollingBack, back),
		works("Paused", "waiting for an approval", given(stepAt(0), approval(0), due, personPaused), nil, step, v1alpha1.ReasonPaused),
		works("Paused", "approved", given(stepAt(0), approval(0), personApproved, personPaused), nil, step, v1alpha1.ReasonPaused),
		works("ApproveRequested", "waiting for it", given(stepAt(0), approval(0), due, approve), nil, step, progressing, "step 1 of 2 (smoke) of shop:b approved by ann at weight 10 %", `"because"`, "it goes on"),
		works("ApproveRequested", "before the step has passed", given(stepAt(0), approval(0), unknown, approve), nil, step, progressing, "it still has to pass"),
		works("ApproveRequested", "paused", given(stepAt(0), approval(0), personPaused, approve), nil, step, progressing),
		works("ActionRefused", "approve what needs none", given(stepAt(0), approve), nil, step, progressing, "step 1 of 2 (smoke) needs no approval"),
		works("ActionRefused", "approve twice", given(stepAt(0), approval(0), personApproved, approve), nil, step, progressing, "has its approval already; approved by bob"),
		works("ActionRefused", "approve another step", given(stepAt(1), approval(1), approve), nil, step, progressing, `it is for step "1"`),
		works("ActionRefused", "approve, of no step", given(stepAt(0), approval(0), action(v1alpha1.ActionApprove, candidateRevision)), nil, step, progressing, `belay.dev/action-step: "1"`),
		works("ActionRefused", "approve, of no revision", given(stepAt(0), approval(0), action(v1alpha1.ActionApprove, "")), nil, step, progressing, "belay.dev/action-revision"),
		works("ActionRefused", "approve, in the bake", given(baking, approval(1), stepAction(v1alpha1.ActionApprove, "2")), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking, "neither skipped nor approved"),
		works("ActionRefused", "promote past an approval", given(stepAt(0), approval(1), promote), nil, step, progressing, "step 2 of 2 needs an approval, and Promote does not stand for one"),
		works("PromoteRequested", "after the approval", given(stepAt(0), approval(0), personApproved, promote), nil, promotion, v1alpha1.ReasonPromoting),
	}
}

// TestAWaitForAnApprovalCountsForNothing: a step that waits for three hours, of a stepDeadline
// of one, has as much time as before once its verdict is unknown again; and no longer hold.
func TestAWaitForAnApprovalCountsForNothing(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0), rollBackAtDeadline)}
	if r := l.look(0); r.Rule != "AwaitsApproval" || r.Status.Step.AwaitsApprovalSince == nil {
		t.Fatalf("not waiting: %s", r.Rule)
	}
	since := *l.in.Status.Step.AwaitsApprovalSince
	if r := l.look(3 * time.Hour); r.Rule != "AwaitsApproval" || !r.Status.Step.AwaitsApprovalSince.Equal(&since) || r.Reason == v1alpha1.ReasonDeadlineExceeded {
		t.Fatalf("after three hours: %s %s", r.Rule, r.Reason)
	}
	if r := l.look(time.Second, stepAction(v1alpha1.ActionPause, "")); r.Rule != "PauseRequested" || r.Status.Step.AwaitsApprovalSince != nil {
		t.Fatalf("paused: %s", r.Rule)
	}
	l.look(time.Hour)
	l.look(time.Second, stepAction(v1alpha1.ActionResume, ""))
	if r := l.look(2 * time.Second); r.Rule != "StepHolds" && r.Rule != "AwaitsApproval" {
		t.Fatalf("resumed: %s", r.Rule)
	}
	l.look(2 * time.Second)
	if r := l.look(30*time.Minute, verdict(v1alpha1.VerdictInconclusive)); r.Rule != "StepUndecided" || r.Reason != v1alpha1.ReasonHolding {
		t.Fatalf("unknown for half an hour, with a deadline of one: %s %s", r.Rule, r.Reason)
	}
	if r := l.look(61 * time.Minute); r.Rule != "StepDeadlineExceeded" {
		t.Errorf("unknown for an hour and a half: %s", r.Rule)
	}
}

// TestAnEditThatARunDoesNotTakeIsSaid while it waits, and in no rollback.
func TestAnEditThatARunDoesNotTakeIsSaid(t *testing.T) {
	edited := func(in *plan.Input) { in.Run.Later = "spec.steps" }
	const says = "; spec.steps changed during this run, which keeps what it started with: the change is for the next one"
	for name, c := range map[string]struct {
		in   plan.Input
		said bool
	}{
		"a hold":     {given(stepAt(0), acknowledgedAt(&justNow), edited), true},
		"a bake":     {given(baking, fullAt(&justNow), edited), true},
		"unedited":   {given(stepAt(0), acknowledgedAt(&justNow)), false},
		"a step":     {given(stepAt(0), edited), false},
		"a rollback": {given(rollingBack(nil), edited), false},
		"a deletion": {given(stepAt(0), deleted(time.Second), edited), false},
	} {
		if d := plan.Decide(c.in); strings.HasSuffix(d.Status.Message, says) != c.said {
			t.Errorf("%s: %s", name, d.Status.Message)
		}
	}
}

// TestAnApprovalEndsTheStepOnceItHasPassed, at the next look, and not the step after it.
func TestAnApprovalEndsTheStepOnceItHasPassed(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0), approval(1), verdict(v1alpha1.VerdictInconclusive))}
	if r := l.look(0, stepAction(v1alpha1.ActionApprove, "1")); r.Rule != "ApproveRequested" || r.Status.Step.Approval == nil || r.Actor != "ann" {
		t.Fatalf("%s, approval %+v", r.Rule, r.Status.Step.Approval)
	}
	if r := l.look(time.Minute); r.Rule != "StepUndecided" || r.Status.Step.Approval == nil {
		t.Fatalf("not judged yet: %s", r.Rule)
	}
	if r := l.look(time.Second, verdict(v1alpha1.VerdictPass)); r.Rule != "StepPassed" || r.Status.Step.Index != 1 || r.Status.Step.Approval != nil {
		t.Fatalf("passed: %s, step %+v", r.Rule, r.Status.Step)
	}
	l.look(time.Second, canaryPods(2), split(50))
	if r := l.look(time.Hour); r.Rule != "AwaitsApproval" {
		t.Errorf("the next step: %s", r.Rule)
	}
}
