package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
)

// outcome is what a case asserts of a decision, whole: anything it does not
// name must be empty.
type outcome struct {
	Rule    string
	Effects []plan.Effect
	Phase   v1alpha1.Phase
	State   plan.Progress
	Reason  string
}

type ruleCase struct {
	name string
	in   plan.Input
	want outcome
	// words that the message has.
	words []string
}

func works(rule, name string, in plan.Input, e plan.Effect, phase v1alpha1.Phase, reason string, words ...string) ruleCase {
	return ruleCase{name, in, outcome{rule, one(e), phase, plan.Reconciling, reason}, words}
}

func stalls(rule, name string, in plan.Input, e plan.Effect, phase v1alpha1.Phase, reason string, words ...string) ruleCase {
	return ruleCase{name, in, outcome{rule, one(e), phase, plan.Stalled, reason}, words}
}

func one(e plan.Effect) []plan.Effect {
	if e == nil {
		return nil
	}
	return []plan.Effect{e}
}

// then adds the effects that follow the first.
func (c ruleCase) then(more ...plan.Effect) ruleCase {
	c.want.Effects = append(c.want.Effects, more...)
	return c
}

func rests(rule, name string, in plan.Input, phase v1alpha1.Phase, reason string, words ...string) ruleCase {
	return ruleCase{name, in, outcome{rule, nil, phase, plan.Ready, reason}, words}
}

func TestEachRuleDecides(t *testing.T) {
	reached := map[string]bool{}
	for _, cases := range [][]ruleCase{
		deletionCases(), adoptionCases(), commandCases(), candidateCases(), gatingCases(),
		rollbackCases(), lostCases(), wrongVersionCases(), nativeCases(), nativeEndCases(), handedCases(), handoverCases(),
		settleCases(), restartCases(), unattendedCases(), promoteCases(), skipCases(), approvalCases(), pauseCases(), freezeCases(), trialCases(), previewCases(), judgementCases(), bakeCases(), replicasCases(), orderedCases(),
	} {
		for _, c := range cases {
			t.Run(c.want.Rule+"/"+c.name, func(t *testing.T) {
				d := plan.Decide(c.in)
				reached[d.Rule] = true
				got := outcome{d.Rule, d.Effects, d.Status.Phase, d.Progress, d.Reason}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("decision (-want +got):\n%swhy: %s", diff, d.Why)
				}
				for _, word := range c.words {
					if !strings.Contains(d.Why, word) {
						t.Errorf("the message lacks %q: %s", word, d.Why)
					}
				}
				for _, violation := range check(c.in, d) {
					t.Error(violation)
				}
				for _, violation := range invariants.Of(c.in, d) {
					t.Errorf("%s: %s", violation.Name, violation.Message)
				}
				if held := invariants.Freeze(c.in, plan.Result{Decision: d}, invariants.Check(c.in, d)); held.Reason == v1alpha1.ReasonSelfCheckFailed {
					t.Errorf("the controller would hold it back: %s", held.Why)
				}
			})
		}
	}
	for _, rule := range plan.Rules() {
		if !reached[rule] {
			t.Errorf("no case reaches rule %s", rule)
		}
	}
}

