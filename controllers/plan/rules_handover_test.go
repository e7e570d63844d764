package plan_test

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func nativeCases() []ruleCase {
	const over, phase = v1alpha1.ReasonHandingOver, v1alpha1.PhaseHandingOver
	begun := takeOver(v1alpha1.TakeOverNative)
	unserved := takeOver(v1alpha1.TakeOverUnserved)
	fail := verdict(v1alpha1.VerdictFail)
	chosen := func(name string) change { return func(in *plan.Input) { in.Workload.Chosen = name } }
	changed := func(in *plan.Input) { in.Canary.Changed = "a sidecar was added" }
	newerHeld := all(declares(newerRevision), paused(true))
	deadline := all(handingSince(&longAgo), handedAt(&longAgo))
	return []ruleCase{
		works("NativeAwaitsRoute", "release unacknowledged", given(begun, unacknowledged), nil, phase, over, "acknowledge the routes to Service shop"),
		works("NativeAwaitsWorkload", "a bypass waits for no gateway", given(bypassing, unacknowledged), nil, phase, over),
		stalls("NativeTriggerFired", "rolling", given(native, fail), plan.Pause{}, phase, v1alpha1.ReasonTriggerFired, "declare shop:a again"),
		stalls("NativeTriggerFired", "stopped", given(native, paused(true), fail), nil, phase, v1alpha1.ReasonTriggerFired, "kubectl set image"),
		stalls("NativeTriggerFired", "stopped under the handover's lock", given(native, paused(true), locked, fail), plan.Unlock{}, phase, v1alpha1.ReasonTriggerFired),
		stalls("NativeTriggerFired", "in its bake", given(nativeAlone, fail), nil, phase, v1alpha1.ReasonTriggerFired, "to keep shop:b", "kubectl annotate deployment/shop"),
		stalls("NativeTriggerFired", "in its bake, and the bypass is an old one", given(nativeAlone, fail, byAnn, handledBypass("7: outage")), nil, phase, v1alpha1.ReasonTriggerFired),
		stalls("NativeTriggerFired", "in its bake, and nobody knows how old the bypass is", given(nativeAlone, fail, byAnn), nil, phase, v1alpha1.ReasonTriggerFired),
		stalls("NativeTriggerFired", "a bypass that left it paused", given(native, paused(true), fail, byAnn, handledBypass("")), nil, phase, v1alpha1.ReasonTriggerFired, "kubectl rollout resume deployment/shop"),
		works("WouldRollBack", "in a native promotion", given(native, observedFails), nil, phase, over, "shop/slow would have stopped the promotion, but its mode is Observe: 9 % slow, at native promotion"),
		works("NativeAwaitsWorkload", "a trigger in mode Observe, noted", given(native, observedFails, noted("shop/slow")), nil, phase, over),
		works("NativeAwaitsWorkload", "a bypass has no triggers", given(bypassing, fail), nil, phase, over),
		works("NativeReverted", "in the middle", given(native, declares(stableRevision), paused(true)), plan.Unpause{Revision: stableRevision}, phase, over),
		works("NativeReverted", "a bypass", given(bypassing, declares(stableRevision), paused(true)), plan.Unpause{Revision: stableRevision}, phase, over),
		works("NativeKeepsOneVersion", "the candidate has as many", given(bypassing, newerHeld), plan.TakeOut{Name: stableSet}, phase, over, "scaling shop:a to 0", "2 versions"),
		works("NativeKeepsOneVersion", "stable still has more", given(bypassing, active(stable(3), own(1)), newerHeld), plan.TakeOut{Name: ownSet}, phase, over),
		works("NativeKeepsOneVersion", "the candidate has none", given(bypassing, active(stable(3), unready(own(2))), newerHeld), plan.TakeOut{Name: ownSet}, phase, over),
		works("NativeKeepsOneVersion", "the candidate was found bad", given(native, active(stable(1), own(3)), fail, newerHeld), plan.TakeOut{Name: ownSet}, phase, over),
		works("NativeKeepsOneVersion", "the candidate's set is the older one", given(bypassing, active(own(3), stable(1)), newerHeld), plan.TakeOut{Name: stableSet}, phase, over),

		works("NativeHandsOver", "as it is", given(begun), plan.HandOver{Replicas: 2, Native: true}, phase, over, "2 of 4 pods"),
		works("NativeUnpauses", "admission changed the canary", given(begun, changed), plan.Unpause{Revision: candidateRevision}, phase, over, "own strategy"),
		works("NativeUnpauses", "another set would be chosen", given(begun, chosen(ownSet)), plan.Unpause{Revision: candidateRevision}, phase, over),
		works("NativeUnpauses", "handed over", given(native, paused(true)), plan.Unpause{Revision: candidateRevision}, phase, over),
		works("NativeUnpauses", "nothing serves", given(unserved, noCanary), plan.Unpause{Revision: candidateRevision}, phase, over),
		works("NativeUnpauses", "still locked", given(native, locked), plan.Unpause{Revision: candidateRevision}, phase, over),
		works("NativeAwaitsWorkload", "rolling", given(native), nil, phase, over, "2 of 4 pods available, versions running: 2"),
		works("NativeAwaitsWorkload", "a person paused the bypass", given(bypassing, paused(true)), nil, phase, over, "somebody paused it"),
		stalls("NativeAwaitsWorkload", "for hours", given(native, deadline), nil, phase, v1alpha1.ReasonDeadlineExceeded, "stepDeadline"),
		works("NativeAwaitsWorkload", "a bypass of what was handed over hours ago", given(native, handedAt(&longAgo), func(in *plan.Input) { in.Status.Promotion.Mode = v1alpha1.TakeOverBypass }), nil, phase, over),
		works("NativeAwaitsWorkload", "frozen, and only the canary serves", given(bypassing, canaryPods(2), active(unready(own(2))), newerHeld), nil, phase, over),
	}
}

