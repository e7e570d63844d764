package plan_test

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func trialCases() []ruleCase {
	const progressing, phase = v1alpha1.ReasonProgressing, v1alpha1.PhaseStepping
	const promotes, promotion = v1alpha1.ReasonPromoting, v1alpha1.PhasePromoting
	step, begun := stepAt(0), acknowledgedAt(nil)
	direct := func(in *plan.Input) {
		in.Spec.Traffic.DirectCallers, in.Workload.Marks.Narrowed = v1alpha1.DirectCallersStable, "shop"
	}
	putBack := func(n int32) change {
		return func(in *plan.Input) {
			in.Status.DirectCallers = &v1alpha1.DirectCallersStatus{Mode: v1alpha1.DirectCallersStable, PutBack: n}
			in.Route.NarrowedBy = "helm"
		}
	}
	gaveUp := func(in *plan.Input) {
		in.Status.DirectCallers = &v1alpha1.DirectCallersStatus{Mode: v1alpha1.DirectCallersAny, PutBack: 3}
		in.Workload.Marks.Narrowed = ""
	}
	filling := func(ready int32) change { return all(promoting, split(50), canaryPods(2), canaryReady(ready)) }
	large := all(scaled(20), active(stable(20)))
	unreadyOf := func(n int32) change { return func(in *plan.Input) { in.Canary.Desired, in.Canary.Pods = n, n } }
	noRoom := func(in *plan.Input) { in.Canary.Cause = "2 of 3 ready: no node has room" }
	return []ruleCase{
		works("PointsServices", "at the start", given(step, begun, noCanary, noSplit, pairOff), plan.PointServices{}, phase, progressing),
		works("AwaitsStableEndpoints", "endpoints lag", given(step, begun, noCanary, noSplit, stableEndpoints(0)), nil, phase, progressing, "Service shop-stable", "4 of 4 stable pods are ready"),
		works("AwaitsStableEndpoints", "no such port", given(step, begun, noCanary, noSplit, stableEndpoints(0), portRenamed), nil, phase, progressing, `no port "web"`),
		works("AwaitsStableEndpoints", "released in a step", given(step, noSplit, stableReady(0)), nil, phase, progressing),
		works("AwaitsStableEndpoints", "lost before a wider share", given(stepAt(1), begun, split(10), stableEndpoints(0), portRenamed), nil, phase, progressing),
		works("AwaitsCanary", "stable lost before the last share", given(promoting, split(50), stableEndpoints(0), portRenamed, canaryReady(3), canaryEndpoints(3), serviceEndpoints(0)), nil, promotion, promotes),
		works("SplitsRoute", "no split yet", given(step, begun, noCanary, noSplit), plan.SetSplit{}, phase, progressing, "weight 0 % for the canary"),
		works("SplitsRoute", "somebody took it away in a bake", given(baking, noSplit), plan.SetSplit{}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("AwaitsSplit", "unacknowledged, no canary", given(step, begun, noCanary, split(0), unacknowledged), nil, phase, progressing, "acknowledge weight 0 %"),
		works("AwaitsSplit", "unacknowledged before a wider share", given(step, begun, split(0), unacknowledged), nil, phase, progressing),
		works("NarrowsService", "before the first pod", given(step, begun, noCanary, split(0), direct), plan.NarrowService{Hash: stableHash}, phase, progressing, "hash-a"),
		works("NarrowsService", "the canary serves alone", given(baking, narrowed(stableHash)), plan.NarrowService{Hash: canaryHash}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("SetsWeight", "somebody took the share of a canary that is to be narrowed to", given(baking, split(50), narrowed(stableHash)), plan.SetSplit{Weight: 100}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("NarrowsService", "somebody took it away", given(step, direct, putBack(0)), plan.NarrowService{Hash: stableHash}, phase, progressing, `field manager "helm"`, "1 of 3 times"),
		works("NarrowsService", "somebody took it away for the third time", given(step, direct, putBack(2)), nil, phase, progressing, "3 times", "direct callers reach both versions"),
		works("StepPassed", "given up", given(step, direct, gaveUp), plan.ScaleCanary{Replicas: 2}, phase, progressing),
		works("NarrowsService", "no longer asked for", given(step, narrowed(stableHash), func(in *plan.Input) { in.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersAny }), plan.NarrowService{}, phase, progressing, "all of its pods"),
		works("SetsWeight", "stable has no pod to narrow to", given(stepAt(1), begun, split(10), direct, func(in *plan.Input) { in.Workload.Stable.Ready = 0 }), plan.SetSplit{Weight: 50}, phase, progressing),

		works("ScalesCanary", "no canary", given(step, begun, noCanary, split(0)), plan.ScaleCanary{Replicas: 1}, phase, progressing, "weight 10 % of 4 replicas needs canary pods: 1"),
		works("ScalesCanary", "the first wave", given(stepAt(1), large, begun, split(10), canaryPods(2)), plan.ScaleCanary{Replicas: 7}, phase, progressing, "needs canary pods: 10", "7 first"),
		works("AwaitsCanary", "the wave is not ready", given(stepAt(1), large, begun, split(10), canaryPods(7), canaryReady(2)), nil, phase, progressing, "2 of 10 ready"),
		works("ScalesCanary", "the next wave", given(stepAt(1), large, begun, split(10), canaryPods(7)), plan.ScaleCanary{Replicas: 10}, phase, progressing),
		works("ScalesCanary", "somebody made it smaller, and its pods are still counted", given(stepAt(1), begun, split(10), canaryPods(2), func(in *plan.Input) { in.Canary.Desired = 0 }), plan.ScaleCanary{Replicas: 1}, phase, progressing),
		works("ScalesCanary", "promotion, a wave of one", given(filling(2)), plan.ScaleCanary{Replicas: 3}, promotion, promotes, "3 first"),
		works("ScalesCanary", "in a bake, with the Deployment up", given(baking, scaled(8), active(stable(8))), plan.ScaleCanary{Replicas: 6}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("ScalesCanary", "in a bake, with the Deployment down", given(baking, scaled(2), active(stable(2))), plan.ScaleCanary{Replicas: 2}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("StepPassed", "never smaller in a step", given(stepAt(0), canaryPods(3)), nil, phase, progressing),
		works("ScalesCanary", "back from zero", given(step, begun, split(0), canaryPods(0)), plan.ScaleCanary{Replicas: 1}, phase, progressing),

		works("WithdrawsWave", "a pod of a promotion", given(filling(2), unreadyOf(3), wave(3, 10*time.Minute), noRoom), plan.ScaleCanary{Replicas: 2}, promotion, promotes, "1 of 3 canary pods", "within 10m0s", "no node has room", "next try is at 12:10:00Z"),
		works("WithdrawsWave", "no more than the present share needs", given(filling(1), unreadyOf(4), wave(4, time.Hour)), plan.ScaleCanary{Replicas: 2}, promotion, promotes),
		works("WithdrawsWave", "no pod that is ready, if not for minReadySeconds", given(filling(3), unreadyOf(4), wave(4, time.Hour), func(in *plan.Input) { in.Canary.Available = 2 }), plan.ScaleCanary{Replicas: 3}, promotion, promotes),
		works("WithdrawsWave", "recorded, and not done yet", given(filling(2), unreadyOf(3), wave(2, time.Hour), withdrawn(time.Minute)), plan.ScaleCanary{Replicas: 2}, promotion, promotes, "1 of 3"),
		works("WithdrawsWave", "recorded, and not done until the next try was due", given(filling(2), unreadyOf(3), wave(2, time.Hour), withdrawn(10*time.Minute)), plan.ScaleCanary{Replicas: 2}, promotion, promotes, "1 of 3", "next try is at 12:10:00Z"),
		works("AwaitsCanary", "the wave is withdrawn, and a pod is lost that the share does not need", given(stepAt(1), begun, split(10), canaryPods(2), scaled(8), active(stable(8)), unreadyOf(2), canaryReady(1), wave(2, time.Hour), withdrawn(time.Minute)), nil, phase, progressing),
		works("StepPassed", "a pod is lost beyond what the share needs", given(step, canaryPods(3), canaryReady(2), wave(3, time.Hour)), nil, phase, progressing),
		works("WithdrawsWave", "by the Deployment's own deadline", given(filling(2), unreadyOf(3), wave(3, time.Minute), func(in *plan.Input) { in.Workload.ProgressDeadline = time.Minute }), plan.ScaleCanary{Replicas: 2}, promotion, promotes),
		stalls("WithdrawsWave", "in a stage that takes too long", given(filling(2), unreadyOf(3), wave(3, time.Hour), promotedAt(longAgo)), plan.ScaleCanary{Replicas: 2}, promotion, v1alpha1.ReasonDeadlineExceeded),
		works("AwaitsCanary", "the wave has time left", given(filling(2), unreadyOf(3), wave(3, 10*time.Minute-time.Second)), nil, promotion, promotes, "2 of 4 ready"),
		works("AwaitsCanary", "nothing serves beside the wave", given(stepAt(1), large, begun, split(0), canaryPods(5), canaryReady(0), wave(5, time.Hour)), nil, phase, progressing),
		works("AwaitsCanary", "pods that the share has are lost", given(promoting, canaryReady(3), wave(4, time.Hour)), nil, promotion, promotes, "3 of 4 ready"),
		works("Paused", "the wave is stuck, but paused", given(filling(2), unreadyOf(3), wave(3, time.Hour), specPaused), nil, promotion, v1alpha1.ReasonPaused),
		works("AwaitsCanary", "the wave is withdrawn", given(filling(2), wave(3, time.Hour), withdrawn(time.Minute)), nil, promotion, promotes, "2 of 4 ready", "withdrawn at 11:59:00Z", "no node has room", "next try is at 12:09:00Z"),
		works("ScalesCanary", "the wave is withdrawn, and the present share needs more", given(filling(2), scaled(8), active(stable(8)), wave(3, time.Hour), withdrawn(time.Minute)), plan.ScaleCanary{Replicas: 4}, promotion, promotes),
		works("ScalesCanary", "a withdrawn wave again", given(filling(2), wave(3, time.Hour), withdrawn(10*time.Minute)), plan.ScaleCanary{Replicas: 3}, promotion, promotes, "3 first"),
		stalls("ScalesCanary", "a withdrawn wave again, in a stage that takes too long", given(filling(2), wave(3, time.Hour), withdrawn(10*time.Minute), promotedAt(longAgo)), plan.ScaleCanary{Replicas: 3}, promotion, v1alpha1.ReasonDeadlineExceeded),
		works("ScalesCanary", "the wave is withdrawn, and the canary is gone", given(filling(2), wave(3, time.Hour), withdrawn(time.Minute), noCanary, split(0)), plan.ScaleCanary{Replicas: 1}, promotion, promotes),

		works("AwaitsCanary", "not ready", given(step, begun, split(0), canaryReady(0), func(in *plan.Input) { in.Canary.Cause = "0 of 1 ready: ImagePullBackOff" }), nil, phase, progressing, "pods: 0 of 1 ready: ImagePullBackOff"),
		works("AwaitsCanary", "not ready, with a deadline that rolls back", given(step, begun, split(0), canaryReady(0), rollBackAtDeadline), nil, phase, progressing, "rolls back at 12:51:00Z unless"),
		works("AwaitsCanary", "ready, but not for minReadySeconds", given(step, begun, split(0), func(in *plan.Input) { in.Canary.Available = 0 }), nil, phase, progressing, "0 of 1 ready"),
		works("AwaitsCanary", "endpoints lag", given(step, begun, split(0), canaryEndpoints(0)), nil, phase, progressing, "endpoints of the canary: 0 of 1"),
		works("AwaitsCanary", "short at the end of the hold", given(stepAt(1), canaryReady(1)), nil, phase, progressing, "1 of 2 ready"),
		works("AwaitsCanary", "lost, its share taken", given(baking, canaryReady(0), split(0), fullAt(nil)), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("AwaitsCanary", "short of a full promotion", given(promoting, canaryReady(3)), nil, promotion, promotes, "3 of 4 ready"),
		stalls("AwaitsCanary", "never ready in time", given(step, begun, split(0), canaryReady(0), entered(longAgo)), nil, phase, v1alpha1.ReasonDeadlineExceeded),
		works("Paused", "not ready in time, but paused", given(step, begun, specPaused, split(0), canaryReady(0), entered(longAgo)), nil, phase, v1alpha1.ReasonPaused),

		works("SetsWeight", "canary ready", given(step, begun, split(0)), plan.SetSplit{Weight: 10}, phase, progressing, "weight 0 % to 10 %"),
		works("SetsWeight", "testers beside a weight", given(step, begun, stepsAsk("x-canary")), plan.SetSplit{Weight: 10, Testers: header("x-canary")}, phase, progressing, "weight 10 % to 10 % and testers (header x-canary: 1)"),
		works("SetsWeight", "testers alone", given(step, begun, split(0), stepsAsk("x-canary"), alone), plan.SetSplit{Testers: header("x-canary")}, phase, progressing, "weight 0 % to 0 % and testers (header x-canary: 1)"),
		works("SetsWeight", "other testers than before", given(stepAt(1), begun, stepsAsk("x-canary"), testersReach("x-first"), afterTesters("x-first")), plan.SetSplit{Weight: 50, Testers: header("x-canary")}, phase, progressing),
		works("SetsWeight", "testers of the step before are gone", given(stepAt(1), begun, split(10), testersReach("x-first"), afterTesters("x-first")), plan.SetSplit{Weight: 50}, phase, progressing, "weight 10 % and testers (header x-first: 1) to 50 %"),
		works("SetsWeight", "testers of the last step, in the promotion", given(promoting, split(50), stepsAsk("x-canary"), testersReach("x-canary")), plan.SetSplit{Weight: 100}, promotion, promotes),
		works("SetsWeight", "copies", given(step, begun, split(0), stepsMirror(10)), plan.SetSplit{Mirror: 10}, phase, progressing, "weight 0 % to 0 % and copies of 10 % of the requests"),
		works("SetsWeight", "copies of the step before are gone", given(stepAt(1), begun, split(0), mirrors(10), func(in *plan.Input) {
			in.Spec.Steps = slices.Clone(in.Spec.Steps)
			in.Spec.Steps[0].Weight, in.Spec.Steps[0].Mirror = 0, 10
		}), plan.SetSplit{Weight: 50}, phase, progressing, "weight 0 % and copies of 10 % of the requests to 50 %"),
		works("AwaitsRoute", "copies unacknowledged", given(step, begun, split(0), stepsMirror(10), mirrors(10), unacknowledged), nil, phase, progressing, "acknowledge weight 0 % and copies of 10 % of the requests"),
		works("ScalesCanary", "many copies need many pods", given(step, begun, split(0), stepsMirror(50)), plan.ScaleCanary{Replicas: 2}, phase, progressing, "copies of 50 % of the requests to 4 replicas need canary pods: 2"),
		works("AwaitsCanary", "copies wait for its pods", given(step, begun, split(0), stepsMirror(10), canaryReady(0)), nil, phase, progressing),
		works("StepAcknowledged", "copies", given(step, begun, split(0), stepsMirror(10), mirrors(10)), nil, phase, progressing, "acknowledged weight 0 % and copies of 10 % of the requests"),
		works("AwaitsRoute", "testers unacknowledged", given(step, begun, stepsAsk("x-canary"), testersReach("x-canary"), unacknowledged), nil, phase, progressing, "acknowledge weight 10 % and testers (header x-canary: 1)"),
		works("AwaitsCanary", "testers wait for its pods", given(step, begun, split(0), stepsAsk("x-canary"), alone, canaryReady(0)), nil, phase, progressing),
		works("StepAcknowledged", "testers", given(step, begun, split(0), stepsAsk("x-canary"), alone, testersReach("x-canary")), nil, phase, progressing, "acknowledged weight 0 % and testers (header x-canary: 1)"),
		stalls("RouteUnusable", "no room for the rules of testers", given(step, begun, split(0), stepsAsk("x-canary"), alone, func(in *plan.Input) {
			in.Route.Fault = plan.Fault{Reason: v1alpha1.ReasonServiceUnusable, Message: "it would have 18 rules"}
		}), nil, phase, v1alpha1.ReasonServiceUnusable, "18 rules"),
		works("SetsWeight", "canary full", given(promoting, split(50)), plan.SetSplit{Weight: 100}, promotion, promotes),
		works("SetsWeight", "shifted back in a bake", given(baking, split(0), fullAt(nil)), plan.SetSplit{Weight: 100}, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("LowersWeight", "canary ready, routes have different weights", given(promoting, mixed(100)), plan.SetSplit{}, promotion, promotes),
		works("AwaitsRoute", "unacknowledged", given(step, begun, unacknowledged), nil, phase, progressing, "acknowledge weight 10 %"),
		works("AwaitsRoute", "full, unacknowledged", given(promoting, unacknowledged), nil, promotion, promotes, "acknowledge weight 100 %"),
		stalls("AwaitsRoute", "never acknowledged in time", given(step, begun, unacknowledged, entered(longAgo)), nil, phase, v1alpha1.ReasonDeadlineExceeded),
	}
}

func judgementCases() []ruleCase {
	const progressing, holding, phase = v1alpha1.ReasonProgressing, v1alpha1.ReasonHolding, v1alpha1.PhaseStepping
	step, begun := stepAt(0), acknowledgedAt(nil)
	noTrigger := func(in *plan.Input) { in.Verdict = plan.Verdict{Outcome: v1alpha1.VerdictPass} }
	return []ruleCase{
		works("StepAcknowledged", "acknowledged", given(step, begun), nil, phase, progressing, "weight 10 %", "until 12:01:00Z"),
		works("StepHolds", "hold not over", given(step, acknowledgedAt(&justNow)), nil, phase, progressing, "10 % until 12:00:59Z", "2 of 2 triggers pass"),
		works("StepHolds", "there are no triggers", given(step, noTrigger, acknowledgedAt(&justNow)), nil, phase, progressing, "there are no triggers"),
		works("StepUndecided", "no answer", given(step, verdict(v1alpha1.VerdictError)), nil, phase, holding, "staying at 10 %", "Error (Because): 5 % errors"),
		works("StepUndecided", "not decisive", given(step, verdict(v1alpha1.VerdictInconclusive)), nil, phase, holding),
		works("StepUndecided", "no verdict at all", given(step, func(in *plan.Input) { in.Verdict = plan.Verdict{} }), nil, phase, holding, "no verdict yet"),
		stalls("StepUndecided", "no answer past the deadline", given(step, entered(longAgo), verdict(v1alpha1.VerdictError)), nil, phase, v1alpha1.ReasonDeadlineExceeded),
		works("StepPassed", "passed", given(step), plan.ScaleCanary{Replicas: 2}, phase, progressing, "step 1 of 2 (smoke) passed at 10 %"),
		works("WouldRollBack", "a trigger in mode Observe fires", given(step, observedFails), nil, phase, progressing,
			"shop/slow would have rolled back, but its mode is Observe: 9 % slow, at step 1 of 2 (smoke), weight 10 %; the run goes on, and to go back now abort it"),
		works("WouldRollBack", "another one fires", given(step, observedFails, noted("shop/errors")), nil, phase, progressing, "shop/slow"),
		works("WouldRollBack", "in a bake", given(baking, observedFails), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking),
		works("WouldRollBack", "past the deadline", given(step, observedFails, entered(longAgo), verdict(v1alpha1.VerdictError)), nil, phase, progressing),
		works("TriggerFired", "one that enforces fires too", given(step, observedFails, verdict(v1alpha1.VerdictFail)), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("StepPassed", "a trigger in mode Observe has fired", given(step, observedFails, noted("shop/slow")), plan.ScaleCanary{Replicas: 2}, phase, progressing,
			"2 of 2 triggers pass, observe only: 1; would have rolled back: shop/slow at step 1 of 2 (smoke), weight 10 %"),
		works("StepHolds", "no trigger enforces", given(step, noTrigger, observedFails, noted("shop/slow"), acknowledgedAt(&justNow)), nil, phase, progressing, "no trigger enforces, observe only: 1"),
		works("StepPassed", "no trigger enforces", given(step, noTrigger, observedFails, noted("shop/slow", "shop/b", "shop/c")), plan.ScaleCanary{Replicas: 2}, phase, progressing, ", and 1 more"),
		stalls("StepUndecided", "past the deadline, mode Observe", given(step, entered(longAgo), verdict(v1alpha1.VerdictError), rollBackAtDeadline, observeOnly), nil, phase, v1alpha1.ReasonDeadlineExceeded),
		works("StepPassed", "passed while the controller was down", given(step, entered(longAgo), acknowledgedAt(&longAgo), rollBackAtDeadline), plan.ScaleCanary{Replicas: 2}, phase, progressing),
		works("StepsPassed", "the last one passed", given(stepAt(1)), plan.ScaleCanary{Replicas: 3}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting, "the last one", "promoting"),
		works("StepsPassed", "the last one, of all requests", given(stepAt(1), lastStep(100), canaryPods(replicas), split(100)), nil, v1alpha1.PhaseBaking, v1alpha1.ReasonBaking, "the last one", "shop:b has weight 100 %; baking until 12:05:00Z"),
		works("StepsPassed", "natively", given(stepAt(1), nativeMode), nil, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver, "promotion.mode is Native"),
	}
}

func bakeCases() []ruleCase {
	const bakes, phase = v1alpha1.ReasonBaking, v1alpha1.PhaseBaking
	return []ruleCase{
		works("BakeStarts", "full and acknowledged", given(promoting), nil, phase, bakes, "shop:b has weight 100 %", "until 12:05:00Z", "shop:a at full size"),
		works("BakeStarts", "whatever the verdict", given(promoting, verdict(v1alpha1.VerdictError)), nil, phase, bakes),
		works("BakeRuns", "admission changed the canary", given(baking, fullAt(&justNow), func(in *plan.Input) { in.Canary.Changed = "a sidecar was added" }), nil, phase, bakes, "the promotion will be by the Deployment's own strategy", "a sidecar was added"),
		works("BakeStarts", "anew", given(baking, fullAt(nil)), nil, phase, bakes),
		works("BakeRuns", "not over", given(baking, fullAt(&justNow)), nil, phase, bakes, "until 12:04:59Z", "2 of 2 triggers pass"),
		works("BakeUndecided", "no answer", given(baking, verdict(v1alpha1.VerdictError)), nil, phase, v1alpha1.ReasonHolding, "the bake is over, and not every trigger passes"),
		stalls("BakeUndecided", "no answer past the deadline", given(baking, fullAt(&longAgo), verdict(v1alpha1.VerdictInconclusive)), nil, phase, v1alpha1.ReasonDeadlineExceeded),
		works("BakePassed", "passed", given(baking), plan.HandOver{Replicas: replicas}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver, "bake passed", "becomes the owner of the canary's ReplicaSet"),
		works("BakePassed", "sizes have not stood long enough", given(baking, sizeSince(&justNow)), nil, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),
		works("BakePassed", "passed while the controller was down", given(baking, fullAt(&longAgo), rollBackAtDeadline), plan.HandOver{Replicas: replicas}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),
	}
}