func deletionCases() []ruleCase {
	const releasing = v1alpha1.ReasonReleasing
	const phase, over, back = v1alpha1.PhaseStepping, v1alpha1.PhaseHandingOver, v1alpha1.PhaseRollingBack
	step := stepAt(0)
	soon, late := deleted(time.Second), deleted(time.Hour)
	zero := plan.SetSplit{Weight: 0}
	return []ruleCase{
		works("ReleaseTimedOut", "with the split still there", given(step, late), plan.ReleaseRoute{}, phase, releasing, "Service shop"),
		works("ReleaseTimedOut", "although the Service is gone", given(step, serviceGone, late), plan.ReleaseRoute{}, phase, releasing),
		works("ReleaseTimedOut", "locked and narrowed", given(handingOver, locked, narrowed(canaryHash), stableReady(0), late), plan.ReleaseRoute{}, over, releasing).then(plan.NarrowService{}, plan.Unlock{}),
		works("ReleaseTimedOut", "a handover may be on its way", given(handingOver, locked, handedAt(&justNow), late), plan.FenceCanary{Epoch: 1}, over, releasing).then(plan.ReleaseRoute{}, plan.Unlock{}),
		works("DeletingUnpauses", "while the routes are still split", given(rollingBack(&recently), noCanary, declares(stableRevision), paused(true), soon), plan.Unpause{Revision: stableRevision}, back, releasing),
		works("DeletingUnpauses", "the former version is declared again", given(declares(stableRevision), paused(true), soon), plan.Unpause{Revision: stableRevision}, v1alpha1.PhaseStable, releasing),
		works("DeletingReleasesHanded", "the Deployment owns the canary", given(handed, soon), plan.ReleaseRoute{}, over, releasing).then(plan.Unpause{Revision: candidateRevision, Unmark: true}),
		works("DeletingReleasesHanded", "for too long", given(handed, serviceGone, narrowed(canaryHash), late), plan.ReleaseRoute{}, over, releasing).then(plan.NarrowService{}, plan.Unpause{Revision: candidateRevision}),
		works("Released", "handed, and the Service still narrowed after the timeout", given(handedAlone, narrowed(canaryHash), late), plan.Leave{}, over, releasing),
		works("DeletingReleasesHanded", "routes released", given(handed, noSplit, soon), plan.Unpause{Revision: candidateRevision, Unmark: true}, over, releasing),
		works("DeletingReleasesHanded", "although the routes cannot be released", given(handed, serviceGone, soon), plan.Unpause{Revision: candidateRevision}, over, releasing),
		works("DeletingReleasesHanded", "a native roll that was paused", given(native, paused(true), soon), plan.Unpause{Revision: candidateRevision, Unmark: true}, over, releasing),
		works("Released", "a native roll that a trigger stopped", given(native, paused(true), verdict(v1alpha1.VerdictFail), soon), plan.Leave{}, over, releasing, "stays paused"),
		works("Released", "nothing of ours left", given(soon), plan.Leave{}, v1alpha1.PhaseStable, releasing, "without it"),
		works("Released", "the route is gone too", given(step, routeGone, noCanary, soon), plan.Leave{}, phase, releasing, "stays paused at shop:b"),
		works("Released", "canary left after the timeout", given(step, noSplit, late), plan.Leave{}, phase, releasing),
		works("Released", "Service still narrowed after the timeout", given(step, noSplit, noCanary, narrowed(stableHash), late), plan.Leave{}, phase, releasing),
		works("Released", "without the Deployment", given(workloadGone, soon), plan.Leave{}, v1alpha1.PhaseStable, releasing),
		works("DeletingTakesTrafficBack", "mid-step", given(step, soon), zero, phase, releasing),
		works("DeletingTakesTrafficBack", "in a bake", given(baking, soon), zero, v1alpha1.PhaseBaking, releasing),
		works("DeletingTakesTrafficBack", "in a handover before the owner changed", given(handingOver, locked, soon), zero, over, releasing, "unlocking").then(plan.Unlock{}),
		works("DeletingTakesTrafficBack", "in a bake with direct callers", given(baking, narrowed(canaryHash), soon), zero, v1alpha1.PhaseBaking, releasing).then(plan.NarrowService{}),
		works("DeletingFences", "a handover may be on its way", given(handingOver, handedAt(&justNow), soon), plan.FenceCanary{Epoch: 1}, over, releasing).then(zero),
		works("DeletingTakesTrafficBack", "fenced", given(handingOver, handedAt(&justNow), func(in *plan.Input) { in.Canary.Epoch = 1 }, soon), zero, over, releasing),
		works("DeletingWidensService", "narrowed", given(step, split(0), narrowed(stableHash), soon), plan.NarrowService{}, phase, releasing, "all of its pods"),
		works("DeletingAtZero", "at zero", given(step, split(0), soon), nil, phase, releasing, "acknowledged weight 0 %"),
		works("DeletingDrains", "drain not over", given(rollingBack(&justNow), soon), nil, back, releasing, "until 12:00:04Z"),
		works("DeletingRemovesCanary", "drained", given(rollingBack(&recently), soon), plan.RemoveCanary{Reject: true}, back, releasing),
		works("DeletingRemovesCanary", "pods still end", given(rollingBack(&recently), terminating, soon), nil, back, releasing, "canary pods to terminate: 2"),
		works("DeletingRemovesCanary", "in a step", given(step, split(0), func(in *plan.Input) {
			in.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeCancelled, StartedAt: recently, ZeroAt: &recently}
		}, soon), plan.RemoveCanary{}, phase, releasing),
		works("DeletingReleasesRoute", "canary gone", given(rollingBack(&recently), noCanary, soon), plan.ReleaseRoute{}, back, releasing),
		works("DeletingReleasesRoute", "stable does not serve", given(baking, stableReady(0), soon), plan.ReleaseRoute{}, v1alpha1.PhaseBaking, releasing),
		works("DeletingReleasesRoute", "a bypass in progress", given(bypassing, stableReady(0), split(10), soon), plan.ReleaseRoute{}, over, releasing),
		works("DeletingAwaitsWorkload", "released while stable has too few pods", given(baking, stableReady(2), noSplit, soon), nil, v1alpha1.PhaseBaking, releasing, "2 of 4 ready"),
		works("DeletingAwaitsWorkload", "released, but nobody else is reachable", given(baking, noSplit, serviceEndpoints(4), soon), nil, v1alpha1.PhaseBaking, releasing, "reaches only canary pods (4)"),
		works("Deleting", "the canary has everything and the Service no such port", given(baking, stableEndpoints(0), portRenamed, soon), nil, v1alpha1.PhaseBaking, releasing, "no port"),
		works("DeletingRemovesCanary", "released while stable has enough", given(baking, stableReady(3), noSplit, soon), plan.RemoveCanary{}, v1alpha1.PhaseBaking, releasing),
		works("Deleting", "weight unacknowledged", given(step, split(0), unacknowledged, soon), nil, phase, releasing, "acknowledge weight 0 %"),
		works("Deleting", "release unacknowledged", given(step, noSplit, noCanary, unacknowledged, soon), nil, phase, releasing, "acknowledge the routes to Service shop"),
		stalls("Deleting", "the Service is gone", given(rollingBack(&recently), noCanary, serviceGone, soon), nil, back, v1alpha1.ReasonServiceNotFound, "create it"),
	}
}