func nativeEndCases() []ruleCase {
	const over, phase = v1alpha1.ReasonHandingOver, v1alpha1.PhaseHandingOver
	const stablePhase, settled = v1alpha1.PhaseStable, v1alpha1.ReasonStable
	fail := verdict(v1alpha1.VerdictFail)
	newerHeld := all(declares(newerRevision), paused(true))
	bypassed := all(bypassing, active(own(replicas)))
	longBake := func(in *plan.Input) {
		in.Spec.Promotion.Bake, in.Spec.StepDeadline = minutes(180), minutes(60)
		in.Status.Promotion.SettledAt, in.Status.Promotion.HandedAt = ptr(ago(2*time.Hour)), &longAgo
	}
	return []ruleCase{
		works("NativeAwaitsRelease", "a canary is left, and the gateway late", given(bypassed, canaryPods(2), unacknowledged), nil, phase, over, "acknowledge the routes to Service shop"),
		works("NativeSettled", "a canary is left", given(bypassed, canaryPods(2)), nil, phase, over, "removing what is left of the canary"),
		works("NativeDrains", "a canary is left", given(bypassed, canaryPods(2), settledAt(&justNow)), nil, phase, over, "until 12:00:04Z"),
		works("NativeDrains", "the canary of a run that was bypassed", given(bypassed, leftoverSet, settledAt(&justNow)), nil, phase, over),
		works("NativeRemovesCanary", "drained", given(bypassed, canaryPods(2), settledAt(&recently)), plan.RemoveCanary{}, phase, over),
		works("NativeRemovesCanary", "pods terminate", given(bypassed, terminating, settledAt(&recently)), nil, phase, over),
		works("NativeRemovesLeftover", "drained", given(bypassed, leftoverSet, settledAt(&recently)), plan.RemoveLeftover{Name: "shop-former"}, phase, over),
		works("NativeSettled", "runs alone", given(nativeAlone, settledAt(nil)), nil, phase, v1alpha1.ReasonBaking, "baking until 12:05:00Z"),
		works("NativeBakes", "not over", given(nativeAlone, settledAt(&justNow)), nil, phase, v1alpha1.ReasonBaking, "until 12:04:59Z"),
		works("NativeBakes", "not over for longer than stepDeadline", given(nativeAlone, longBake), nil, phase, v1alpha1.ReasonBaking),
		works("NativeBakes", "over, undecided", given(nativeAlone, verdict(v1alpha1.VerdictError)), nil, phase, v1alpha1.ReasonHolding, "not every trigger passes"),
		works("NativeDone", "native", given(nativeAlone), nil, stablePhase, settled, "promoted shop:b: because"),
		works("NativeDone", "bypassed", given(bypassed), nil, stablePhase, settled, "because"),
		works("NativeDone", "undone", given(nativeAlone, declares(stableRevision), active(stable(replicas)), fail), nil, stablePhase, settled, "back to shop:a: shop/errors: 5 % errors"),
		works("NativeDone", "undone without a trigger", given(nativeAlone, declares(stableRevision), active(stable(replicas))), nil, stablePhase, settled, "back at shop:a"),
		works("NativeDone", "a fix came before it was ready", given(takeOver(v1alpha1.TakeOverUnserved), noCanary, active(unready(own(replicas))), newerHeld), nil, stablePhase, settled, "shop:c was declared before shop:b was ready"),
		works("NativeDone", "at zero", given(bypassing, atZero), nil, stablePhase, settled),
		works("NativeDone", "at zero, and a newer one waits", given(bypassing, atZero, newerHeld), nil, stablePhase, settled),
	}
}

