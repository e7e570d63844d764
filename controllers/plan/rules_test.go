package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/test/sim/invariants"
)

// outcome is what a case asserts of a decision, whole: anything it does not
// name must be empty.
type outcome struct {
	Rule   string
	Effect plan.Effect
	Phase  v1alpha1.Phase
	State  plan.Progressing
	Reason string
}

type ruleCase struct {
	name string
	in   plan.Input
	want outcome
}

func TestEachRuleDecides(t *testing.T) {
	reached := map[string]bool{}
	for _, cases := range [][]ruleCase{lifecycleCases(), rollbackCases(), promotionCases(), stepCases()} {
		for _, c := range cases {
			t.Run(c.want.Rule+"/"+c.name, func(t *testing.T) {
				d := plan.Decide(c.in)
				reached[d.Rule] = true
				got := outcome{d.Rule, d.Effect, d.Status.Phase, d.Standing.State, d.Standing.Reason}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("decision (-want +got):\n%swhy: %s", diff, d.Why)
				}
				for _, violation := range invariants.Check(c.in, d) {
					t.Error(violation)
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

func lifecycleCases() []ruleCase {
	const stay, work, stuck = plan.Done, plan.Working, plan.Stuck
	const releasing, progressing = v1alpha1.ReasonReleasing, v1alpha1.ReasonProgressing
	stepping, gate, stable := v1alpha1.PhaseStepping, v1alpha1.PhaseGating, v1alpha1.PhaseStable
	step := stepAt(0)
	soon, late := deleted(time.Second), deleted(time.Hour)
	return []ruleCase{
		{"with the split still there", given(step, late), outcome{"ReleaseTimedOut", plan.ReleaseRoute{}, stepping, work, releasing}},
		{"nothing of ours left", given(soon), outcome{"Released", plan.RemoveFinalizer{}, stable, work, releasing}},
		{"the route is gone too", given(step, routeGone, noCanary, soon), outcome{"Released", plan.RemoveFinalizer{}, stepping, work, releasing}},
		{"canary left after the timeout", given(step, noSplit, late), outcome{"Released", plan.RemoveFinalizer{}, stepping, work, releasing}},
		{"mid-step", given(step, soon), outcome{"DeletingTakesTrafficBack", plan.SetSplit{Weight: 0}, stepping, work, releasing}},
		{"at zero", given(step, split(0), soon), outcome{"DeletingAtZero", nil, stepping, work, releasing}},
		{"drain not over", given(rollingBack(&justNow), soon), outcome{"DeletingDrains", nil, v1alpha1.PhaseRollingBack, work, releasing}},
		{"drained", given(rollingBack(&recently), soon), outcome{"DeletingRemovesCanary", plan.DeleteCanary{}, v1alpha1.PhaseRollingBack, work, releasing}},
		{"released while the Deployment has too few pods", given(promoting, rolling, noSplit, soon, func(in *plan.Input) { in.Workload.Ready = 2 }), outcome{"DeletingAwaitsWorkload", nil, v1alpha1.PhasePromoting, work, releasing}},
		{"released while the Deployment has enough", given(promoting, rolling, noSplit, soon), outcome{"DeletingRemovesCanary", plan.DeleteCanary{}, v1alpha1.PhasePromoting, work, releasing}},
		{"canary gone", given(rollingBack(&recently), noCanary, soon), outcome{"DeletingReleasesRoute", plan.ReleaseRoute{}, v1alpha1.PhaseRollingBack, work, releasing}},
		{"the Deployment's pods move", given(promoting, rolling, soon), outcome{"DeletingReleasesRoute", plan.ReleaseRoute{}, v1alpha1.PhasePromoting, work, releasing}},
		{"a split with a broken Service is released", given(step, split(0), noCanary, soon, func(in *plan.Input) {
			in.Route.Fault, in.Route.StableHash = plan.Blocked{Reason: v1alpha1.ReasonServiceNotFound}, ""
		}), outcome{"DeletingReleasesRoute", plan.ReleaseRoute{}, stepping, work, releasing}},
		{"release unacknowledged", given(step, noSplit, noCanary, unacknowledged, soon), outcome{"Deleting", nil, stepping, work, releasing}},

		{"deleted meanwhile", given(func(in *plan.Input) { in.Workload = plan.Workload{} }), outcome{"WorkloadMissing", nil, stable, stuck, v1alpha1.ReasonWorkloadNotFound}},
		{"first look", given(func(in *plan.Input) { in.FinalizerMissing = true }), outcome{"FinalizerMissing", plan.AddFinalizer{}, stable, work, progressing}},
		{"one version runs", given(fresh), outcome{"Adopting", nil, stable, work, progressing}},
		{"two versions run", given(fresh, func(in *plan.Input) { in.Workload.Active = nil }), outcome{"Adopting", nil, "", stuck, v1alpha1.ReasonWorkloadNotReady}},

		{"unpaused by somebody, settled", given(gating, paused(false), settled(true)), outcome{"Bypassed", nil, stable, work, v1alpha1.ReasonWaiting}},
		{"unpaused by somebody, rolling", given(gating, paused(false)), outcome{"Bypassed", nil, gate, work, v1alpha1.ReasonWaiting}},
		{"unpaused mid-step", given(step, paused(false)), outcome{"Bypassed", nil, v1alpha1.PhaseRollingBack, work, v1alpha1.ReasonRollingBack}},

		{"reverted before the run", given(gating, declares(stableRevision)), outcome{"Cancelled", plan.Unpause{Revision: stableRevision}, gate, work, progressing}},
		{"reverted and unpaused", given(gating, declares(stableRevision), paused(false)), outcome{"Cancelled", nil, stable, work, progressing}},
		{"reverted mid-step", given(step, declares(stableRevision)), outcome{"Cancelled", nil, v1alpha1.PhaseRollingBack, work, v1alpha1.ReasonRollingBack}},
		{"reverted while promoting", given(promoting, declares(stableRevision)), outcome{"Cancelled", nil, v1alpha1.PhaseRollingBack, work, v1alpha1.ReasonRollingBack}},
		{"newer before the run", given(gating, declares(newerRevision)), outcome{"Superseded", nil, gate, work, progressing}},
		{"newer, but rejected before", given(gating, declares(newerRevision), rejected(newerRevision)), outcome{"Superseded", nil, v1alpha1.PhaseRolledBack, stuck, v1alpha1.ReasonRolledBack}},
		{"newer mid-step", given(step, declares(newerRevision)), outcome{"Superseded", nil, v1alpha1.PhaseRollingBack, work, v1alpha1.ReasonRollingBack}},
		{"after a rollback, paused", given(rolledBack, declares(stableRevision)), outcome{"Reverted", plan.Unpause{Revision: stableRevision}, v1alpha1.PhaseRolledBack, work, progressing}},
		{"after a rollback, unpaused", given(rolledBack, declares(stableRevision), paused(false)), outcome{"Reverted", nil, stable, work, progressing}},

		{"a share without a run", given(split(10)), outcome{"LeftoverReleased", plan.ReleaseRoute{}, stable, work, progressing}},
		{"a share of the rejected one", given(rolledBack, split(10)), outcome{"LeftoverReleased", plan.ReleaseRoute{}, v1alpha1.PhaseRolledBack, work, progressing}},
		{"a share before the run", given(gating, split(-1)), outcome{"LeftoverReleased", plan.ReleaseRoute{}, gate, work, progressing}},
		{"a share without a run, and no Service", given(split(10), serviceGone), outcome{"Stable", nil, stable, stuck, v1alpha1.ReasonServiceNotFound}},

		{"pushed again", given(declares(newerRevision), rejected(newerRevision)), outcome{"Rejected", nil, v1alpha1.PhaseRolledBack, stuck, v1alpha1.ReasonRolledBack}},
		{"another rejected one", given(rolledBack, declares(newerRevision), rejected(newerRevision)), outcome{"Rejected", nil, v1alpha1.PhaseRolledBack, stuck, v1alpha1.ReasonRolledBack}},
		{"still declared", given(rolledBack), outcome{"RolledBack", nil, v1alpha1.PhaseRolledBack, stuck, v1alpha1.ReasonRolledBack}},
		{"pushed", given(declares(triedRevision)), outcome{"NewRevision", nil, gate, work, progressing}},
		{"fix after a rollback", given(rolledBack, declares(newerRevision)), outcome{"NewRevision", nil, gate, work, progressing}},
		{"serving", given(unproven), outcome{"Unguarded", nil, stable, stuck, v1alpha1.ReasonGuardMissing}},
		{"waiting", given(gating, unproven), outcome{"Unguarded", nil, gate, stuck, v1alpha1.ReasonGuardMissing}},
		{"serving", given(), outcome{"Stable", nil, stable, stay, v1alpha1.ReasonStable}},
		{"serving, the next run blocked", given(blockedRun), outcome{"Stable", nil, stable, stuck, v1alpha1.ReasonGuardrailNotFound}},
		{"serving, the route gone", given(routeGone), outcome{"Stable", nil, stable, stuck, v1alpha1.ReasonRouteNotFound}},
		{"record lost", given(step, func(in *plan.Input) { in.Run.Exists = false }), outcome{"RunMissing", plan.CreateRun{}, stepping, work, progressing}},
		{"guardrail missing", given(gating, blockedRun), outcome{"Blocked", nil, gate, stuck, v1alpha1.ReasonGuardrailNotFound}},
		{"route gone before the run", given(gating, routeGone), outcome{"RouteUnusable", nil, gate, stuck, v1alpha1.ReasonRouteNotFound}},
		{"route gone mid-step", given(step, routeGone), outcome{"RouteUnusable", nil, stepping, stuck, v1alpha1.ReasonRouteNotFound}},
		{"mid-step", given(step, specPaused), outcome{"Paused", nil, stepping, work, v1alpha1.ReasonPaused}},
		{"nothing to go back to", given(gating, stableReady(0)), outcome{"StableNotReady", nil, gate, stuck, v1alpha1.ReasonWorkloadNotReady}},
		{"pre-flight not heard of", given(gating, preflight("")), outcome{"PreflightHolds", nil, gate, work, v1alpha1.ReasonPreflight}},
		{"pre-flight failed", given(gating, preflight(v1alpha1.VerdictFail)), outcome{"PreflightHolds", nil, gate, work, v1alpha1.ReasonPreflight}},
		{"pre-flight unknown", given(gating, preflight(v1alpha1.VerdictError)), outcome{"PreflightHolds", nil, gate, work, v1alpha1.ReasonPreflight}},
		{"pre-flight of long ago", given(gating, preflight(v1alpha1.VerdictPass), later(time.Hour)), outcome{"PreflightHolds", nil, gate, work, v1alpha1.ReasonPreflight}},
		{"pre-flight of another candidate", given(gating, preflight(v1alpha1.VerdictPass), declares(newerRevision), func(in *plan.Input) { in.Status.Candidate.Revision = newerRevision }), outcome{"PreflightHolds", nil, gate, work, v1alpha1.ReasonPreflight}},
		{"pre-flight passed", given(gating, preflight(v1alpha1.VerdictPass)), outcome{"RunStarts", plan.CreateRun{}, stepping, work, progressing}},
		{"all is well", given(gating), outcome{"RunStarts", plan.CreateRun{}, stepping, work, progressing}},
		{"a phase from a newer version", given(func(in *plan.Input) { in.Status.Phase = "Dancing" }), outcome{"Hold", nil, "Dancing", work, v1alpha1.ReasonHolding}},
	}
}

func fresh(in *plan.Input)      { in.Status = v1alpha1.RolloutStatus{} }
func specPaused(in *plan.Input) { in.Spec.Paused = true }

func blockedRun(in *plan.Input) {
	in.Blocked = plan.Blocked{Reason: v1alpha1.ReasonGuardrailNotFound, Message: "no such guardrail"}
}

func rollbackCases() []ruleCase {
	const work, back = plan.Working, v1alpha1.ReasonRollingBack
	phase := v1alpha1.PhaseRollingBack
	step, fail := stepAt(0), verdict(v1alpha1.VerdictFail)
	going, draining, drained := rollingBack(nil), rollingBack(&justNow), rollingBack(&recently)
	bypassed := rollbackOutcome(v1alpha1.OutcomeBypassed)
	return []ruleCase{
		{"mid-step", given(step, action(v1alpha1.ActionAbort, "")), outcome{"AbortRequested", nil, phase, work, back}},
		{"before the run", given(gating, action(v1alpha1.ActionAbort, triedRevision)), outcome{"AbortRequested", nil, v1alpha1.PhaseRolledBack, work, v1alpha1.ReasonRolledBack}},
		{"while the trigger fires", given(baking, fail, action(v1alpha1.ActionAbort, "")), outcome{"AbortRequested", nil, phase, work, back}},
		{"after a rollback", given(rolledBack, action(v1alpha1.ActionRetry, "")), outcome{"RetryRequested", nil, v1alpha1.PhaseGating, work, v1alpha1.ReasonProgressing}},
		{"nothing to abort", given(action(v1alpha1.ActionAbort, "")), outcome{"ActionRefused", nil, v1alpha1.PhaseStable, work, v1alpha1.ReasonProgressing}},
		{"another revision", given(step, action(v1alpha1.ActionAbort, newerRevision)), outcome{"ActionRefused", nil, v1alpha1.PhaseStepping, work, v1alpha1.ReasonProgressing}},
		{"unknown", given(step, action("Dance", "")), outcome{"ActionRefused", nil, v1alpha1.PhaseStepping, work, v1alpha1.ReasonProgressing}},

		{"mid-step", given(step, fail), outcome{"TriggerFired", nil, phase, work, back}},
		{"paused by the spec", given(step, specPaused, fail), outcome{"TriggerFired", nil, phase, work, back}},
		{"promoting", given(promoting, fail), outcome{"TriggerFired", nil, phase, work, back}},
		{"baking", given(baking, fail), outcome{"TriggerFired", nil, phase, work, back}},
		{"whenBlind rolls back", given(step, blind), outcome{"BlindTooLong", nil, phase, work, back}},
		{"canary never ready", given(step, acknowledgedAt(nil), canaryReady(0), entered(longAgo), rollBackAtDeadline), outcome{"StepDeadlineExceeded", nil, phase, work, back}},
		{"bake undecided", given(baking, shiftedAt(&longAgo), verdict(v1alpha1.VerdictError), rollBackAtDeadline), outcome{"StepDeadlineExceeded", nil, phase, work, back}},

		{"the Deployment serves", given(baking, asRollback), outcome{"RollbackReleasesFirst", plan.ReleaseRoute{}, phase, work, back}},
		{"released, unacknowledged", given(baking, asRollback, noSplit, unacknowledged), outcome{"RollbackAwaitsRelease", nil, phase, work, back}},
		{"released", given(baking, asRollback, noSplit), outcome{"RollbackRestoresTemplate", plan.RestoreTemplate{Revision: stableRevision}, phase, work, back}},
		{"mid-promotion", given(promoting, rolling, asRollback), outcome{"RollbackRestoresTemplate", plan.RestoreTemplate{Revision: stableRevision}, phase, work, back}},
		{"no stable pod", given(going, split(50), stableReady(0)), outcome{"RollbackAwaitsStable", nil, phase, work, back}},
		{"half of the stable pods, but the canary is lost", given(going, restoring, declares(stableRevision), split(100), stableReady(2), canaryReady(0)), outcome{"RollbackTakesTraffic", plan.SetSplit{Weight: 0}, phase, work, back}},
		{"scaled to nothing", given(going, split(50), stableReady(0), func(in *plan.Input) { in.Workload.Replicas = 0 }), outcome{"RollbackTakesTraffic", plan.SetSplit{Weight: 0}, phase, work, back}},
		{"half of the stable pods", given(going, restoring, declares(stableRevision), split(100), stableReady(2)), outcome{"RollbackAwaitsStable", nil, phase, work, back}},
		{"pair elsewhere", given(going, restoring, declares(stableRevision), split(100), services(triedHash, triedRevision)), outcome{"RollbackPointsServices", plan.PointServices{StableHash: stableHash, CanaryRevision: triedRevision}, phase, work, back}},
		{"endpoints lag", given(going, split(50), stableEndpoints(0)), outcome{"RollbackAwaitsEndpoints", nil, phase, work, back}},
		{"canary has a share", given(going, split(50)), outcome{"RollbackTakesTraffic", plan.SetSplit{Weight: 0}, phase, work, back}},
		{"routes disagree", given(going, split(-1)), outcome{"RollbackTakesTraffic", plan.SetSplit{Weight: 0}, phase, work, back}},
		{"unacknowledged", given(going, unacknowledged), outcome{"RollbackAwaitsRoute", nil, phase, work, back}},
		{"acknowledged", given(going), outcome{"RollbackAtZero", nil, phase, work, back}},
		{"drain not over", given(draining), outcome{"RollbackDrains", nil, phase, work, back}},
		{"drained", given(drained), outcome{"RollbackRemovesCanary", plan.DeleteCanary{}, phase, work, back}},
		{"pods terminate", given(drained, terminating), outcome{"RollbackRemovesCanary", nil, phase, work, back}},
		{"the Deployment serves, the user's Service is gone", given(baking, asRollback, serviceGone), outcome{"RollbackNeedsService", nil, phase, plan.Stuck, v1alpha1.ReasonServiceNotFound}},
		{"canary gone, the user's Service too", given(drained, noCanary, serviceGone), outcome{"RollbackAwaitsService", nil, phase, plan.Stuck, v1alpha1.ReasonServiceNotFound}},
		{"the user's Service is gone mid-rollback", given(going, split(10), serviceGone), outcome{"RollbackTakesTraffic", plan.SetSplit{Weight: 0}, phase, work, back}},
		{"canary gone", given(drained, noCanary), outcome{"RollbackReleasesRoute", plan.ReleaseRoute{}, phase, work, back}},
		{"bypassed", given(going, bypassed, paused(false)), outcome{"RollbackReleasesRoute", plan.ReleaseRoute{}, phase, work, back}},
		{"restored but paused", given(drained, noCanary, noSplit, restoring, declares(stableRevision), paused(true)), outcome{"RollbackUnpauses", plan.Unpause{Revision: stableRevision}, phase, work, back}},
		{"restored, rolling", given(drained, noCanary, noSplit, restoring, declares(stableRevision), paused(false), settled(false)), outcome{"RollbackAwaitsWorkload", nil, phase, work, back}},
		{"bypassed, then paused midway", given(drained, bypassed, noCanary, noSplit), outcome{"RollbackAwaitsWorkload", nil, phase, work, back}},
		{"rejected one declared", given(drained, noCanary, noSplit), outcome{"RollbackDone", nil, v1alpha1.PhaseRolledBack, plan.Stuck, v1alpha1.ReasonRolledBack}},
		{"stable declared", given(drained, noCanary, noSplit, declares(stableRevision), paused(false)), outcome{"RollbackDone", nil, v1alpha1.PhaseStable, work, back}},
		{"superseded", given(drained, noCanary, noSplit, declares(newerRevision), rollbackOutcome(v1alpha1.OutcomeSuperseded)), outcome{"RollbackDone", nil, v1alpha1.PhaseStable, work, back}},
		{"bypassed and settled", given(going, bypassed, noCanary, noSplit, paused(false), settled(true)), outcome{"RollbackDone", nil, v1alpha1.PhaseStable, work, back}},
	}
}

// asRollback turns a promotion or bake into the rollback of it.
func asRollback(in *plan.Input) {
	in.Status.Phase = v1alpha1.PhaseRollingBack
	in.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, StartedAt: justNow, Restore: true}
}

func promotionCases() []ruleCase {
	const work, promotion, bake = plan.Working, v1alpha1.ReasonPromoting, v1alpha1.ReasonBaking
	phase := v1alpha1.PhasePromoting
	filling := fullAt(nil)
	return []ruleCase{
		{"canary too small", given(promoting, filling, canaryPods(2), split(50)), outcome{"PromotionScalesCanary", plan.ScaleCanary{Replicas: replicas}, phase, work, promotion}},
		{"canary not ready", given(promoting, filling, canaryReady(3), split(50)), outcome{"PromotionAwaitsCanary", nil, phase, work, promotion}},
		{"canary lost before the Deployment rolls", given(promoting, canaryReady(0)), outcome{"CanaryLost", plan.SetSplit{Weight: 0}, phase, work, promotion}},
		{"canary lost, its share taken", given(promoting, canaryReady(0), split(0)), outcome{"PromotionAwaitsCanary", nil, phase, work, promotion}},
		{"canary lost while the Deployment rolls", given(promoting, rolling, canaryReady(0)), outcome{"CanaryLostWhileRolling", plan.ReleaseRoute{}, phase, work, promotion}},
		{"canary lost, nobody else is there", given(promoting, rolling, canaryReady(0), serviceGone), outcome{"RouteUnusable", nil, phase, plan.Stuck, v1alpha1.ReasonServiceNotFound}},
		{"canary never ready in time", given(promoting, filling, canaryReady(3), split(50), func(in *plan.Input) { in.Status.Promotion.StartedAt = longAgo }), outcome{"PromotionAwaitsCanary", nil, phase, plan.Stuck, v1alpha1.ReasonDeadlineExceeded}},
		{"canary ready", given(promoting, filling, split(50)), outcome{"PromotionGivesAll", plan.SetSplit{Weight: 100}, phase, work, promotion}},
		{"unacknowledged", given(promoting, filling, unacknowledged), outcome{"PromotionAwaitsRoute", nil, phase, work, promotion}},
		{"unacknowledged before it gets all", given(promoting, filling, split(50), unacknowledged), outcome{"PromotionAwaitsRoute", nil, phase, work, promotion}},
		{"acknowledged", given(promoting, filling), outcome{"PromotionAtFull", nil, phase, work, promotion}},
		{"drain not over", given(promoting, fullAt(&justNow)), outcome{"PromotionDrainsStable", nil, phase, work, promotion}},
		{"drained", given(promoting), outcome{"PromotionUnpauses", plan.Unpause{Revision: triedRevision}, phase, work, promotion}},
		{"rolling", given(promoting, rolling), outcome{"PromotionAwaitsWorkload", nil, phase, work, promotion}},
		{"rolling past the deadline", given(promoting, rolling, func(in *plan.Input) { in.Status.Promotion.StartedAt = longAgo }), outcome{"PromotionAwaitsWorkload", nil, phase, plan.Stuck, v1alpha1.ReasonDeadlineExceeded}},
		{"rolled", given(promoting, rolled), outcome{"PromotionPointsServices", plan.PointServices{StableHash: triedHash, CanaryRevision: triedRevision}, phase, work, promotion}},
		{"endpoints lag", given(promoting, rolled, shifted, stableEndpoints(3)), outcome{"PromotionAwaitsEndpoints", nil, phase, work, promotion}},
		{"new pods reachable", given(promoting, rolled, shifted), outcome{"PromotionShifts", plan.SetSplit{Weight: 0}, phase, work, promotion}},
		{"shifted", given(promoting, rolled, shifted, split(0)), outcome{"PromotionShifted", nil, v1alpha1.PhaseBaking, work, bake}},

		{"somebody gave the canary a share", given(baking, split(50)), outcome{"BakeTakesTraffic", plan.SetSplit{Weight: 0}, v1alpha1.PhaseBaking, work, bake}},
		{"not over", given(baking, shiftedAt(&justNow)), outcome{"BakeRuns", nil, v1alpha1.PhaseBaking, work, bake}},
		{"no answer", given(baking, verdict(v1alpha1.VerdictError)), outcome{"BakeUndecided", nil, v1alpha1.PhaseBaking, work, v1alpha1.ReasonHolding}},
		{"no answer past the deadline", given(baking, shiftedAt(&longAgo), verdict(v1alpha1.VerdictInconclusive)), outcome{"BakeUndecided", nil, v1alpha1.PhaseBaking, plan.Stuck, v1alpha1.ReasonDeadlineExceeded}},
		{"route unacknowledged", given(baking, unacknowledged), outcome{"BakeAwaitsRoute", nil, v1alpha1.PhaseBaking, work, bake}},
		{"over", given(baking), outcome{"BakeRemovesCanary", plan.DeleteCanary{}, v1alpha1.PhaseBaking, work, bake}},
		{"over while the controller was down", given(baking, shiftedAt(&longAgo), rollBackAtDeadline), outcome{"BakeRemovesCanary", plan.DeleteCanary{}, v1alpha1.PhaseBaking, work, bake}},
		{"canary gone", given(baking, noCanary), outcome{"BakeReleasesRoute", plan.ReleaseRoute{}, v1alpha1.PhaseBaking, work, bake}},
		{"all gone", given(baking, noCanary, noSplit), outcome{"Promoted", nil, v1alpha1.PhaseStable, work, v1alpha1.ReasonStable}},
		{"a newer one waits", given(baking, noCanary, noSplit, declares(newerRevision)), outcome{"Promoted", nil, v1alpha1.PhaseStable, work, v1alpha1.ReasonStable}},
	}
}

func stepCases() []ruleCase {
	const work, progressing, holding = plan.Working, v1alpha1.ReasonProgressing, v1alpha1.ReasonHolding
	phase := v1alpha1.PhaseStepping
	step, begun := stepAt(0), acknowledgedAt(nil)
	return []ruleCase{
		{"pair elsewhere", given(step, begun, noCanary, noSplit, services(stableHash, "")), outcome{"StepPointsServices", plan.PointServices{StableHash: stableHash, CanaryRevision: triedRevision}, phase, work, progressing}},
		{"endpoints lag", given(step, begun, noCanary, noSplit, stableEndpoints(0)), outcome{"StepAwaitsStableEndpoints", nil, phase, work, progressing}},
		{"no split yet", given(step, begun, noCanary, noSplit), outcome{"StepSplitsRoute", plan.SetSplit{Weight: 0}, phase, work, progressing}},
		{"split unacknowledged", given(step, begun, noCanary, split(0), unacknowledged), outcome{"StepAwaitsSplit", nil, phase, work, progressing}},
		{"unacknowledged before a wider share", given(step, begun, split(0), unacknowledged), outcome{"StepAwaitsSplit", nil, phase, work, progressing}},
		{"more than the step allows, and lost", given(step, split(50), canaryReady(0)), outcome{"CanaryLost", plan.SetSplit{Weight: 0}, phase, work, progressing}},
		{"more than the step allows, no pod ready, endpoints lag", given(step, split(50), func(in *plan.Input) { in.Canary.Ready = 0 }), outcome{"StepLowersWeight", plan.SetSplit{Weight: 0}, phase, work, progressing}},
		{"more than the step allows, canary ready", given(step, split(50)), outcome{"StepLowersWeight", plan.SetSplit{Weight: 10}, phase, work, progressing}},
		{"no canary", given(step, begun, noCanary, split(0)), outcome{"StepScalesCanary", plan.ScaleCanary{Replicas: 1}, phase, work, progressing}},
		{"canary not ready", given(step, begun, split(0), canaryReady(0)), outcome{"StepAwaitsCanary", nil, phase, work, progressing}},
		{"canary short at the end of the hold", given(stepAt(1), canaryReady(1)), outcome{"StepAwaitsCanary", nil, phase, work, progressing}},
		{"canary lost at the end of the hold", given(step, canaryReady(0)), outcome{"CanaryLost", plan.SetSplit{Weight: 0}, phase, work, progressing}},
		{"canary lost in the hold", given(step, acknowledgedAt(&justNow), canaryReady(0)), outcome{"CanaryLost", plan.SetSplit{Weight: 0}, phase, work, progressing}},
		{"canary lost while paused", given(step, specPaused, canaryReady(0)), outcome{"CanaryLost", plan.SetSplit{Weight: 0}, phase, work, progressing}},
		{"canary lost, stable too", given(step, acknowledgedAt(&justNow), canaryReady(0), stableEndpoints(0)), outcome{"StepHolds", nil, phase, work, progressing}},
		{"canary never ready in time", given(step, begun, split(0), canaryReady(0), entered(longAgo)), outcome{"StepAwaitsCanary", nil, phase, plan.Stuck, v1alpha1.ReasonDeadlineExceeded}},
		{"never acknowledged in time", given(step, begun, unacknowledged, entered(longAgo)), outcome{"StepAwaitsRoute", nil, phase, plan.Stuck, v1alpha1.ReasonDeadlineExceeded}},
		{"not ready in time, but paused", given(step, begun, specPaused, split(0), canaryReady(0), entered(longAgo)), outcome{"Paused", nil, phase, work, v1alpha1.ReasonPaused}},
		{"canary ready", given(step, begun, split(0)), outcome{"StepSetsWeight", plan.SetSplit{Weight: 10}, phase, work, progressing}},
		{"routes disagree", given(step, split(-1)), outcome{"StepSetsWeight", plan.SetSplit{Weight: 10}, phase, work, progressing}},
		{"unacknowledged", given(step, begun, unacknowledged), outcome{"StepAwaitsRoute", nil, phase, work, progressing}},
		{"acknowledged", given(step, begun), outcome{"StepAcknowledged", nil, phase, work, progressing}},
		{"observing", given(step, observeOnly, verdict(v1alpha1.VerdictFail)), outcome{"TriggerObserved", nil, phase, plan.Stuck, v1alpha1.ReasonTriggerObserved}},
		{"hold not over", given(step, acknowledgedAt(&justNow)), outcome{"StepHolds", nil, phase, work, progressing}},
		{"no answer", given(step, verdict(v1alpha1.VerdictError)), outcome{"StepUndecided", nil, phase, work, holding}},
		{"not decisive", given(step, verdict(v1alpha1.VerdictInconclusive)), outcome{"StepUndecided", nil, phase, work, holding}},
		{"no verdict at all", given(step, verdict("")), outcome{"StepUndecided", nil, phase, work, holding}},
		{"no answer past the deadline", given(step, entered(longAgo), verdict(v1alpha1.VerdictError)), outcome{"StepUndecided", nil, phase, plan.Stuck, v1alpha1.ReasonDeadlineExceeded}},
		{"passed", given(step), outcome{"StepPassed", nil, phase, work, progressing}},
		{"passed while the controller was down", given(step, entered(longAgo), acknowledgedAt(&longAgo), rollBackAtDeadline), outcome{"StepPassed", nil, phase, work, progressing}},
		{"the last one passed", given(stepAt(1)), outcome{"StepsPassed", nil, v1alpha1.PhasePromoting, work, v1alpha1.ReasonPromoting}},
	}
}