func adoptionCases() []ruleCase {
	const progressing = v1alpha1.ReasonProgressing
	const phase = v1alpha1.PhaseStable
	gone := func(in *plan.Input) { in.Workload, in.Route.StableEndpoints = plan.Workload{}, 0 }
	return []ruleCase{
		stalls("WorkloadMissingReleases", "stable's pods are gone", given(stepAt(0), gone), plan.ReleaseRoute{}, v1alpha1.PhaseStepping, v1alpha1.ReasonWorkloadNotFound, "Service shop, which has some (5)"),
		stalls("WorkloadMissingReleases", "the canary's pods are gone", given(stepAt(0), workloadGone, canaryEndpoints(0)), plan.ReleaseRoute{}, v1alpha1.PhaseStepping, v1alpha1.ReasonWorkloadNotFound),
		stalls("WorkloadMissing", "the canary has everything", given(baking, gone), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonWorkloadNotFound),
		stalls("WorkloadMissing", "deleted meanwhile", given(workloadGone), nil, phase, v1alpha1.ReasonWorkloadNotFound, `"shop"`, "create it"),
		works("FinalizerMissing", "first look", given(unfinalized), plan.AddFinalizer{}, phase, progressing, "adding the finalizer"),
		works("Adopting", "one version runs", given(fresh), nil, phase, progressing, "adopted", "shop:a"),
		works("Adopting", "one version runs, another is declared", given(fresh, declares(newerRevision)), nil, phase, progressing, "shop:a"),
		stalls("Adopting", "two versions run", given(fresh, active(stable(2), newer(2))), nil, "", v1alpha1.ReasonWorkloadNotReady, "2 versions"),
		works("Adopting", "no pod is ready yet", given(fresh, stableReady(0), unavailableFor(9*time.Minute)), nil, "", v1alpha1.ReasonWorkloadNotReady, "no ready pod"),
		stalls("Adopting", "no pod has become ready", given(fresh, stableReady(0), unavailableFor(10*time.Minute)), nil, "", v1alpha1.ReasonWorkloadNotReady, "no ready pod"),
		stalls("Adopting", "at zero replicas", given(fresh, atZero), nil, "", v1alpha1.ReasonWorkloadNotReady, "no ready pod"),
		stalls("Adopting", "another Rollout has it", given(fresh, claimed), nil, "", v1alpha1.ReasonWorkloadClaimed, "other"),
	}
}

