package plan

import (
	"belay.dev/belay/api/v1alpha1"
)

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
	{"ReleaseTimedOut", releaseTimedOut, forceRelease},
	{"Released", released, dropFinalizer},
	{"DeletingTakesTrafficBack", deletingWithSplit, takeTrafficForDeletion},
	{"DeletingReleasesRoute", deletingWithRoute, releaseForDeletion},
	{"DeletingAtZero", deletingJustZero, noteZeroForDeletion},
	{"DeletingDrains", deletingDraining, drain},
	{"DeletingAwaitsWorkload", deletingWithoutOthers, waitForOthers},
	{"DeletingRemovesCanary", deletingWithCanary, removeCanary},
	{"Deleting", deleting, waitForRelease},

	// Without the Deployment there is nothing to protect or promote.
	{"WorkloadMissing", workloadMissing, stuckOnWorkload},
	// Before the first look there is no stable version to go back to.
	{"FinalizerMissing", finalizerMissing, addFinalizer},
	{"Adopting", notAdopted, adopt},

	// A command is answered once, before anything that can fail or wait.
	{"AbortRequested", abortRequested, abort},
	{"RetryRequested", retryRequested, retry},
	{"ActionRefused", actionPending, refuseAction},

	// Somebody with the right to do so let the Deployment roll unjudged.
	{"Bypassed", bypassed, followBypass},

	// Triggers, armed from the first canary request to the end of the bake.
	{"TriggerFired", triggerFired, rollBackOnTrigger},
	{"BlindTooLong", blindTooLong, rollBackOnTrigger},
	{"StepDeadlineExceeded", deadlineRollback, rollBackOnDeadline},

	// A rollback under way, in the order that keeps every request served.
	{"RollbackNeedsService", deploymentServesAlone, stuckOnRoute},
	{"RollbackReleasesFirst", deploymentServes, releaseRoute},
	{"RollbackAwaitsRelease", releaseUnacknowledged, waitForRelease},
	{"RollbackRestoresTemplate", restoreNeeded, restoreTemplate},
	{"RollbackAwaitsStable", stableNotBack, waitForStable},
	{"RollbackPointsServices", rollbackServicesOff, pointServices},
	{"RollbackAwaitsEndpoints", rollbackNoEndpoints, waitForEndpoints},
	{"RollbackTakesTraffic", rollbackSplitOff, takeTrafficBack},
	{"RollbackAwaitsRoute", rollbackUnacknowledged, waitForRoute},
	{"RollbackAtZero", rollbackJustZero, noteZero},
	{"RollbackDrains", rollbackDraining, drain},
	{"RollbackRemovesCanary", rollbackCanaryLeft, removeCanary},
	{"RollbackAwaitsService", rollbackServiceMissing, stuckOnRoute},
	{"RollbackReleasesRoute", rollbackRouteLeft, releaseRoute},
	{"RollbackUnpauses", rollbackLeftPaused, unpauseStable},
	{"RollbackAwaitsWorkload", rollbackUnsettled, waitForWorkload},
	{"RollbackDone", rollingBack, finishRollback},

	// Requests that nobody answers, and shares that no run explains.
	{"CanaryLost", canaryLost, takeFromLost},
	{"CanaryLostWhileRolling", canaryLostWhileRolling, releaseFromLost},
	{"LeftoverReleased", leftover, releaseLeftover},

	// The declared template changed under a candidate.
	{"Cancelled", cancelled, cancel},
	{"Superseded", superseded, supersede},
	{"Reverted", reverted, settleReverted},

	// A candidate that may not run.
	{"Rejected", rejectedAgain, rejectAgain},
	{"RolledBack", rolledBack, stayRolledBack},

	// A candidate that waits for its run.
	{"NewRevision", newRevision, gate},
	{"Unguarded", unguarded, stuckUnguarded},
	{"Stable", stable, stayStable},
	{"RunMissing", runMissing, createRun},
	{"Blocked", blocked, stuckBlocked},
	{"RouteUnusable", routeUnusable, stuckOnRoute},
	{"Paused", paused, stayPaused},
	{"StableNotReady", stableNotReady, waitForStableReady},
	{"PreflightHolds", preflightHolds, waitForPreflight},
	{"RunStarts", gating, startRun},

	// Promotion, in the order in which traffic never depends on a pod that goes.
	{"PromotionScalesCanary", promotionShort, scaleForPromotion},
	{"PromotionAwaitsCanary", promotionCanaryUnready, waitForCanary},
	{"PromotionAwaitsRoute", promotionUnacknowledged, waitForRoute},
	{"PromotionGivesAll", promotionNotFull, giveAll},
	{"PromotionAtFull", promotionJustFull, noteFull},
	{"PromotionDrainsStable", promotionDraining, drainStable},
	{"PromotionUnpauses", promotionPaused, unpauseCandidate},
	{"PromotionAwaitsWorkload", promotionUnsettled, waitForWorkload},
	{"PromotionPointsServices", promotionServicesOff, pointServicesAtNew},
	{"PromotionAwaitsEndpoints", promotionNoEndpoints, waitForEndpoints},
	{"PromotionShifts", promotionNotShifted, shiftToDeployment},
	{"PromotionShifted", promoting, startBake},

	// The bake: the new version serves from the Deployment, triggers armed.
	{"BakeTakesTraffic", bakeSplitOff, shiftAgain},
	{"BakeRuns", bakeNotOver, bakeOn},
	{"BakeUndecided", bakeUndecided, holdBake},
	{"BakeAwaitsRoute", bakeUnacknowledged, waitForRoute},
	{"BakeRemovesCanary", bakeCanaryLeft, removeCanary},
	{"BakeReleasesRoute", bakeRouteLeft, releaseRoute},
	{"Promoted", baking, finishPromotion},

	// A step: routes first at 0, then pods, then requests, then judgement.
	{"StepPointsServices", stepServicesOff, pointServices},
	{"StepLowersWeight", stepOverweight, lowerStepWeight},
	{"StepAwaitsStableEndpoints", stepNoStableEndpoints, waitForEndpoints},
	{"StepSplitsRoute", stepNotSplit, splitAtZero},
	{"StepAwaitsSplit", stepSplitUnacknowledged, waitForRoute},
	{"StepScalesCanary", stepShort, scaleForStep},
	{"StepAwaitsCanary", stepCanaryUnready, waitForCanary},
	{"StepSetsWeight", stepWeightOff, setStepWeight},
	{"StepAwaitsRoute", stepUnacknowledged, waitForRoute},
	{"StepAcknowledged", stepJustAcknowledged, noteAcknowledged},
	{"TriggerObserved", triggerObserved, holdObserved},
	{"StepHolds", stepHoldNotOver, holdStep},
	{"StepUndecided", stepUndecided, holdUndecided},
	{"StepPassed", stepHasNext, nextStep},
	{"StepsPassed", stepping, startPromotion},

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
