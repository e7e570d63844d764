package plan_test

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func rollbackCases() []ruleCase {
	const back, phase = v1alpha1.ReasonRollingBack, v1alpha1.PhaseRollingBack
	step, fail := stepAt(0), verdict(v1alpha1.VerdictFail)
	going, draining, drained := rollingBack(nil), rollingBack(&justNow), rollingBack(&recently)
	gone := all(drained, noCanary)
	zero := plan.SetSplit{Weight: 0}
	fenced := func(in *plan.Input) { in.Canary.Epoch = in.Status.Epoch }
	superseded := rollbackOutcome(v1alpha1.OutcomeSuperseded)
	short := all(baking, asRollback, stableReady(2))
	shrunk := func(in *plan.Input) { in.Status.Promotion.FullReplicas = ptr(int32(10)) }
	marks := func(rejected string) plan.Effect {
		return plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Rejected: rejected}}
	}
	return []ruleCase{
		works("TriggerFired", "mid-step", given(step, fail), nil, phase, back, "shop/errors: 5 % errors", "step 1 of 2 (smoke), weight 10 %"),
		works("TriggerFired", "paused by the spec", given(step, specPaused, fail), nil, phase, back),
		works("TriggerFired", "the route is gone", given(step, routeGone, fail), nil, phase, back),
		works("TriggerFired", "promoting", given(promoting, fail), nil, phase, back, "promotion"),
		works("TriggerFired", "baking", given(baking, fail), nil, phase, back, "bake"),
		works("TriggerFired", "in a handover before the owner changed", given(handingOver, locked, handedAt(&justNow), fail), nil, phase, back, "handover"),
		works("TriggerFired", "and the stable version is declared again", given(step, fail, declares(stableRevision)), nil, phase, back),
		works("BlindTooLong", "whenBlind rolls back", given(step, blind), nil, phase, back, "5 % errors"),
		works("BlindTooLong", "in a handover", given(handingOver, blind), nil, phase, back),
		works("StepDeadlineExceeded", "canary never ready", given(step, acknowledgedAt(nil), canaryReady(0), split(0), entered(longAgo), rollBackAtDeadline), nil, phase, back, "stepDeadline 1h0m0s"),
		works("StepDeadlineExceeded", "promotion never full", given(promoting, split(50), canaryReady(1), func(in *plan.Input) { in.Status.Promotion.StartedAt = longAgo }, rollBackAtDeadline), nil, phase, back),
		works("StepDeadlineExceeded", "bake undecided", given(baking, fullAt(&longAgo), verdict(v1alpha1.VerdictError), rollBackAtDeadline), nil, phase, back, "is Error"),

		works("RollbackFences", "a handover may be on its way", given(handoverBack), plan.FenceCanary{Epoch: 2}, phase, back, "setting the canary's weight to 0 %").then(zero),
		works("RollbackFences", "with direct callers and a lock", given(handoverBack, locked, narrowed(canaryHash)), plan.FenceCanary{Epoch: 2}, phase, back).then(zero, plan.NarrowService{Hash: stableHash}, plan.Unlock{}),
		works("RollbackFences", "the weight is 0 already", given(handoverBack, split(0)), plan.FenceCanary{Epoch: 2}, phase, back),
		works("RollbackFences", "stable is gone", given(handoverBack, stableReady(0)), plan.FenceCanary{Epoch: 2}, phase, back),
		works("RollbackTakesTraffic", "fenced", given(handoverBack, fenced), zero, phase, back, "5 % errors"),
		works("RollbackTakesTraffic", "no handover was decided", given(handoverBack, handedAt(nil)), zero, phase, back),
		works("RollbackOvertaken", "the handover came first", given(handoverBack, func(in *plan.Input) { in.Canary.Handed = true }), nil, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver, "declare shop:a again"),
		works("RollbackTakesTraffic", "canary has a share", given(going, split(50)), zero, phase, back),
		works("RollbackTakesTraffic", "although the pair is wrong and refused", given(going, split(50), pairOff), zero, phase, back),
		works("RollbackTakesTraffic", "in a bake", given(baking, asRollback), zero, phase, back),
		works("RollbackTakesTraffic", "routes have different weights", given(going, mixed(0)), zero, phase, back),
		works("RollbackTakesTraffic", "scaled to nothing", given(going, split(50), atZero), zero, phase, back),
		works("RollbackTakesTraffic", "the user's Service is gone", given(going, split(10), serviceGone), zero, phase, back),
		works("RollbackAwaitsSize", "superseded in a bake", given(short, superseded), nil, phase, back, "5 % errors", "stable has 2 reachable pods", "the canary 4 with all requests", "when stable has 4, at 12:00:29Z at the latest"),
		works("RollbackTakesTraffic", "cancelled in a bake: what is taken back may be bad", given(short, rollbackOutcome(v1alpha1.OutcomeCancelled)), zero, phase, back),
		works("RollbackAwaitsSize", "superseded in a bake, endpoints lag behind the loss", given(short, superseded, stableEndpoints(4)), nil, phase, back, "stable has 2 reachable pods"),
		works("RollbackTakesTraffic", "superseded in a bake, stable as large", given(baking, asRollback, superseded), zero, phase, back),
		works("RollbackTakesTraffic", "superseded in a bake, for long enough", given(short, superseded, later(29*time.Second)), zero, phase, back, "stable has 2 reachable pods for all requests, fewer than the canary's 4"),
		works("RollbackTakesTraffic", "superseded in a bake, and the canary is lost", given(short, superseded, canaryReady(0)), zero, phase, back),
		works("RollbackTakesTraffic", "superseded in a bake, and the Deployment wants no more", given(short, superseded, scaled(2)), zero, phase, back),
		works("RollbackTakesTraffic", "superseded in a step", given(stepAt(1), asRollback, superseded, stableReady(1)), zero, phase, back),
		works("RollbackPointsServices", "superseded in a bake, nothing behind the pair", given(short, superseded, pairOff, stableEndpoints(0)), plan.PointServices{}, phase, back),
		works("RollbackTakesTraffic", "superseded under the handover's lock", given(short, superseded, locked), zero, phase, back, "unlocking the Deployment's template").then(plan.Unlock{}),
		works("RollbackTakesTraffic", "with direct callers on the canary", given(baking, asRollback, narrowed(canaryHash)), zero, phase, back, "direct callers of Service shop go back too").then(plan.NarrowService{Hash: stableHash}),
		works("RollbackTakesTraffic", "direct callers are at stable", given(going, split(50), narrowed(stableHash)), zero, phase, back),
		works("RollbackPointsServices", "nothing behind the pair, and direct callers on the canary", given(baking, asRollback, narrowed(canaryHash), pairOff, stableEndpoints(0)), plan.PointServices{}, phase, back).then(plan.NarrowService{Hash: stableHash}),
		works("RollbackTakesTraffic", "a trigger fired in a bake", given(short), zero, phase, back, "stable has 2 reachable pods for all requests, fewer than the canary's 4"),
		works("RollbackTakesTraffic", "a trigger fired in a bake for which stable has shrunk", given(baking, asRollback, shrunk), zero, phase, back, "from 10 to 4 replicas while shop:b had all requests", "kubectl scale deployment/shop"),
		works("RollbackDrains", "stable has shrunk in the bake", given(baking, asRollback, shrunk, split(0), zeroAt(&justNow)), nil, phase, back, "from 10 to 4 replicas"),
		works("RollbackPointsServices", "nothing behind the pair", given(going, split(50), pairOff, stableEndpoints(0)), plan.PointServices{}, phase, back),
		works("RollbackReleasesFormer", "the first edition's Services show no endpoints", given(going, split(50), formerRun, pairOff, stableEndpoints(0)), plan.ReleaseRoute{}, phase, back, "Service shop"),
		works("RollbackAwaitsStable", "neither do they, and stable has no ready pod", given(going, split(50), formerRun, pairOff, stableEndpoints(0), stableReady(0)), nil, phase, back),
		works("RollbackPointsServices", "pair changed in the drain", given(draining, pairOff), plan.PointServices{}, phase, back),
		works("UnlocksDeployment", "weight taken", given(handoverBack, fenced, split(0), locked), plan.Unlock{}, phase, back, "unlocking the Deployment's template"),
		works("UnlocksDeployment", "somebody's old copy", given(locked), plan.Unlock{}, v1alpha1.PhaseStable, v1alpha1.ReasonProgressing),
		works("UnlocksDeployment", "another run's", given(handingOver, func(in *plan.Input) { in.Workload.Lock = "shop-x-7" }), plan.Unlock{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),
		works("UnlocksDeployment", "another version is declared", given(handed, declares(newerRevision)), plan.Unlock{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),
		works("UnlocksDeployment", "bypassed in the middle", given(bypassing, locked), plan.Unlock{}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),

		works("RollbackAwaitsStable", "no stable pod", given(going, split(50), stableReady(0), serviceEndpoints(0)), nil, phase, back, "0 of 4 ready", "bypass"),
		works("RollbackAwaitsStable", "released, and the canary alone serves", given(going, noSplit, stableReady(0)), nil, phase, back),
		works("RollbackAwaitsStable", "released, and stable's pods have no such port", given(going, noSplit, serviceEndpoints(2)), nil, phase, back),
		works("RollbackAwaitsRoute", "unacknowledged", given(going, unacknowledged), nil, phase, back, "acknowledge weight 0 %"),
		works("RollbackNarrowsService", "direct callers still reach the canary", given(going, narrowed(canaryHash)), plan.NarrowService{Hash: stableHash}, phase, back, "Service shop", "stable pods"),
		works("RollbackNarrowsService", "all requests still reach the canary", given(handoverBack, fenced, noSplit, narrowed(canaryHash)), plan.NarrowService{Hash: stableHash}, phase, back),
		works("RollbackAtZero", "acknowledged", given(going), nil, phase, back, "weight 0 %, within 600.0 s of the decision"),
		works("RollbackAtZero", "never split", given(going, noSplit, noCanary), nil, phase, back, "Service shop"),
		works("RollbackDrains", "drain not over", given(draining), nil, phase, back, "until 12:00:04Z"),
		works("RollbackDrains", "requests went by the Service", given(handoverBack, fenced, noSplit, narrowed(stableHash), zeroAt(&justNow)), nil, phase, back),
		works("RollbackRemovesCanary", "drained", given(drained), plan.RemoveCanary{Reject: true}, phase, back),
		works("RollbackRemovesCanary", "superseded: it may come back", given(drained, superseded), plan.RemoveCanary{}, phase, back),
		works("RollbackRemovesCanary", "pods terminate", given(drained, terminating), nil, phase, back, "canary pods to terminate: 2"),
		works("RollbackRemovesCanary", "scaled to nothing", given(drained, atZero), plan.RemoveCanary{Reject: true}, phase, back),
		stalls("RollbackAwaitsService", "the user's Service is gone", given(gone, serviceGone), nil, phase, v1alpha1.ReasonServiceNotFound, "create it"),
		works("RollbackAwaitsService", "the user's Service has no such port", given(gone, portRenamed), nil, phase, back, `no port "web"`),
		works("RollbackReleasesRoute", "canary gone", given(gone), plan.ReleaseRoute{}, phase, back, "Service shop"),
		works("RollbackWidensService", "released", given(gone, noSplit, narrowed(stableHash)), plan.NarrowService{}, phase, back),
		works("RollbackUnpauses", "while the routes are still split", given(gone, declares(stableRevision), paused(true)), plan.Unpause{Revision: stableRevision}, phase, back),
		works("RollbackUnpauses", "stable declared, but paused", given(gone, noSplit, declares(stableRevision), paused(true)), plan.Unpause{Revision: stableRevision}, phase, back),
		works("RollbackAwaitsRelease", "the gateway still follows the pair", given(gone, noSplit, unacknowledged), nil, phase, back, "routes to Service shop"),
		stalls("RollbackDone", "rejected one declared", given(gone, noSplit), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack, "rolled back to shop:a: 5 % errors").then(marks(candidateRevision)),
		works("RollbackDone", "stable declared", given(gone, noSplit, declares(stableRevision)), nil, v1alpha1.PhaseStable, back).then(marks("")),
		works("RollbackDone", "superseded", given(gone, noSplit, declares(newerRevision), superseded), nil, v1alpha1.PhaseStable, back).then(marks("")),
		works("RollbackAwaitsRoute", "never acknowledged", given(going, unacknowledged, func(in *plan.Input) { in.Route.Unacknowledged = "route shop, parent gw: Accepted is False" }), nil, phase, back, "parent gw"),
		stalls("RollbackAwaitsRoute", "not acknowledged for hours", given(going, unacknowledged, later(2*time.Hour)), nil, phase, v1alpha1.ReasonDeadlineExceeded, "stepDeadline 1h0m0s"),
	}
}

// asRollback turns a step, or what follows the steps, into its rollback.
func asRollback(in *plan.Input) {
	in.Status.Phase, in.Status.Epoch = v1alpha1.PhaseRollingBack, in.Status.Epoch+1
	in.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, Trigger: "shop/errors", Message: "5 % errors", StartedAt: justNow}
}

