package plan_test

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func gatingCases() []ruleCase {
	const progressing = v1alpha1.ReasonProgressing
	const phase, stepping = v1alpha1.PhaseGating, v1alpha1.PhaseStepping
	step := stepAt(0)
	down := all(stableReady(0), unavailableFor(time.Minute))
	pending := gate(plan.Gate{Name: plan.GateGuard, Outcome: plan.Unknown, Reason: v1alpha1.ReasonGuardUnproven, Message: "the first dry-run is awaited"})
	frozen := gate(plan.Gate{Name: "freeze", Outcome: plan.Closed, Reason: "Frozen", Message: "frozen until 12:05", Until: now.Add(5 * time.Minute)})
	unheard := func(in *plan.Input) { in.Gates = nil }
	warned := func(in *plan.Input) { in.Workload.Warning = "revisionHistoryLimit is 0" }
	other := func(in *plan.Input) { in.Status.Candidate.Revision = newerRevision }
	back := previously(candidateRevision, newerRevision)
	twoBack := previously(newerRevision, candidateRevision)
	starting := []plan.Effect{plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Run: v1alpha1.RunLabel(plan.RunName("shop", candidateRevision, 2))}}, plan.PointServices{}}
	return []ruleCase{
		works("Unserved", "nothing serves", given(gating, down), plan.CreateRun{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonNothingServes, "no ready pod since 11:59:00Z", "without being judged"),
		works("Unserved", "also unguarded and blocked", given(gating, down, unproven, blockedRun), plan.CreateRun{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonNothingServes),
		works("StableNotReady", "nothing serves, for a moment", given(gating, stableReady(0), unavailableFor(59*time.Second)), nil, phase, v1alpha1.ReasonWorkloadNotReady, "rolls out at once"),
		works("ScaledToZero", "nothing is meant to serve", given(gating, atZero, unavailableFor(time.Hour)), nil, phase, v1alpha1.ReasonScaledToZero, "scaled to 0"),
		works("Paused", "nothing serves, but paused", given(gating, down, specPaused), nil, phase, v1alpha1.ReasonPaused, "no run of shop:b starts"),

		stalls("Blocked", "unguarded", given(unproven), nil, v1alpha1.PhaseStable, v1alpha1.ReasonGuardMissing, "no guard"),
		stalls("Blocked", "unguarded, with a candidate", given(gating, unproven), nil, phase, v1alpha1.ReasonGuardMissing),
		works("Blocked", "first proof awaited", given(pending), nil, v1alpha1.PhaseStable, v1alpha1.ReasonGuardUnproven),
		works("Blocked", "nothing heard of the guard", given(gating, unheard), nil, phase, v1alpha1.ReasonGuardUnproven, "has not been checked"),
		stalls("Blocked", "the next run", given(blockedRun), nil, v1alpha1.PhaseStable, v1alpha1.ReasonGuardrailNotFound),
		stalls("Blocked", "guardrail missing", given(gating, blockedRun), nil, phase, v1alpha1.ReasonGuardrailNotFound, "no such guardrail"),
		works("Blocked", "of two the first", given(gating, pending, blockedRun), nil, phase, v1alpha1.ReasonGuardUnproven),
		stalls("Blocked", "another Rollout's labels stay", given(claimed, func(in *plan.Input) { in.Workload.Marks.Rollout = "other" }), nil, v1alpha1.PhaseStable, v1alpha1.ReasonWorkloadClaimed),
		rests("Stable", "serving", given(), v1alpha1.PhaseStable, v1alpha1.ReasonStable, "serving shop:a"),
		works("Stable", "nothing serves", given(stableReady(0)), nil, v1alpha1.PhaseStable, v1alpha1.ReasonWorkloadNotReady, "nothing serves", "push a fix"),
		rests("Stable", "something to know", given(warned), v1alpha1.PhaseStable, v1alpha1.ReasonStable, "note: revisionHistoryLimit"),
		rests("Stable", "at zero replicas", given(atZero), v1alpha1.PhaseStable, v1alpha1.ReasonStable),
		stalls("Stable", "the route gone", given(routeGone), nil, v1alpha1.PhaseStable, v1alpha1.ReasonRouteNotFound),

		works("RunMissing", "record lost", given(step, noRun), plan.CreateRun{}, stepping, progressing, run),
		works("RunMissing", "before its name is on the Deployment", given(step, noRun, func(in *plan.Input) { in.Workload.Marks.Run = "" }), plan.CreateRun{}, stepping, progressing),
		works("RunMissing", "in a handover", given(handingOver, noRun), plan.CreateRun{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),
		works("NativeRunMissing", "in a bypass", given(bypassing, noRun), plan.CreateRun{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),
		stalls("RouteUnusable", "route gone before the run", given(gating, routeGone), nil, phase, v1alpha1.ReasonRouteNotFound, "no such route"),
		stalls("RouteUnusable", "route gone mid-step", given(step, routeGone), nil, stepping, v1alpha1.ReasonRouteNotFound),
		stalls("RouteUnusable", "Service gone in a handover", given(handingOver, serviceGone), nil, v1alpha1.PhaseHandingOver, v1alpha1.ReasonServiceNotFound),
		works("EmptiesCanary", "paused too", given(step, atZero, specPaused), plan.ScaleCanary{}, stepping, v1alpha1.ReasonScaledToZero),
		works("EmptiesCanary", "the route is gone too", given(step, atZero, routeGone), plan.ScaleCanary{}, stepping, v1alpha1.ReasonScaledToZero),
		works("Paused", "before the run", given(gating, specPaused), nil, phase, v1alpha1.ReasonPaused, "no run of shop:b starts"),
		works("Paused", "mid-step", given(step, specPaused), nil, stepping, v1alpha1.ReasonPaused, "step 1 of 2 (smoke), weight 10 %", "a trigger that fires still rolls back"),
		works("Paused", "in a bake", given(baking, specPaused), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonPaused, "bake"),
		works("Paused", "in a handover", given(handingOver, specPaused), nil, v1alpha1.PhaseHandingOver, v1alpha1.ReasonPaused, "handover"),
		works("HandoverReleases", "too late to pause", given(handed, specPaused), plan.ReleaseRoute{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver).then(plan.Unpause{Revision: candidateRevision, Unmark: true}),

		works("EmptiesCanary", "mid-step", given(step, atZero), plan.ScaleCanary{}, stepping, v1alpha1.ReasonScaledToZero, "scaled to 0"),
		works("EmptiesCanary", "in a bake", given(baking, atZero), plan.ScaleCanary{}, v1alpha1.PhaseBaking, v1alpha1.ReasonScaledToZero),
		works("EmptiesCanary", "in a handover", given(handingOver, atZero), plan.ScaleCanary{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonScaledToZero),
		works("EmptiesCanary", "in a handover, by pods", given(handingOver, byPods, scaled(0), active()), plan.ScaleCanary{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonScaledToZero),
		works("HandoverBakesAgain", "emptied", given(handingOver, atZero, canaryPods(0)), nil, v1alpha1.PhasePromoting, v1alpha1.ReasonScaledToZero, "a bake of their own"),
		works("HandoverBakesAgain", "emptied, decided", given(handingOver, handedAt(&justNow), atZero, canaryPods(0)), nil, v1alpha1.PhasePromoting, v1alpha1.ReasonScaledToZero),
		works("HandoverBakesAgain", "emptied, by pods", given(handingOver, byPods, scaled(0), active(), canaryPods(0)), nil, v1alpha1.PhasePromoting, v1alpha1.ReasonScaledToZero),
		works("HandoverBakesAgain", "paused too", given(handingOver, specPaused, atZero, canaryPods(0)), nil, v1alpha1.PhasePromoting, v1alpha1.ReasonScaledToZero),
		works("TriggerFired", "at zero in a handover", given(handingOver, atZero, canaryPods(0), verdict(v1alpha1.VerdictFail)), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("ScaledToZero", "before the run", given(gating, atZero), nil, phase, v1alpha1.ReasonScaledToZero, "shop:b waits", "goes on when it is scaled up"),
		works("ScaledToZero", "mid-step", given(step, atZero, canaryPods(0)), nil, stepping, v1alpha1.ReasonScaledToZero),
		works("ScaledToZero", "mid-step for a day", given(step, atZero, canaryPods(0), entered(longAgo), rollBackAtDeadline), nil, stepping, v1alpha1.ReasonScaledToZero),
		works("StableNotReady", "two versions run", given(gating, active(unready(stable(2)), newer(2))), nil, phase, v1alpha1.ReasonWorkloadNotReady, "2 versions"),

		works("RevertStarts", "what was stable before", given(gating, back), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing, "without steps").then(starting...),
		works("RevertStarts", "although its steps need approvals", given(gating, back, approval(0), approval(1)), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing).then(starting...),
		works("RevertStarts", "whatever the pre-flight says", given(gating, back, preflight(v1alpha1.VerdictFail)), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing).then(starting...),
		works("RevertStarts", "two versions back, of two", given(gating, twoBack, revisions(2)), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing).then(starting...),
		works("RunStarts", "two versions back, of one", given(gating, twoBack), plan.CreateRun{}, stepping, progressing).then(starting...),
		works("RunStarts", "fast reverts turned off", given(gating, back, revisions(0)), plan.CreateRun{}, stepping, progressing).then(starting...),
		works("RunStarts", "a native promotion has no full canary", given(gating, back, nativeMode), plan.CreateRun{}, stepping, progressing).then(starting...),
		works("PreflightHolds", "not heard of", given(gating, preflight("")), nil, phase, v1alpha1.ReasonPreflight, "waiting for the pre-flight check"),
		works("PreflightHolds", "failed", given(gating, preflight(v1alpha1.VerdictFail)), nil, phase, v1alpha1.ReasonPreflight, "5 % of the budget is left"),
		works("PreflightHolds", "unknown", given(gating, preflight(v1alpha1.VerdictError)), nil, phase, v1alpha1.ReasonPreflight),
		works("PreflightHolds", "of long ago", given(gating, later(time.Hour), preflight(v1alpha1.VerdictPass)), nil, phase, v1alpha1.ReasonPreflight),
		works("PreflightHolds", "of another candidate", given(gating, declares(newerRevision), other, preflight(v1alpha1.VerdictPass)), nil, phase, v1alpha1.ReasonPreflight),
		works("PreflightHolds", "a later gate", given(gating, frozen), nil, phase, "Frozen", "no run starts: frozen until 12:05"),
		rests("Stable", "a later gate for candidates", given(frozen), v1alpha1.PhaseStable, v1alpha1.ReasonStable),
		works("RevertStarts", "whatever a later gate says", given(gating, back, frozen), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing).then(starting...),
		works("RunStarts", "pre-flight passed", given(gating, preflight(v1alpha1.VerdictPass)), plan.CreateRun{}, stepping, progressing).then(starting...),
		works("RunStarts", "all is well", given(gating), plan.CreateRun{}, stepping, progressing, "run 2 starts", "shop:b against shop:a").then(starting...),
		works("Hold", "a phase from a newer version", given(func(in *plan.Input) { in.Status.Phase = "Dancing" }), nil, "Dancing", v1alpha1.ReasonHolding),
	}
}

func revisions(n int32) change {
	return func(in *plan.Input) { in.Spec.FastRevert.Revisions = &n }
}