func commandCases() []ruleCase {
	const back, progressing = v1alpha1.ReasonRollingBack, v1alpha1.ReasonProgressing
	const phase, over = v1alpha1.PhaseRollingBack, v1alpha1.PhaseHandingOver
	step, fail := stepAt(0), verdict(v1alpha1.VerdictFail)
	abort := action(v1alpha1.ActionAbort, "")
	return []ruleCase{
		works("AbortRequested", "mid-step", given(step, abort), nil, phase, back, "by ann", `"because"`),
		works("AbortRequested", "promoting", given(promoting, abort), nil, phase, back),
		works("AbortRequested", "while the trigger fires", given(baking, fail, abort), nil, phase, back, "aborted"),
		works("AbortRequested", "before the owner changes", given(handingOver, abort), nil, phase, back),
		works("AbortRequested", "while a rollback waits for stable pods", given(baking, asRollback, stableReady(2), rollbackOutcome(v1alpha1.OutcomeSuperseded), abort), nil, phase, back, "aborted"),
		works("AbortRequested", "before the run", given(gating, action(v1alpha1.ActionAbort, candidateRevision)), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack),
		works("RetryRequested", "after a rollback", given(rolledBack, action(v1alpha1.ActionRetry, "")), nil, v1alpha1.PhaseGating, progressing, "retry of shop:b"),
		works("ActionRefused", "nothing to abort", given(abort), nil, v1alpha1.PhaseStable, progressing, "no run is in progress"),
		works("ActionRefused", "already rolling back", given(rollingBack(nil), abort), nil, phase, back, "already rolling back since 11:50:00Z"),
		works("ActionRefused", "already rolled back", given(rolledBack, abort), nil, v1alpha1.PhaseRolledBack, progressing, "already rolled back"),
		works("ActionRefused", "the owner has changed", given(handed, abort), nil, over, v1alpha1.ReasonHandingOver, "without steps"),
		works("ActionRefused", "in a native roll", given(native, abort), nil, over, v1alpha1.ReasonHandingOver, "without steps"),
		works("ActionRefused", "another revision", given(step, action(v1alpha1.ActionAbort, newerRevision)), nil, v1alpha1.PhaseStepping, progressing, newerRevision, candidateRevision),
		works("ActionRefused", "retry of what runs", given(step, action(v1alpha1.ActionRetry, "")), nil, v1alpha1.PhaseStepping, progressing, "Retry refused"),
		works("ActionRefused", "retry of what is not declared", given(rolledBack, declares(newerRevision), action(v1alpha1.ActionRetry, "")), nil, v1alpha1.PhaseRolledBack, progressing),
		works("ActionRefused", "unknown", given(step, action("Dance", "")), nil, v1alpha1.PhaseStepping, progressing, `"Dance"`, "Abort, Approve, OverrideFreeze, Pause, Promote, Resume, Retry, Skip"),
	}
}