func lostCases() []ruleCase {
	const progressing, over = v1alpha1.ReasonProgressing, v1alpha1.ReasonHandingOver
	const phase, overPhase = v1alpha1.PhaseStepping, v1alpha1.PhaseHandingOver
	step := stepAt(0)
	zero := plan.SetSplit{Weight: 0}
	lost := canaryReady(0)
	cause := func(in *plan.Input) { in.Canary.Cause = "ImagePullBackOff on shop:b" }
	small := all(canaryPods(2), split(50))
	return []ruleCase{
		works("CanaryLost", "at the end of the hold", given(step, lost, cause), zero, phase, progressing, "10 % and no ready endpoint", "ImagePullBackOff"),
		works("CanaryLost", "in the hold", given(step, acknowledgedAt(&justNow), lost), zero, phase, progressing),
		works("CanaryLost", "while paused", given(step, specPaused, lost), zero, phase, progressing),
		works("CanaryLost", "its Service deleted while paused", given(step, specPaused, pairOff, canaryEndpoints(0)), zero, phase, progressing),
		works("CanaryLost", "in a promotion", given(promoting, small, lost), zero, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting),
		works("CanaryLost", "in a bake", given(baking, lost), zero, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("CanaryLost", "in a bake with direct callers", given(baking, narrowed(canaryHash), lost), zero, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking).then(plan.NarrowService{Hash: stableHash}),
		works("CanaryLost", "in a handover", given(handingOver, lost), zero, v1alpha1.PhaseRollingBack, over),
		works("CanaryLostWidens", "in a handover, released to the narrowed Service", given(handingOver, narrowed(canaryHash), noSplit, serviceEndpoints(0)), plan.NarrowService{}, v1alpha1.PhaseRollingBack, over, "selects only the canary"),
		works("CanaryLostNarrows", "its weight is 0 again", given(baking, narrowed(canaryHash), lost, split(0), serviceEndpoints(0)), plan.NarrowService{Hash: stableHash}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking, "limiting it to the stable pods"),
		works("CanaryLostNarrows", "the routes are at the Service, and paused", given(promoting, narrowed(canaryHash), lost, noSplit, specPaused, serviceEndpoints(0)), plan.NarrowService{Hash: stableHash}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting),
		works("CanaryLostNarrows", "direct callers may reach any version now", given(promoting, narrowed(canaryHash), lost, noSplit, serviceEndpoints(0), anyCallers), plan.NarrowService{}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting, "select all of its pods"),
		works("StepHolds", "stable too", given(step, acknowledgedAt(&justNow), canaryEndpoints(0), stableEndpoints(0), serviceEndpoints(0)), nil, phase, progressing),
		works("StableLostWidens", "and the Service is narrowed to it", given(step, narrowed(stableHash), stableReady(0)), plan.NarrowService{}, phase, progressing),
		works("StableLost", "mid-step", given(step, stableReady(0)), plan.ReleaseRoute{}, phase, progressing, "90 % and no ready endpoint", "Service shop"),
		works("StableLost", "before the gateway acknowledges", given(step, stableReady(0), unacknowledged), plan.ReleaseRoute{}, phase, progressing),
		works("StableLost", "in a promotion", given(promoting, small, stableReady(0)), plan.ReleaseRoute{}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting),
		works("StableLost", "rolling back", given(rollingBack(nil), stableReady(0)), plan.ReleaseRoute{}, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("BakeRuns", "nobody misses it", given(baking, fullAt(&justNow), stableReady(0)), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("LowersWeight", "canary ready", given(step, split(50)), plan.SetSplit{Weight: 10}, phase, progressing, "50 %", "10 % is allowed"),
		works("LowersWeight", "testers whom no step names", given(step, stepsAsk("x-canary"), testersReach("x-other")), plan.SetSplit{Weight: 10}, phase, progressing, "and testers (header x-other: 1)", "10 % and testers (header x-canary: 1) is allowed"),
		works("LowersWeight", "more weight than the testers' step has", given(step, split(50), stepsAsk("x-canary"), testersReach("x-canary")), plan.SetSplit{Weight: 10, Testers: header("x-canary")}, phase, progressing),
		works("CanaryLost", "testers get no answer", given(step, split(0), stepsAsk("x-canary"), testersReach("x-canary"), canaryReady(0)), zero, phase, progressing, "weight 0 % and testers (header x-canary: 1) and no ready endpoint"),
		works("LowersWeight", "copies that no step names", given(step, mirrors(20)), plan.SetSplit{Weight: 10}, phase, progressing, "and copies of 20 % of the requests, 10 % is allowed"),
		works("LowersWeight", "more weight than the mirroring step has", given(step, split(50), stepsMirror(10), mirrors(10)), plan.SetSplit{Mirror: 10}, phase, progressing),
		works("LowersWeight", "filters that somebody changed", given(step, mixed(0), stepsMirror(10)), zero, phase, progressing, "or filters that copy requests to it that somebody has changed"),
		works("CanaryLost", "copies get no answer", given(step, split(0), stepsMirror(10), mirrors(10), canaryReady(0)), zero, phase, progressing, "weight 0 % and copies of 10 % of the requests and no ready endpoint"),
		works("RollbackTakesTraffic", "copies, at weight 0", given(rollingBack(nil), split(0), mirrors(10)), zero, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack, "removing the filters that copy requests to it"),
		works("DeletingTakesTrafficBack", "copies, at weight 0", given(step, split(0), mirrors(10), deleted(time.Second)), zero, phase, v1alpha1.ReasonReleasing, "removing the filters that copy requests to it"),
		works("RollbackTakesTraffic", "testers, at weight 0", given(rollingBack(nil), split(0), testersReach("x-canary")), zero, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack, "removing the rules for its testers"),
		works("DeletingTakesTrafficBack", "testers, at weight 0", given(step, split(0), testersReach("x-canary"), deleted(time.Second)), zero, phase, v1alpha1.ReasonReleasing, "removing the rules for its testers"),
		works("LowersWeight", "while paused", given(step, specPaused, split(100)), plan.SetSplit{Weight: 10}, phase, progressing),
		works("LowersWeight", "endpoints lag", given(step, split(50), func(in *plan.Input) { in.Canary.Ready = 0 }), zero, phase, progressing),
		works("LowersWeight", "routes have different weights", given(step, mixed(10)), zero, phase, progressing, "routes have different weights"),
		works("RepairsServices", "while paused", given(step, specPaused, pairOff), plan.PointServices{}, phase, progressing),
		works("RepairsServices", "in a bake", given(baking, fullAt(&justNow), pairOff), plan.PointServices{}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("RepairsServices", "while promoting", given(promoting, pairOff), plan.PointServices{}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting),
		works("RepairsServices", "in a handover", given(handingOver, pairOff, canaryEndpoints(0)), plan.PointServices{}, overPhase, over),
		works("RepairsServices", "after the owner changed", given(handed, unrecognised, pairOff), plan.PointServices{}, overPhase, over),

		works("NativeWidensFirst", "narrowed to nobody", given(takeOver(v1alpha1.TakeOverBypass), split(10), narrowed(canaryHash), canaryReady(0)), plan.NarrowService{}, overPhase, over),
		stalls("NativeReleaseBlocked", "no Service", given(takeOver(v1alpha1.TakeOverNative), split(50), serviceGone), nil, overPhase, v1alpha1.ReasonServiceNotFound),
		works("NativeReleaseBlocked", "no such port", given(takeOver(v1alpha1.TakeOverNative), split(50), portRenamed), nil, overPhase, over, "the routes cannot go back to Service"),
		works("NativeReleases", "native", given(takeOver(v1alpha1.TakeOverNative), split(50)), plan.ReleaseRoute{}, overPhase, over),
		works("NativeReleases", "a bypass, neither marked nor recorded", given(bypassing, split(10), noRun, func(in *plan.Input) { in.Workload.Marks = plan.Marks{} }), plan.ReleaseRoute{}, overPhase, over),
		works("NativeWidensService", "released", given(takeOver(v1alpha1.TakeOverNative), narrowed(stableHash)), plan.NarrowService{}, overPhase, over),
		works("LeftoverReleased", "serving", given(split(10)), plan.ReleaseRoute{}, v1alpha1.PhaseStable, progressing, "no run is in progress"),
		works("LeftoverReleased", "rolled back", given(rolledBack, split(10)), plan.ReleaseRoute{}, v1alpha1.PhaseRolledBack, progressing),
		works("LeftoverReleased", "before the run", given(gating, mixed(0)), plan.ReleaseRoute{}, v1alpha1.PhaseGating, progressing),
		stalls("Stable", "a share without a run, and no Service", given(split(10), serviceGone), nil, v1alpha1.PhaseStable, v1alpha1.ReasonServiceNotFound),
		works("LeftoverWidened", "serving", given(narrowed(stableHash)), plan.NarrowService{}, v1alpha1.PhaseStable, progressing),
	}
}

// adoptedCanary: the run's set is the Deployment's, although no handover was
// decided, and the routes still reach it.
func adoptedCanary(in *plan.Input) {
	all(noCanary, active(stable(replicas), own(replicas)), canaryEndpoints(replicas))(in)
	in.Canary.Adopted = ownSet
}

func wrongVersionCases() []ruleCase {
	const wrong = v1alpha1.ReasonWrongVersionServes
	const phase = v1alpha1.PhaseRolledBack
	candidates := own(replicas)
	lost := func(in *plan.Input) { in.Workload.Stable = plan.Set{} }
	return []ruleCase{
		stalls("WrongVersionServes", "back from zero with the rejected one", given(rolledBack, active(candidates)), plan.TakeOut{Name: ownSet, Delete: true}, phase, wrong, "4 pods of shop:b", "held at shop:a"),
		stalls("WrongVersionServes", "back from zero with one rejected before", given(rolledBack, rejected(newerRevision), active(newer(replicas))), plan.TakeOut{Name: "shop-c", Delete: true}, phase, wrong),
		stalls("TakesCanaryBack", "in a step", given(stepAt(0), adoptedCanary), plan.TakeBack{Name: ownSet}, v1alpha1.PhaseStepping, wrong, "the Deployment adopts it"),
		stalls("TakesCanaryBack", "in a bake, with stable scaled to 0", given(baking, fullAt(&justNow), adoptedCanary, active(own(replicas))), plan.TakeBack{Name: ownSet}, v1alpha1.PhaseBaking, wrong),
		stalls("TakesCanaryBack", "before a handover is decided", given(handingOver, adoptedCanary), plan.TakeBack{Name: ownSet}, v1alpha1.PhaseHandingOver, wrong),
		stalls("TakesCanaryBack", "in a rollback", given(rollingBack(nil), adoptedCanary), plan.TakeBack{Name: ownSet}, v1alpha1.PhaseRollingBack, wrong),
		works("RollbackTakesTraffic", "of an adopted canary first", given(rollingBack(nil), adoptedCanary, split(50)), plan.SetSplit{}, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		stalls("TakesCanaryBack", "in a rollback, stable is already scaled to 0 and its endpoints lag", given(rollingBack(nil), adoptedCanary, split(100), stableSized(0), active(own(replicas))), plan.TakeBack{Name: ownSet}, v1alpha1.PhaseRollingBack, wrong),
		works("CanaryRunMissing", "the run of an adopted canary is gone in a rollback", given(rollingBack(nil), adoptedCanary, noRun, split(100), stableSized(0), stableEndpoints(0), active(own(replicas))), plan.CreateRun{}, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		stalls("WrongVersionServes", "another version is declared meanwhile", given(rollingBack(nil), adoptedCanary, noRun, split(0), declares(newerRevision), active(stable(replicas), own(2))), plan.TakeOut{Name: ownSet}, v1alpha1.PhaseRollingBack, wrong),
		works("RunMissing", "the run of an adopted canary is gone", given(stepAt(0), adoptedCanary, noRun), plan.CreateRun{}, v1alpha1.PhaseStepping, v1alpha1.ReasonProgressing),
		stalls("WrongVersionServes", "another one beside stable", given(gating, active(stable(2), newer(2))), plan.TakeOut{Name: "shop-c"}, v1alpha1.PhaseGating, wrong),
		stalls("RaisesStable", "another one in stable's place", given(gating, active(newer(replicas))), plan.RaiseStable{Replicas: replicas}, v1alpha1.PhaseGating, wrong, "shop:a, which has no pods"),
		stalls("RaisesStable", "its set is gone", given(rolledBack, active(), lost), plan.RaiseStable{Replicas: replicas}, phase, wrong),
		stalls("RolledBack", "its set is gone, and no run has its template", given(rolledBack, active(), lost, func(in *plan.Input) { in.Run.StablePinned = false }), nil, phase, v1alpha1.ReasonRolledBack),
		stalls("RolledBack", "at zero", given(rolledBack, atZero, lost), nil, phase, v1alpha1.ReasonRolledBack),
		rests("Stable", "nothing is held", given(active(stable(2), newer(2))), v1alpha1.PhaseStable, v1alpha1.ReasonStable),
		works("StepPassed", "the run's own set counts for nobody", given(stepAt(0)), plan.ScaleCanary{Replicas: 2}, v1alpha1.PhaseStepping, v1alpha1.ReasonProgressing),
	}
}

func zeroAt(at *metav1.Time) change {
	return func(in *plan.Input) { in.Status.Rollback.ZeroAt = at }
}