func handedCases() []ruleCase {
	const over, phase = v1alpha1.ReasonHandingOver, v1alpha1.PhaseHandingOver
	fail := verdict(v1alpha1.VerdictFail)
	unpaused := all(paused(false), func(in *plan.Input) { in.Workload.Lock = "" })
	newerHeld := all(declares(newerRevision), paused(true), func(in *plan.Input) { in.Workload.Lock = "" })
	spread := all(scaled(8), func(in *plan.Input) {
		in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 2)
	}, func(in *plan.Input) { active(stable(8), in.Canary.Set)(in) })
	unpause := plan.Unpause{Revision: candidateRevision, Unmark: true}
	unmark := plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop"}}
	return []ruleCase{
		works("HandoverSizeChanged", "scaled in the middle", given(handed, spread), plan.ReleaseRoute{}, phase, over, "scaled to 8 during the handover", "has 2").then(unpause),
		works("HandoverSizeChanged", "scaled in the middle, not recognised yet: it stays paused", given(handed, unrecognised, spread), plan.ReleaseRoute{}, phase, over, "unlocking the Deployment's template").then(plan.Unlock{}),
		works("HandoverSizeChanged", "somebody gave stable a share: its pods stay for it", given(handed, spread, split(50)), plan.ReleaseRoute{}, phase, over).then(plan.Unlock{}),
		works("HandoverSizeChanged", "direct callers are at stable: its pods stay for them", given(handed, spread, noSplit, narrowed(stableHash)), plan.NarrowService{}, phase, over).then(plan.Unlock{}),
		works("HandoverSizeChanged", "released", given(handed, spread, noSplit), unpause, phase, over),
		works("HandoverSizeChanged", "released to the narrowed Service", given(handed, spread, noSplit, narrowed(canaryHash)), plan.NarrowService{}, phase, over).then(unpause),
		works("HandoverSizeChanged", "the Service is gone", given(handed, spread, serviceGone), plan.Unpause{Revision: candidateRevision}, phase, over),
		works("HandoverSizeChanged", "Recreate", given(handed, spread, recreate), plan.ResizeHanded{Replicas: 8}, phase, over),
		works("HandoverAwaitsWorkload", "frozen by a newer one in the middle", given(handed, spread, noSplit, newerHeld), plan.TakeOut{Name: canarySet}, phase, over, "shop:c was declared"),
		works("HandoverAwaitsRecognition", "not yet", given(handed, unrecognised), nil, phase, over, canarySet),
		works("HandoverAwaitsRecognition", "a trigger fires", given(handed, unrecognised, fail), nil, phase, over, "declare shop:a again"),
		works("HandoverReleases", "recognised", given(handed), plan.ReleaseRoute{}, phase, over, "Service shop", "unpausing the Deployment").then(unpause),
		works("HandoverReleases", "never recognised", given(handed, unrecognised, later(time.Minute)), plan.ReleaseRoute{}, phase, over).then(plan.Unlock{}),
		works("HandoverUnpauses", "never recognised, released", given(handed, unrecognised, noSplit, later(time.Minute)), unpause, phase, over),
		works("HandoverUnpauses", "never recognised, and the routes cannot be released: it stays paused", given(handed, unrecognised, serviceGone, later(time.Minute)), plan.Unlock{}, phase, over, "stays paused until the routes are back", canarySet),
		works("HandoverReleases", "narrowed too", given(handed, narrowed(canaryHash)), plan.ReleaseRoute{}, phase, over).then(plan.NarrowService{}, unpause),
		works("HandoverReleases", "somebody has unpaused it", given(handed, unpaused), plan.ReleaseRoute{}, phase, over),
		works("HandoverReleases", "narrowed to the set that went, whose Service has to go first", given(handed, unpaused, stableReady(0), narrowed(stableHash)), plan.NarrowService{}, phase, over),
		works("HandoverUnpauses", "although the routes cannot be released", given(handed, serviceGone), plan.Unpause{Revision: candidateRevision}, phase, over),
		works("HandoverReleaseBlocked", "no such port", given(handed, unpaused, portRenamed), nil, phase, over, `no port "web"`),
		stalls("HandoverReleaseBlocked", "no Service", given(handed, unpaused, serviceGone), nil, phase, v1alpha1.ReasonServiceNotFound),
		works("HandoverReleases", "the routes are back", given(handed, noSplit, narrowed(canaryHash)), plan.NarrowService{}, phase, over).then(unpause),
		works("HandoverUnpauses", "released", given(handed, noSplit), unpause, phase, over, "nothing left to roll"),
		works("HandoverUnpauses", "unpaused by somebody, still locked", given(handed, noSplit, paused(false)), unpause, phase, over),
		works("HandoverAwaitsRoute", "unacknowledged", given(handed, noSplit, unpaused, unacknowledged), nil, phase, over, "acknowledge the routes to Service shop"),
		works("HandoverAwaitsWorkload", "stable's pods go", given(handed, noSplit, unpaused), nil, phase, over, "versions running: 2"),
		works("HandoverAwaitsWorkload", "a pod is not available", given(handedAlone, func(in *plan.Input) { in.Workload.Active[0].Available = 3 }), nil, phase, over, "3 of 4 pods available"),
		works("HandoverAwaitsWorkload", "a newer one froze it", given(handed, noSplit, newerHeld), plan.TakeOut{Name: stableSet}, phase, over),
		works("Promoted", "alone", given(handedAlone), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable, "promoted shop:b").then(unmark),
		works("Promoted", "a trigger fired too late", given(handedAlone, fail), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable, "declare shop:a again").then(unmark),
		works("Promoted", "a newer one waits", given(handedAlone, declares(newerRevision)), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable).then(unmark),
		works("Promoted", "at zero", given(handedAlone, scaled(0), canaryPods(0), func(in *plan.Input) { in.Canary.Handed = true }, active()), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable).then(unmark),
		works("Promoted", "the set that stayed is stable's", given(handedAlone, declares(newerRevision), active(stable(replicas))), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable, "back at shop:a"),
	}
}