func promoteCases() []ruleCase {
	const progressing, promotes, bakes = v1alpha1.ReasonProgressing, v1alpha1.ReasonPromoting, v1alpha1.ReasonBaking
	const step, promotion, bake, over = v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking, v1alpha1.PhaseHandingOver
	promote := action(v1alpha1.ActionPromote, candidateRevision)
	held := all(stepAt(0), verdict(v1alpha1.VerdictInconclusive))
	return []ruleCase{
		works("PromoteRequested", "in a hold", given(stepAt(0), acknowledgedAt(&justNow), promote), nil, promotion, promotes, "shop:b is promoted: ann ended its steps at step 1 of 2 (smoke), weight 10 %", `"because"`, "its bake has to pass"),
		works("PromoteRequested", "without a verdict", given(held, promote), nil, promotion, promotes, "not judged there: shop/errors is Inconclusive"),
		works("PromoteRequested", "in the last step", given(stepAt(1), verdict(v1alpha1.VerdictError), promote), nil, promotion, promotes),
		works("PromoteRequested", "natively", given(stepAt(0), nativeMode, promote), nil, step, progressing, "goes to step 2 of 2, which has to pass"),
		works("PromoteRequested", "before the pods are ready", given(stepAt(0), split(0), canaryReady(0), acknowledgedAt(nil), promote), nil, promotion, promotes),
		works("TriggerFired", "asked to promote", given(stepAt(0), verdict(v1alpha1.VerdictFail), promote), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("BlindTooLong", "asked to promote", given(stepAt(0), blind, promote), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("ScalesCanary", "promoted by command", given(promoting, personPromoted, canaryPods(1), split(10)), plan.ScaleCanary{Replicas: 2}, promotion, promotes),
		works("AwaitsRoute", "promoted by command", given(promoting, personPromoted, unacknowledged), nil, promotion, promotes),
		works("BakeUndecided", "promoted by command", given(baking, personPromoted, verdict(v1alpha1.VerdictInconclusive)), nil, bake, v1alpha1.ReasonHolding),
		works("FormerRun", "promoted by command before its first pods, by an older version", given(promoting, personPromoted, noCanary, newerBelay), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("FormerRun", "promoted by command, in the bake of an older version", given(baking, personPromoted, func(in *plan.Input) { in.Run.Former = true }), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("Promoted", "by command", given(handedAlone, personPromoted), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable, "promoted shop:b: ann ended its steps at step 1 of 2").then(plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop"}}),
		works("ActionRefused", "promote, natively in the last step", given(stepAt(1), nativeMode, promote), nil, step, progressing, "that step has to pass"),
		works("ActionRefused", "promote, of no revision", given(stepAt(0), action(v1alpha1.ActionPromote, "")), nil, step, progressing, "belay.dev/action-revision", candidateRevision),
		works("ActionRefused", "promote, of another revision", given(stepAt(0), action(v1alpha1.ActionPromote, newerRevision)), nil, step, progressing, "Promote refused: it is for revision"),
		works("ActionRefused", "promote, another is declared", given(stepAt(0), declares(newerRevision), promote), nil, step, progressing, "declares shop:c meanwhile"),
		works("ActionRefused", "promote, of an older version's run", given(stepAt(0), formerRun, promote), nil, step, progressing, "another version of Belay"),
		works("ActionRefused", "promote, before the run", given(gating, promote), nil, v1alpha1.PhaseGating, progressing, "once it is in a step"),
		works("ActionRefused", "promote, paused by the spec", given(stepAt(0), specPaused, promote), nil, step, progressing, "paused by spec.paused: it goes on after that is false"),
		works("ActionRefused", "promote, paused by a person", given(stepAt(0), personPaused, promote), nil, step, progressing, "paused by ann since 11:50:00Z", "after the command Resume"),
		works("ActionRefused", "promote, in the bake", given(baking, fullAt(&justNow), promote), nil, bake, bakes, "its bake is not skipped"),
		works("ActionRefused", "promote, in a bake that holds", given(baking, verdict(v1alpha1.VerdictError), promote), nil, bake, bakes, "Nothing that was not judged becomes stable", "verb bypass"),
		works("ActionRefused", "promote, promoting", given(promoting, promote), nil, promotion, promotes, "past its steps"),
		works("ActionRefused", "promote, before the owner changes", given(handingOver, promote), nil, over, v1alpha1.ReasonHandingOver, "its handover has begun"),
		works("ActionRefused", "promote, rolling back", given(rollingBack(nil), promote), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack, "Promote refused: already rolling back since 11:50:00Z"),
		works("ActionRefused", "promote, rolled back", given(rolledBack, promote), nil, v1alpha1.PhaseRolledBack, progressing, "Promote refused: shop:b is already rolled back"),
		works("ActionRefused", "promote, the owner has changed", given(handed, promote), nil, over, v1alpha1.ReasonHandingOver, "already taking shop:b over"),
		works("ActionRefused", "promote nothing", given(action(v1alpha1.ActionPromote, "")), nil, v1alpha1.PhaseStable, progressing, "no run is in progress"),
	}
}

func pauseCases() []ruleCase {
	const progressing, paused, back = v1alpha1.ReasonProgressing, v1alpha1.ReasonPaused, v1alpha1.ReasonRollingBack
	const step, bake, over, gate = v1alpha1.PhaseStepping, v1alpha1.PhaseBaking, v1alpha1.PhaseHandingOver, v1alpha1.PhaseGating
	pause, resume := action(v1alpha1.ActionPause, ""), action(v1alpha1.ActionResume, "")
	eight := all(scaled(8), active(stable(8)))
	underWay := all(handingOver, handedAt(&justNow))
	fenced := func(in *plan.Input) { in.Canary.Epoch = in.Status.Epoch }
	return []ruleCase{
		works("PauseRequested", "in a hold", given(stepAt(0), acknowledgedAt(&justNow), pause), nil, step, paused, "shop:b paused by ann at step 1 of 2 (smoke), weight 10 %", `"because"`, "until the command Resume"),
		works("PauseRequested", "before the run", given(gating, pause), nil, gate, paused, "before its run"),
		works("PauseRequested", "in a bake", given(baking, pause), nil, bake, paused),
		works("PauseRequested", "before the owner changes", given(handingOver, pause), nil, over, paused),
		works("PauseRequested", "paused by the spec too", given(stepAt(0), specPaused, pause), nil, step, paused),
		works("TriggerFired", "asked to pause", given(stepAt(0), verdict(v1alpha1.VerdictFail), pause), nil, v1alpha1.PhaseRollingBack, back),
		works("TriggerFired", "paused by a person", given(baking, personPaused, verdict(v1alpha1.VerdictFail)), nil, v1alpha1.PhaseRollingBack, back),
		works("AbortRequested", "paused by a person", given(stepAt(0), personPaused, action(v1alpha1.ActionAbort, "")), nil, v1alpha1.PhaseRollingBack, back),
		works("Superseded", "paused by a person", given(stepAt(0), personPaused, declares(newerRevision)), nil, v1alpha1.PhaseRollingBack, back),
		works("Paused", "by a person before the run", given(gating, personPaused), nil, gate, paused, "paused by ann since 11:50:00Z", `"look at it"`, "no run of shop:b starts until the command Resume"),
		works("Paused", "nothing serves, but paused by a person", given(gating, stableReady(0), unavailableFor(time.Hour), personPaused), nil, gate, paused),
		works("Paused", "by a person in a step", given(stepAt(0), personPaused), nil, step, paused, "paused by ann", "it stays so until the command Resume"),
		works("Paused", "by a person and the spec", given(stepAt(0), personPaused, specPaused), nil, step, paused, "by spec.paused, and by ann", "until spec.paused is false and the command Resume is given"),
		works("Paused", "by a person for longer than the deadline", given(stepAt(0), personPaused, entered(longAgo), rollBackAtDeadline, verdict(v1alpha1.VerdictInconclusive)), nil, step, paused),
		works("Paused", "by a person in a bake", given(baking, personPaused), nil, bake, paused),
		works("Paused", "by a person before the owner changes", given(handingOver, personPaused), nil, over, paused),
		works("Paused", "a revert, while another version of the rules takes over", given(promoting, fast, personPaused, formerRun), nil, v1alpha1.PhasePromoting, paused),
		works("PauseFences", "a handover under way", given(underWay, personPaused), plan.FenceCanary{Epoch: 1}, over, paused, "cancelling a handover"),
		works("PauseFences", "a handover under way, by the spec", given(underWay, specPaused), plan.FenceCanary{Epoch: 1}, over, paused),
		works("PauseFences", "fenced", given(underWay, fenced, personPaused), nil, over, paused, "is cancelled, and begins again"),
		works("HandoverUnlocks", "paused by a person", given(underWay, locked, personPaused), plan.Unlock{}, over, v1alpha1.ReasonHandingOver),
		works("HandoverReleases", "the pause came too late", given(handed, personPaused), plan.ReleaseRoute{}, over, v1alpha1.ReasonHandingOver, "the pause by ann came too late").then(plan.Unpause{Revision: candidateRevision, Unmark: true}),
		works("PauseFollowsSize", "in a step", given(stepAt(1), eight, personPaused), plan.ScaleCanary{Replicas: 4}, step, paused, "the Deployment has 8 replicas: scaling the canary from 2 to 4"),
		works("PauseFollowsSize", "in a step, by the spec", given(stepAt(1), eight, specPaused), plan.ScaleCanary{Replicas: 4}, step, paused),
		works("PauseFollowsSize", "in a bake", given(baking, eight, personPaused), plan.ScaleCanary{Replicas: 6}, bake, paused),
		works("PauseFollowsSize", "before the owner changes", given(handingOver, eight, specPaused), plan.ScaleCanary{Replicas: 6}, over, paused),
		works("PauseFollowsSize", "behind the narrowed Service", given(handingOver, noSplit, narrowed(canaryHash), eight, personPaused), plan.ScaleCanary{Replicas: 6}, over, paused),
		works("PauseFollowsSize", "by pods", given(stepAt(1), byPods, canaryPods(replicas), eight, personPaused), plan.ScaleCanary{Replicas: 6}, step, paused),
		works("Paused", "by pods, its weight not reached", given(stepAt(1), byPods, acknowledgedAt(nil), canaryPods(1), personPaused), nil, step, paused),
		works("Paused", "without a weight", given(stepAt(1), split(0), canaryPods(1), eight, personPaused), nil, step, paused),
		works("Paused", "the Deployment shrinks", given(baking, scaled(2), active(stable(2)), personPaused), nil, bake, paused),
		works("PauseDropped", "by the API server", given(stepAt(0), pauseRecorded), nil, step, progressing, "Pause by ann refused: the API server dropped status.pause", "config/crd"),
		works("PauseDropped", "by the API server, before the run", given(gating, pauseRecorded), nil, gate, progressing),
		works("Paused", "kept by the API server", given(stepAt(0), pauseRecorded, personPaused), nil, step, paused),
		works("ResumeRequested", "in a step", given(stepAt(0), personPaused, resume), nil, step, progressing, "shop:b resumed by ann", "paused by ann since 11:50:00Z"),
		works("ResumeRequested", "before the run", given(gating, personPaused, resume), nil, gate, progressing),
		works("ActionRefused", "resume, paused by the spec", given(stepAt(0), specPaused, resume), nil, step, progressing, "Resume refused: spec.paused is set: "),
		works("ActionRefused", "resume, paused by both", given(stepAt(0), personPaused, specPaused, resume), nil, step, progressing, "spec.paused is set: "),
		works("ActionRefused", "resume what is not paused", given(stepAt(0), resume), nil, step, progressing, "nothing is paused by the command Pause"),
		works("ActionRefused", "pause twice", given(stepAt(0), personPaused, pause), nil, step, progressing, "already paused by ann since 11:50:00Z"),
		works("ActionRefused", "pause, another is declared", given(stepAt(0), declares(newerRevision), pause), nil, step, progressing, "declares shop:c meanwhile"),
		works("ActionRefused", "pause nothing", given(pause), nil, v1alpha1.PhaseStable, progressing, "set spec.paused"),
		works("ActionRefused", "pause, rolling back", given(rollingBack(nil), pause), nil, v1alpha1.PhaseRollingBack, back, "Pause refused: already rolling back"),
		works("ActionRefused", "pause, rolled back", given(rolledBack, pause), nil, v1alpha1.PhaseRolledBack, progressing, "already rolled back"),
		works("ActionRefused", "pause, the owner has changed", given(handed, pause), nil, over, v1alpha1.ReasonHandingOver, "already taking shop:b over"),
		works("ActionRefused", "pause a native roll", given(native, pause), nil, over, v1alpha1.ReasonHandingOver, "already taking shop:b over"),
	}
}

func candidateCases() []ruleCase {
	const progressing, back, over = v1alpha1.ReasonProgressing, v1alpha1.ReasonRollingBack, v1alpha1.ReasonHandingOver
	const gate, stable, backPhase, overPhase = v1alpha1.PhaseGating, v1alpha1.PhaseStable, v1alpha1.PhaseRollingBack, v1alpha1.PhaseHandingOver
	step := stepAt(0)
	unmarked := func(in *plan.Input) { in.Workload.Marks = plan.Marks{} }
	by := func(in *plan.Input) { in.Workload.Bypass = plan.Bypass{By: "ann", Reason: "outage"} }
	fail := verdict(v1alpha1.VerdictFail)
	freshly := all(by, handledBypass("7: another one"))
	rolls := paused(false)
	return []ruleCase{
		works("FormerRun", "stepping", given(step, formerRun), nil, backPhase, back, "another version of Belay"),
		works("FormerRun", "promoting, paused", given(promoting, formerRun), nil, overPhase, over, "by the Deployment's own strategy"),
		works("FormerRun", "promoting, rolling", given(promoting, formerRun, rolls), nil, overPhase, over, "another version of Belay"),
		works("FormerRun", "baking", given(baking, formerRun, rolls), nil, overPhase, over),
		works("FormerRun", "baking, held", given(baking, newerBelay), nil, backPhase, back, "another version of Belay"),
		works("FormerRun", "baking, held, a trigger fires", given(baking, newerBelay, fail), nil, backPhase, back, "another version of Belay"),
		works("FormerRun", "before the owner changes", given(handingOver, newerBelay), nil, backPhase, back, "another version of Belay"),
		works("FormerRun", "promoting a revert", given(promoting, newerBelay, fast), nil, overPhase, over, "by the Deployment's own strategy"),

		works("Bypassed", "pushed with a bypass", given(declares(candidateRevision), rolls, by), plan.CreateRun{}, overPhase, over, "ann let shop:b roll", `"outage"`),
		works("Bypassed", "nobody says why", given(declares(candidateRevision), rolls), plan.CreateRun{}, overPhase, over, "no bypass was recorded"),
		works("Bypassed", "while it waits", given(gating, rolls, by), plan.CreateRun{}, overPhase, over),
		works("Bypassed", "mid-step", given(step, rolls, by), nil, overPhase, over),
		works("Bypassed", "mid-step, a newer one", given(step, declares(newerRevision), rolls, by), plan.CreateRun{}, overPhase, over),
		works("Bypassed", "promoting", given(promoting, rolls, by), nil, overPhase, over),
		works("Bypassed", "in a bake", given(baking, rolls, by), nil, overPhase, over),
		works("Bypassed", "in a handover before the owner changed", given(handingOver, rolls, by), nil, overPhase, over),
		works("Bypassed", "in a handover, a newer one", given(handed, declares(newerRevision), rolls, by), plan.CreateRun{}, overPhase, over, "shop:c"),
		works("Bypassed", "nobody says why, and what the Deployment bears was for another roll", given(declares(candidateRevision), rolls, by, handledBypass("outage")), plan.CreateRun{}, overPhase, over, "no bypass was recorded"),
		works("Bypassed", "a native roll that a trigger had stopped", given(native, fail, freshly), nil, overPhase, over, "ann keeps shop:b although shop/errors fires (5 % errors)", `"outage"`),
		works("Bypassed", "a native promotion that a trigger stopped when it had settled", given(nativeAlone, fail, freshly), nil, overPhase, over, "ann keeps shop:b"),
		works("Bypassed", "again, with a newer one", given(bypassing, declares(newerRevision), rolls, by), plan.CreateRun{}, overPhase, over, "shop:c"),
		works("Bypassed", "rolling back", given(rollingBack(nil), rolls, by), nil, overPhase, over),
		works("Bypassed", "rolled back", given(rolledBack, rolls, by), plan.CreateRun{}, overPhase, over),

		works("Cancelled", "reverted before the run", given(gating, declares(stableRevision), paused(true)), plan.Unpause{Revision: stableRevision}, gate, progressing),
		works("Cancelled", "reverted and unpaused", given(gating, declares(stableRevision)), nil, stable, progressing, "stable version again"),
		works("Cancelled", "reverted mid-step", given(step, declares(stableRevision)), nil, backPhase, back),
		works("Cancelled", "reverted while promoting", given(promoting, declares(stableRevision)), nil, backPhase, back),
		works("Cancelled", "reverted in a bake", given(baking, declares(stableRevision)), nil, backPhase, back),
		works("Cancelled", "reverted in a handover", given(handingOver, declares(stableRevision)), nil, backPhase, back),
		works("Superseded", "newer before the run", given(gating, declares(newerRevision)), nil, gate, progressing, "shop:c was declared before a run of shop:b"),
		stalls("Superseded", "newer, but rejected before", given(gating, declares(newerRevision), rejected(newerRevision)), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack, "was rejected at 07:00:00Z", "retry"),
		works("Superseded", "newer mid-step", given(step, declares(newerRevision)), nil, backPhase, back),
		works("Superseded", "newer while promoting", given(promoting, declares(newerRevision)), nil, backPhase, back),
		works("Superseded", "newer in a bake", given(baking, declares(newerRevision)), nil, backPhase, back),
		works("Superseded", "newer in a handover", given(handingOver, declares(newerRevision)), nil, backPhase, back),
		works("Reverted", "after a rollback, paused", given(rolledBack, declares(stableRevision), paused(true)), plan.Unpause{Revision: stableRevision}, v1alpha1.PhaseRolledBack, progressing),
		works("Reverted", "after a rollback, unpaused", given(rolledBack, declares(stableRevision)), nil, stable, progressing),
		works("Reverted", "stable, paused by somebody", given(paused(true)), plan.Unpause{Revision: stableRevision}, stable, progressing),

		stalls("Rejected", "pushed again", given(declares(newerRevision), rejected(newerRevision)), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack, "shop:c was rejected", "shop:a serves"),
		stalls("Rejected", "another rejected one", given(rolledBack, declares(newerRevision), rejected(newerRevision)), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack),
		works("MarksWorkload", "after the adoption", given(unmarked), plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop"}}, stable, progressing),
		works("MarksWorkload", "stable's ReplicaSet too", given(func(in *plan.Input) { in.Workload.StableUnmarked = true }), plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop"}}, stable, progressing),
		works("MarksWorkload", "of a rejected one", given(rolledBack, unmarked), plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Rejected: candidateRevision}}, v1alpha1.PhaseRolledBack, progressing),
		works("MarksWorkload", "before the first share", given(step, unmarked, noSplit, noCanary, func(in *plan.Input) { in.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersStable }),
			plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Run: run, Narrowed: "shop"}}, v1alpha1.PhaseStepping, progressing),
		works("LeftoverRemoved", "serving", given(leftoverSet), plan.RemoveLeftover{Name: "shop-former"}, stable, progressing),
		works("LeftoverRemoved", "rolled back", given(rolledBack, leftoverSet), plan.RemoveLeftover{Name: "shop-former"}, v1alpha1.PhaseRolledBack, progressing),
		works("LeftoverRemoved", "before a run", given(gating, leftoverSet), plan.RemoveLeftover{Name: "shop-former"}, gate, progressing),
		stalls("RolledBack", "still declared", given(rolledBack), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack, "rolled back to shop:a", "5 % errors", "revert it, push a new version, or retry"),
		works("NewRevision", "pushed", given(declares(candidateRevision)), nil, gate, progressing, "new version shop:b"),
		works("NewRevision", "fix after a rollback", given(rolledBack, declares(newerRevision)), nil, gate, progressing, "shop:c"),
	}
}
