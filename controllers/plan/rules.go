package plan

import (
	"belay.dev/belay/api/v1alpha1"
)

// Version of the rules. A run that another version started is ended safely, not
// continued.
const Version = 2

// rule is one row: when it matches, decide says what to do.
type rule struct {
	name    string
	matches func(*facts) bool
	decide  func(*facts) Decision
}

// Decide returns the decision of the first rule that matches. It is total: the
// last rule always does.
func Decide(in Input) Decision {
	f := newFacts(in)
	for _, r := range rules {
		if r.matches(f) {
			d := r.decide(f)
			d.Rule = r.name
			return f.finish(d)
		}
	}
	panic("unreachable: the last rule matches everything")
}

// Rules lists the rule names in order of precedence, for documentation and
// tests.
func Rules() []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.name
	}
	return names
}

// rules in order of safety: what must work when everything else is broken comes
// first; what gives the candidate more comes last; Hold ends the table.
var rules = []rule{
	// Deletion: the user's Service and Deployment keep serving, whatever the state.
	{"ReleaseTimedOut", releaseTimedOut, releaseForDeletion},
	{"DeletingReleasesHanded", deletingHandedSplit, releaseForDeletion},
	{"DeletingUnpausesHanded", deletingHandedPaused, unpauseHanded},
	{"DeletingUnpauses", deletingReverted, unpauseStable},
	{"Released", released, leave},
	{"DeletingFences", deletingUnfenced, fenceCanary},
	{"DeletingTakesTrafficBack", deletingWithSplit, takeTrafficForDeletion},
	{"DeletingWidensService", deletingNarrowed, widenService},
	{"DeletingReleasesRoute", deletingWithRoute, releaseForDeletion},
	{"DeletingAtZero", deletingJustZero, noteZeroForDeletion},
	{"DeletingDrains", deletingDraining, drain},
	{"DeletingAwaitsWorkload", deletingWithoutOthers, waitForOthers},
	{"DeletingRemovesCanary", deletingWithCanary, removeCanary},
	{"Deleting", deleting, waitForRelease},

	// Without the Deployment there is nothing to protect or promote.
	{"WorkloadMissingReleases", workloadMissingLost, releaseForMissing},
	{"WorkloadMissing", workloadMissing, stuckOnWorkload},
	// Before the first look there is no stable version to go back to.
	{"FinalizerMissing", finalizerMissing, addFinalizer},
	{"Adopting", notAdopted, adopt},

	// A command is answered once, before anything that can fail or wait.
	{"AbortRequested", abortRequested, abort},
	{"RetryRequested", retryRequested, retry},
	{"ActionRefused", actionPending, refuseAction},

	// An earlier version of Belay started the run, by other rules: it may have let
	// the Deployment roll itself.
	{"FormerRun", formerRun, endFormerRun},
	// Somebody with the right to do so let the Deployment roll unjudged.
	{"Bypassed", bypassed, followBypass},

	// Triggers, armed from the first canary request to the change of the owner.
	{"TriggerFired", triggerFired, rollBackOnTrigger},
	{"BlindTooLong", blindTooLong, rollBackOnTrigger},
	{"StepDeadlineExceeded", deadlineRollback, rollBackOnDeadline},

	// A rollback under way: weights first, in the order that keeps every request
	// served.
	{"TakesCanaryBack", adopted, takeCanaryBack},
	{"RollbackFences", rollbackUnfenced, fenceCanary},
	{"RollbackOvertaken", rollbackOvertaken, goOnHandingOver},
	{"RollbackTakesTraffic", rollbackSplitOff, takeTrafficBack},
	{"RollbackPointsServices", rollbackServicesOff, pointServices},
	{"UnlocksDeployment", lockLeft, unlock},
	{"HandoverUnlocks", handoverLockedEarly, unlockForNow},

	// Somebody else than stable has pods while the Deployment is held.
	{"WrongVersionServes", wrongVersion, takeOutWrongVersion},
	{"RaisesStable", stableMissing, raiseStable},
	// Requests that nobody answers, and shares that no run explains.
	{"CanaryLost", canaryLost, takeFromLost},
	{"StableLostWidens", stableLostNarrowed, widenService},
	{"StableLost", stableLost, releaseFromLost},
	{"LowersWeight", overweight, lowerWeight},
	{"RepairsServices", servicesBroken, pointServices},
	// A Deployment that replaces its pods by itself serves behind its own Service,
	// also while no label or record can be written.
	{"NativeWidensFirst", nativeNarrowedOff, widenService},
	{"NativeReleaseBlocked", nativeReleaseBlocked, waitForService},
	{"NativeReleases", nativeSplit, releaseForNative},
	{"NativeWidensService", nativeNarrowed, widenService},
	{"LeftoverReleased", leftover, releaseLeftover},
	{"LeftoverWidened", leftoverNarrowed, widenService},

	{"RollbackAwaitsStable", rollbackNoStable, waitForStable},
	{"RollbackAwaitsRoute", rollbackUnacknowledged, waitForRoute},
	{"RollbackNarrowsService", rollbackNarrowOff, narrowBack},
	{"RollbackAtZero", rollbackJustZero, noteZero},
	{"RollbackDrains", rollbackDraining, drain},
	{"RollbackRemovesCanary", rollbackCanaryLeft, removeCanary},
	{"RollbackAwaitsService", rollbackReleaseBlocked, waitForService},
	{"RollbackReleasesRoute", rollbackRouteLeft, releaseRoute},
	{"RollbackWidensService", rollbackNarrowed, widenService},
	{"RollbackUnpauses", rollbackLeftPaused, unpauseStable},
	{"RollbackDone", rollingBack, finishRollback},

	// The declared template changed under a candidate.
	{"Cancelled", cancelled, cancel},
	{"Superseded", superseded, supersede},
	{"Reverted", reverted, settleReverted},

	// A candidate that may not run.
	{"Rejected", rejectedAgain, rejectAgain},
	// The decision that began a run is in no record before the run exists.
	{"RunMissing", runMissing, createRun},
	{"MarksWorkload", marksOff, markWorkload},
	{"LeftoverRemoved", idleLeftover, removeLeftover},
	{"RolledBack", rolledBack, stayRolledBack},

	// A candidate that waits for its run.
	{"NewRevision", newRevision, gate},
	{"Unserved", unserved, rollUnserved},
	{"Unguarded", unguarded, stuckUnguarded},
	{"Stable", stable, stayStable},
	{"Blocked", blocked, stuckBlocked},
	{"RouteUnusable", routeUnusable, stuckOnRoute},
	{"Paused", paused, stayPaused},
	{"EmptiesCanary", scaledToZero, emptyCanary},
	{"ScaledToZero", atZeroReplicas, waitForReplicas},
	{"StableNotReady", stableNotReady, waitForStableReady},
	{"RevertStarts", fastRevert, startRevert},
	{"PreflightHolds", preflightHolds, waitForPreflight},
	{"RunStarts", gating, startRun},

	// The Deployment takes the candidate over: by its own strategy.
	{"NativeAwaitsRoute", nativeUnacknowledged, waitForRoute},
	{"NativeTriggerFired", nativeFired, stopNative},
	{"NativeReverted", nativeReverted, unpauseStable},
	{"NativeThaws", nativeFrozen, thawNative},
	{"NativeHandsOver", nativeCanary, handOverNative},
	{"NativeUnpauses", nativePaused, unpauseCandidate},
	{"NativeRunMissing", nativeRunMissing, createRun},
	{"NativeAwaitsWorkload", nativeUnsettled, waitForWorkload},
	{"NativeAwaitsRelease", nativeUnreleased, waitForRoute},
	{"NativeSettled", nativeJustSettled, noteSettled},
	{"NativeDrains", nativeDraining, drainNative},
	{"NativeRemovesCanary", nativeCanaryLeft, removeCanary},
	{"NativeRemovesLeftover", nativeLeftover, removeLeftover},
	{"NativeBakes", nativeBaking, holdNative},
	{"NativeDone", native, finishNative},

	// The Deployment takes the candidate over: its ReplicaSet, as it serves.
	{"HandoverSizeChanged", handedSizeOff, adaptHanded},
	{"HandoverAwaitsRecognition", handedUnrecognised, waitForRecognition},
	{"HandoverWidensFirst", handedNarrowedOff, widenService},
	{"HandoverReleasesRoute", handedReleasable, releaseRoute},
	{"HandoverWidensService", handedNarrowed, widenService},
	{"HandoverUnpauses", handedPaused, unpauseHanded},
	{"HandoverReleaseBlocked", handedReleaseBlocked, waitForService},
	{"HandoverAwaitsRoute", handedUnacknowledged, waitForRoute},
	{"HandoverAwaitsWorkload", handedUnsettled, waitForWorkload},
	{"Promoted", handed, finishPromotion},
	{"HandoverImpossible", handoverImpossible, promoteNatively},
	{"HandoverFollowsSize", handoverSizeOff, followSize},
	{"HandoverSetsWeight", handoverShareDue, giveAllAgain},
	{"HandoverAwaitsCalm", handoverUncalm, waitForCalm},
	{"HandoverUndecided", handoverUndecided, holdHandover},
	{"HandoverReleasesNarrowed", handoverSplitNarrowed, releaseRoute},
	{"HandsOver", handingOver, handOver},

	// The trial: routes first at 0, then pods, then requests.
	{"PointsServices", trialServicesOff, pointServices},
	{"AwaitsStableEndpoints", noStableEndpoints, waitForEndpoints},
	{"SplitsRoute", notSplit, splitAtZero},
	{"AwaitsSplit", splitUnacknowledged, waitForRoute},
	{"NarrowsService", narrowOff, narrow},
	{"ScalesCanary", sizeOff, scaleCanary},
	{"AwaitsCanary", canaryUnready, waitForCanary},
	{"SetsWeight", weightOff, setTargetWeight},
	{"AwaitsRoute", unacknowledged, waitForRoute},

	// Then judgement.
	{"StepAcknowledged", stepJustAcknowledged, noteAcknowledged},
	{"TriggerObserved", triggerObserved, holdObserved},
	{"StepHolds", stepHoldNotOver, holdStep},
	{"StepUndecided", stepUndecided, holdUndecided},
	{"StepPassed", stepHasNext, nextStep},
	{"StepsPassed", stepping, startPromotion},
	{"BakeStarts", justFull, startBake},
	{"BakeRuns", bakeNotOver, bakeOn},
	{"BakeUndecided", bakeUndecided, holdBake},
	{"BakePassed", baking, startHandover},

	// Nothing matched: keep everything as it is.
	{"Hold", always, hold},
}

func always(*facts) bool { return true }

func (f *facts) inPhase(phases ...v1alpha1.Phase) bool {
	for _, p := range phases {
		if f.in.Status.Phase == p {
			return true
		}
	}
	return false
}