func handoverCases() []ruleCase {
	const over, phase = v1alpha1.ReasonHandingOver, v1alpha1.PhaseHandingOver
	chosen := func(name string) change { return func(in *plan.Input) { in.Workload.Chosen = name } }
	changed := func(in *plan.Input) { in.Canary.Changed = "a sidecar was added" }
	larger := all(scaled(8), active(stable(8)))
	unobserved := func(in *plan.Input) { in.Workload.Observed = false }
	beside := active(stable(replicas), newer(1))
	noSize := all(sizeSince(nil), func(in *plan.Input) { in.Status.Promotion.Size = nil })
	late := all(handingSince(&longAgo), stableReady(3))
	return []ruleCase{
		works("HandoverImpossible", "admission changed the canary", given(handingOver, changed), nil, phase, over, "promoting by the Deployment's own strategy", "a sidecar was added"),
		works("HandoverImpossible", "an older set is equal", given(handingOver, chosen("shop-old")), nil, phase, over, "shop-old"),
		works("HandoverImpossible", "no set is equal", given(handingOver, chosen("")), nil, phase, over, canarySet),
		works("HandoverImpossible", "never at rest", given(handingOver, late), nil, phase, over, "were not both at 4 available pods for 15s", "stepDeadline 1h0m0s"),
		works("HandoverAwaitsSteadySize", "at rest since a moment, after hours of an undecided bake", given(handingOver, fullAt(&longAgo), sizeSince(&justNow)), nil, phase, over),
		works("HandoverUnlocks", "no longer at rest", given(handingOver, locked, stableReady(3)), plan.Unlock{}, phase, over, "unlocking the Deployment's template meanwhile"),
		works("HandoverUnlocks", "scaled to 0", given(handingOver, locked, atZero), plan.Unlock{}, phase, over),
		works("HandoverUnlocks", "not every trigger passes", given(handingOver, locked, verdict(v1alpha1.VerdictError)), plan.Unlock{}, phase, over),
		works("HandoverUnlocks", "paused", given(handingOver, locked, specPaused), plan.Unlock{}, phase, over),
		works("HandoverUnlocks", "the Deployment would choose another set", given(handingOver, locked, chosen("shop-old")), plan.Unlock{}, phase, over),
		works("HandsOver", "interrupted after the lock", given(handingOver, locked, handedAt(&justNow)), plan.HandOver{Replicas: replicas}, phase, over),
		works("HandoverFollowsSize", "scaled up, the first wave", given(handingOver, larger), plan.ScaleCanary{Replicas: 6}, phase, over, "the Deployment has 8 replicas"),
		works("HandoverFollowsSize", "scaled down", given(handingOver, scaled(2), active(stable(2))), plan.ScaleCanary{Replicas: 2}, phase, over),
		works("HandoverSetsWeight", "somebody gave stable a share", given(handingOver, split(50)), plan.SetSplit{Weight: 100}, phase, over, "set the canary's weight to 50 %"),
		works("HandoverSetsWeight", "somebody took the split away", given(handingOver, noSplit), plan.SetSplit{Weight: 100}, phase, over, "back at Service shop"),
		works("RepairsServices", "somebody took the split and the pair away", given(handingOver, noSplit, pairOff), plan.PointServices{}, phase, over),
		works("HandoverAwaitsSteadySize", "the pair is not there, and cannot be", given(handingOver, split(50), pairOff, func(in *plan.Input) { in.Workload.Stable = plan.Set{} }), nil, phase, over),
		works("HandoverSetsWeight", "routes have different weights", given(handingOver, mixed(100)), plan.SetSplit{Weight: 100}, phase, over),
		works("HandoverAwaitsSteadySize", "somebody gave stable a share, canary short", given(handingOver, split(50), canaryEndpoints(3)), nil, phase, over, "3 of 4 reachable", "3"),
		works("HandoverAwaitsSteadySize", "not for long enough", given(handingOver, sizeSince(&justNow)), nil, phase, over, "since 11:59:59Z", "at 12:00:14Z"),
		works("HandoverAwaitsSteadySize", "at rest for the first time", given(handingOver, noSize), nil, phase, over, "had 4 pods each"),
		works("HandoverAwaitsSteadySize", "a stable pod short", given(handingOver, stableReady(3)), nil, phase, over, "stable has 3, canary 4"),
		works("HandoverAwaitsSteadySize", "a canary pod short", given(handingOver, canaryReady(3)), nil, phase, over, "stable has 4, canary 3"),
		works("HandoverAwaitsSteadySize", "not observed by the Deployment controller", given(handingOver, unobserved), nil, phase, over),
		works("HandoverAwaitsSteadySize", "another set has pods", given(handingOver, beside, func(in *plan.Input) { in.Workload.Active = append(in.Workload.Active[:1:1], in.Workload.Active[1]) }), nil, phase, over),
		works("HandoverAwaitsSteadySize", "unacknowledged", given(handingOver, unacknowledged), nil, phase, over, "weight 100 %"),
		works("HandoverUndecided", "no answer", given(handingOver, verdict(v1alpha1.VerdictError)), nil, phase, v1alpha1.ReasonHolding, "not every trigger passes", "is Error"),
		works("WouldRollBack", "before the owner changes", given(handingOver, observedFails), nil, phase, over, "shop/slow would have rolled back"),
		works("HandsOver", "a trigger in mode Observe, noted", given(handingOver, observedFails, noted("shop/slow")), plan.HandOver{Replicas: replicas}, phase, over),
		works("HandoverReleasesNarrowed", "directCallers Stable", given(handingOver, narrowed(canaryHash)), plan.ReleaseRoute{}, phase, over),
		works("HandsOver", "released to the narrowed Service", given(handingOver, narrowed(canaryHash), noSplit), plan.HandOver{Replicas: replicas}, phase, over),
		works("HandsOver", "all is well", given(handingOver), plan.HandOver{Replicas: replicas}, phase, over, canarySet, "4 pods"),
	}
}
