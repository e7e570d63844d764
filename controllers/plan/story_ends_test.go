package plan_test

import (
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func TestASupersededRunEndsByWeightsAndTheNextBegins(t *testing.T) {
	newWorld(t).toFull().goes("BakeStarts").happens(declares(newerRevision)).
		goes("Superseded", "RollbackTakesTraffic", "+ack", "RollbackAtZero", "+5s", "RollbackRemovesCanary", "RollbackReleasesRoute", "RollbackDone",
			"MarksWorkload", "NewRevision", "RunStarts").
		ends(v1alpha1.PhaseStepping, stableRevision, v1alpha1.OutcomeSuperseded)
}

func TestACancelledRunLeavesStableUnpaused(t *testing.T) {
	newWorld(t).toFull().goes("BakeStarts").happens(declares(stableRevision), paused(true)).
		goes("Cancelled", "RollbackTakesTraffic", "+ack", "RollbackAtZero", "+5s", "RollbackRemovesCanary", "RollbackReleasesRoute", "RollbackUnpauses", "RollbackDone",
			"MarksWorkload", "Stable").
		ends(v1alpha1.PhaseStable, stableRevision, v1alpha1.OutcomeCancelled)
}

func TestAPromotedVersionGivesWayAtOnce(t *testing.T) {
	w := newWorld(t).toHandover().goes("HandsOver").happens(recognised).goes("HandoverReleasesRoute", "HandoverUnpauses", "+ack").happens(rolled).goes("Promoted", "MarksWorkload")
	// The former version is declared again. The set that was handed over is now the
	// stable one.
	w.happens(func(in *plan.Input) {
		in.Workload.Stable, in.Canary = in.Canary.Set, plan.Canary{}
		in.Workload.Declared, in.Workload.Paused = revision(stableRevision), true
	}).goes("NewRevision", "RevertStarts", "MarksWorkload")
	if p := w.in.Status; p.Phase != v1alpha1.PhasePromoting || !p.Promotion.Fast || p.Epoch < 2 || p.Run == run {
		t.Errorf("the revert is %+v in epoch %d", p.Promotion, p.Epoch)
	}
}

func TestANativePromotionStopsWhenATriggerFires(t *testing.T) {
	w := newWorld(t).happens(nativeMode, declares(candidateRevision)).goes("NewRevision", "RunStarts", "+pass", "MarksWorkload",
		"SplitsRoute", "+ack", "ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepPassed",
		"ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepsPassed",
		"NativeReleases", "NativeAwaitsRoute", "+ack", "NativeHandsOver", "NativeUnpauses", "NativeAwaitsWorkload")
	w.goes("+fail", "NativeTriggerFired", "NativeTriggerFired")
	w.happens(declares(stableRevision), paused(true)).goes("NativeReverted", "NativeAwaitsWorkload").
		happens(func(in *plan.Input) { in.Canary.Set = set(canarySet, candidateRevision, canaryHash, 0) }, active(stable(replicas))).
		goes("NativeDone", "MarksWorkload", "Stable").
		ends(v1alpha1.PhaseStable, stableRevision, v1alpha1.OutcomeRolledBack)
	if w.in.Status.IsRejected(candidateRevision) == nil {
		t.Error("the version that a trigger stopped is not rejected")
	}
}

func TestABypassInAStepKeepsTheCanaryUntilOthersServe(t *testing.T) {
	w := newWorld(t, stepAt(1)).happens(paused(false)).goes("Bypassed", "NativeReleases", "NativeAwaitsWorkload").
		happens(active(own(replicas))).goes("NativeAwaitsRelease", "+ack", "NativeSettled", "NativeDrains", "+5s", "NativeRemovesCanary", "NativeDone")
	w.ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomeBypassed)
}

func TestABypassOfAnotherVersionInABakeEndsTheRun(t *testing.T) {
	w := newWorld(t, baking).happens(declares(newerRevision), paused(false)).goes("Bypassed", "NativeReleases")
	// The canary belongs to the run that has ended.
	w.happens(func(in *plan.Input) { in.Canary = plan.Canary{Leftover: canarySet} }, active(newer(replicas))).
		goes("MarksWorkload", "NativeAwaitsRelease", "+ack", "NativeSettled", "+5s", "NativeRemovesLeftover").
		happens(func(in *plan.Input) { in.Canary.Leftover = "" }).goes("NativeDone").
		ends(v1alpha1.PhaseStable, newerRevision, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeBypassed)
}

func TestAFixGoesOutWhenNothingServes(t *testing.T) {
	newWorld(t, stableReady(0), unavailableFor(0)).happens(declares(candidateRevision)).
		goes("NewRevision", "StableNotReady", "+1m", "Unserved", "MarksWorkload", "NativeUnpauses", "NativeAwaitsWorkload").
		happens(active(own(replicas))).goes("NativeDone").
		ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
}

func TestAFixOfAVersionThatNeverServed(t *testing.T) {
	w := newWorld(t, bypassing).happens(active(stable(1), unready(own(3))), declares(newerRevision))
	w.goes("NativeKeepsOneVersion").happens(active(stable(replicas))).goes("NativeDone", "MarksWorkload", "NewRevision", "RunStarts").
		ends(v1alpha1.PhaseStepping, stableRevision, v1alpha1.OutcomeCancelled)
	w = newWorld(t, bypassing).happens(active(unready(stable(1)), unready(own(3))), declares(newerRevision))
	w.goes("NativeKeepsOneVersion", "NativeDone").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomeBypassed)
}

func TestAHeldDeploymentComesBackFromZeroWithTheWrongVersion(t *testing.T) {
	w := newWorld(t, rolledBack).happens(active(newer(replicas)))
	w.goes("RaisesStable", "WrongVersionServes", "RolledBack")
	if sets := w.in.Workload.Active; len(sets) != 1 || sets[0].Revision != stableRevision {
		t.Errorf("what is left is %+v", sets)
	}
}

func TestADeletionInABakeGoesByWeights(t *testing.T) {
	w := newWorld(t, baking).happens(deleted(0)).
		goes("DeletingTakesTrafficBack", "Deleting", "+ack", "DeletingAtZero", "DeletingDrains", "+5s", "DeletingRemovesCanary", "DeletingReleasesRoute", "Deleting", "+ack", "Released")
	w.ends(v1alpha1.PhaseBaking, stableRevision, v1alpha1.OutcomeCancelled)
}

func TestADeletionWhileTheDeploymentTakesOver(t *testing.T) {
	newWorld(t, handed).happens(deleted(0)).goes("DeletingReleasesHanded", "DeletingUnpausesHanded", "Deleting", "+ack", "Released").
		ends(v1alpha1.PhaseHandingOver, stableRevision, v1alpha1.OutcomeCancelled)
}

func TestAScaleToZeroAndBackGoesOn(t *testing.T) {
	newWorld(t, stepAt(0)).happens(atZero).goes("EmptiesCanary", "ScaledToZero").
		happens(scaled(replicas), active(stable(replicas))).
		goes("CanaryLost", "AwaitsSplit", "+ack", "ScalesCanary", "SetsWeight", "+ack", "StepAcknowledged", "+1m", "StepPassed")
}
