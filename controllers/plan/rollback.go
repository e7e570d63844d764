package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// rollbackTrafficTable applies in RollingBack. It comes before every repair and
// every wait: the weight goes to 0 as soon as no handover can succeed any more
// and stable has an endpoint.
var rollbackTrafficTable = table{
	name:    "Rollback: traffic",
	about:   "RollingBack, by weights alone: the stable pods have been there all the time.",
	applies: ofDeployment(rollingBack),
	rules: []rule{
		{"RollbackFences", handoverInFlight, fenceCanary},
		{"RollbackOvertaken", canaryHanded, continueHandover},
		{"RollbackAwaitsSize", stableShortForNow, waitForSize},
		{"RollbackTakesTraffic", rollbackCanaryWeighted, takeWeightBack},
		{"RollbackPointsServices", rollbackPairOutdated, pointServicesBack},
		{"RollbackReleasesFormer", formerPairUnseen, releaseFormerPair},
	},
}

// rollbackRestTable applies in RollingBack; its last row always matches. It comes
// after the table about requests without an answer, and removes something only
// when all requests are served without it.
var rollbackRestTable = table{
	name:    "Rollback: removing the canary",
	about:   "RollingBack, in the order that keeps every request served.",
	applies: ofDeployment(rollingBack),
	rules: []rule{
		{"RollbackAwaitsStable", onlyCanaryServes, waitForStable},
		{"RollbackNarrowsService", rollbackNarrowedElsewhere, narrowBack},
		{"RollbackAwaitsRoute", zeroUnacknowledged, waitForRoute},
		{"RollbackAwaitsPods", canaryPodsLeft, waitForPods},
		{"RollbackAtZero", zeroJustAcknowledged, noteZero},
		{"RollbackDrains", canaryDraining, drain},
		{"RollbackRemovesCanary", canaryLeft, removeCanary},
		{"RollbackUnpauses", pausedAtStable, unpauseStable},
		{"RollbackAwaitsService", routesBlocked, waitForService},
		{"RollbackReleasesRoute", routesSplit, releaseRoute},
		{"RollbackWidensService", narrowed, widenService},
		{"RollbackAwaitsRelease", unacknowledged, waitForRelease},
		{"RollbackDone", always, finishRollback},
	},
}

// beginRollback records the intent; the rows for RollingBack carry it out.
func (f *facts) beginRollback(outcome v1alpha1.Outcome, trigger, why string) Decision {
	d := f.reconciling(v1alpha1.ReasonRollingBack, why)
	d.Key = string(outcome) + "/" + trigger
	d.Status.Phase = v1alpha1.PhaseRollingBack
	d.Status.Epoch++
	d.Status.Rollback = &v1alpha1.RollbackStatus{
		Outcome: outcome, Trigger: v1alpha1.Bounded(trigger, 256), Message: v1alpha1.Bounded(why, 1024), StartedAt: f.began(),
	}
	// Go on at once: the next decision sets the weight to 0.
	d.Recheck = 1
	return d
}

// began is the present time rounded down: what is said to have been done within
// some time of it never took longer.
func (f *facts) began() metav1.Time { return metav1.NewTime(f.in.Now.Truncate(time.Second)) }

func (f *facts) rollback() v1alpha1.RollbackStatus {
	if f.in.Status.Rollback == nil {
		return v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, StartedAt: f.now()}
	}
	return *f.in.Status.Rollback
}

// handoverInFlight holds while a handover that was decided may still succeed,
// for example by an older instance of the controller. A new epoch on the canary
// changes its resourceVersion, so that such a write fails.
func handoverInFlight(f *facts) bool {
	c := f.in.Canary
	return f.promotion().HandedAt != nil && c.Exists && !c.Handed && c.Epoch != f.in.Status.Epoch
}

// fenceCanary takes the requests along, so that a refused write of the canary does not keep
// them at it; a conflict on the fence, which means that the handover came first, does.
func fenceCanary(f *facts) Decision {
	fence := FenceCanary{f.in.Status.Epoch}
	why := "cancelling a handover that may still be under way, so that it cannot change the owner of the canary's ReplicaSet any more"
	d := f.doing(f.phaseReason(), why, fence)
	weighted := rollingBack(f) && rollbackCanaryWeighted(f) && !stableShortForNow(f) || deleting(f) && deletingCanaryWeighted(f)
	if weighted {
		d = f.takeRequests(f.phaseReason(), SetSplit{Weight: 0}, why+"; "+f.takingAll())
		d.Effects = []Effect{fence, SetSplit{Weight: 0}}
	}
	f.besideTheRoutes(&d)
	return d
}

// canaryHanded holds in a rollback when the handover was faster: the Deployment
// already scales stable down, and weights do not lead back.
func canaryHanded(f *facts) bool { return f.in.Canary.Handed }

func continueHandover(f *facts) Decision {
	why := fmt.Sprintf("%s had already taken %s over when the rollback was decided: %s. To go back, %s", f.workload(), imageOf(f.in.Status.Candidate), f.rollback().Message, f.wayBack())
	d := f.reconciling(v1alpha1.ReasonHandingOver, why)
	d.Status.Phase = v1alpha1.PhaseHandingOver
	d.Status.Rollback = nil
	p := f.promotion()
	p.Message = f.messageOf(p, why)
	d.Status.Promotion = &p
	d.Recheck = 1
	return d
}

// rollbackCanaryWeighted waits for a stable endpoint that can take the
// requests, unless the Deployment has 0 replicas.
func rollbackCanaryWeighted(f *facts) bool {
	return canaryWeighted(f) && (f.in.Route.StableEndpoints > 0 || f.in.Workload.Replicas == 0)
}

// formerPairUnseen holds while the routes name Services of the first edition of
// Belay, which do not show what they select, so that no endpoint of them is counted.
func formerPairUnseen(f *facts) bool {
	unseen := f.in.Canary.Former && !f.in.Route.PairCurrent && f.in.Route.StableEndpoints == 0
	return unseen && routesReleasable(f) && f.in.Workload.Stable.Ready > 0
}

func releaseFormerPair(f *facts) Decision {
	return f.doing(f.phaseReason(), "the generated Services are those of an earlier version of Belay: the routes go back to Service "+f.traffic.Service, ReleaseRoute{})
}

func takeWeightBack(f *facts) Decision {
	d := f.takeRequests(v1alpha1.ReasonRollingBack, SetSplit{Weight: 0}, f.takingAll()+": "+f.rollback().Message+f.smallStable())
	f.besideTheRoutes(&d)
	return d
}

// besideTheRoutes lets a decision that takes requests from the canary take along what
// needs none of its writes, so that a refused write of the routes keeps back neither
// direct callers, who go to stable or in a deletion to all pods, nor pushes under the
// lock of a handover.
func (f *facts) besideTheRoutes(d *Decision) {
	hash := f.in.Workload.Stable.Hash
	if deleting(f) {
		hash = ""
	}
	if narrowed(f) && f.in.Route.Narrowed != hash && (deleting(f) || f.in.Workload.Stable.Ready > 0) {
		d.Effects, d.Why = append(d.Effects, NarrowService{hash}), fmt.Sprintf("%s; direct callers of Service %s go back too", d.Why, f.traffic.Service)
	}
	if lockedWithoutHandover(f) || deleting(f) && f.in.Workload.Lock != "" {
		d.Effects, d.Why = append(d.Effects, Unlock{}), d.Why+"; unlocking the Deployment's template"
	}
	d.Key = v1alpha1.Bounded(d.Does(), 128)
}

// takeRequests also forgets that weight 0 was acknowledged before: with a weight
// the canary got new connections.
func (f *facts) takeRequests(reason string, zero Effect, why string) Decision {
	d := f.doing(reason, why, zero)
	if d.Status.Rollback != nil {
		d.Status.Rollback.ZeroAt = nil
	}
	return d
}

// rollbackPairOutdated is false for a run of the first edition of Belay, whose
// pods have other labels.
func rollbackPairOutdated(f *facts) bool {
	return !f.in.Canary.Former && routesSplit(f) && !f.in.Route.PairCurrent && f.in.Workload.Stable.Name != ""
}

func pointServices(f *facts) Decision {
	return f.doing(f.phaseReason(), fmt.Sprintf("making Services %[1]s-stable and %[1]s-canary select the stable and the canary pods", f.in.Name), PointServices{})
}

func pointServicesBack(f *facts) Decision {
	d := pointServices(f)
	f.besideTheRoutes(&d)
	return d
}

// onlyCanaryServes holds while the canary is all that answers requests.
func onlyCanaryServes(f *facts) bool {
	if f.in.Workload.Replicas == 0 {
		return false
	}
	shared := routesSplit(f) && f.in.Route.StableEndpoints == 0
	last := f.in.Canary.Ready > 0 && (f.in.Workload.Stable.Ready == 0 || f.canaryAlone())
	return shared || last
}

func waitForStable(f *facts) Decision {
	return f.waiting(v1alpha1.ReasonRollingBack, v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("waiting for stable pods before the canary is removed: %d of %d ready, %d reachable; if %s cannot serve any more, let a version that can roll out by a bypass",
		f.in.Workload.Stable.Ready, f.in.Workload.Replicas, f.in.Route.StableEndpoints, imageOf(f.in.Status.Stable)))
}

func zeroUnacknowledged(f *facts) bool { return zeroJustAcknowledged(f) && unacknowledged(f) }

func waitForRoute(f *facts) Decision {
	if f.in.Route.Split == nil {
		return waitForRelease(f)
	}
	return f.waiting(f.phaseReason(), v1alpha1.ReasonNotAcknowledged, fmt.Sprintf("waiting for the gateway to acknowledge weight %d %%%s%s", f.observedWeight(), f.extraNow(), f.unacknowledgedBecause()))
}

func (f *facts) unacknowledgedBecause() string {
	if f.in.Route.Unacknowledged == "" {
		return ""
	}
	return ": " + v1alpha1.Bounded(f.in.Route.Unacknowledged, 400)
}

// rollbackNarrowedElsewhere holds while the user's Service is narrowed to
// another version than stable, and stable has ready pods.
func rollbackNarrowedElsewhere(f *facts) bool {
	return narrowed(f) && f.in.Route.Narrowed != f.in.Workload.Stable.Hash && f.in.Workload.Stable.Ready > 0
}

func narrowBack(f *facts) Decision {
	return f.doing(f.phaseReason(), "limiting Service "+f.traffic.Service+" to the stable pods", NarrowService{f.in.Workload.Stable.Hash})
}

// zeroJustAcknowledged takes the acknowledgement for granted: the row above
// waits for it.
func zeroJustAcknowledged(f *facts) bool { return f.rollback().ZeroAt == nil }

func noteZero(f *facts) Decision {
	took := f.in.Now.Sub(f.rollback().StartedAt.Time)
	what := "the gateway acknowledged weight 0 %"
	switch {
	case f.replicaWeighted():
		what = "the last canary pod began to terminate"
	case f.in.Route.Split == nil:
		what = "the gateway acknowledged the routes to Service " + f.traffic.Service
	}
	d := f.reconciling(v1alpha1.ReasonRollingBack, fmt.Sprintf("%s, within %.1f s of the decision", what, took.Seconds()))
	now, r := f.now(), f.rollback()
	r.ZeroAt = &now
	d.Status.Rollback = &r
	d.Recheck = max(1, f.traffic.Drain.Duration)
	f.previewBack(&d)
	return d
}

func (f *facts) drained() bool {
	over, _ := f.sinceElapsed(f.rollback().ZeroAt, f.traffic.Drain.Duration)
	return over
}

// canaryDraining is false where the canary's pods terminate already, each with its
// own grace period.
func canaryDraining(f *facts) bool {
	return f.in.Canary.Exists && !f.drained() && !f.replicaWeighted()
}

func drain(f *facts) Decision {
	_, left := f.sinceElapsed(f.rollback().ZeroAt, f.traffic.Drain.Duration)
	d := f.reconciling(f.phaseReason(), "letting the canary's connections finish until "+clock(f.in.Now.Add(left))+f.smallStable())
	d.Recheck = left
	return d
}

// canaryLeft holds while the canary or pods of it exist and the Deployment does
// not own them.
func canaryLeft(f *facts) bool {
	return !f.in.Canary.Handed && (f.in.Canary.Exists || f.in.Canary.Left > 0)
}

// removeCanary deletes the ReplicaSet of a rejected version even if it was the
// Deployment's before: a paused Deployment that is scaled up from 0 scales its
// newest ReplicaSet.
func removeCanary(f *facts) Decision {
	if !f.in.Canary.Exists {
		return f.reconciling(f.phaseReason(), fmt.Sprintf("waiting for canary pods to terminate: %d", f.in.Canary.Left))
	}
	reject := rollingBack(f) && f.rollback().Outcome == v1alpha1.OutcomeRolledBack
	why := "the canary gets no requests any more: removing it"
	if f.replicaWeighted() && f.in.Canary.Ready > 0 {
		why = fmt.Sprintf("removing the canary (%s): the Deployment has %s", count(f.in.Canary.Desired, "pod"), count(f.deploymentReady(), "ready pod"))
	}
	d := f.doing(f.phaseReason(), why, RemoveCanary{reject})
	f.previewBack(&d)
	return d
}

func waitForService(f *facts) Decision {
	if f.in.Route.ServiceMissing {
		return f.stalled(v1alpha1.ReasonServiceNotFound, fmt.Sprintf("Service %q does not exist: create it, so that the routes can go back to it", f.traffic.Service))
	}
	why := fmt.Sprintf("the routes cannot go back to Service %q yet: it has no ready endpoint with the port that they name", f.traffic.Service)
	if f.in.Route.NoPort != "" {
		why += ": " + f.in.Route.NoPort
	}
	return f.waiting(f.phaseReason(), v1alpha1.ReasonServiceUnusable, why)
}

func releaseRoute(f *facts) Decision {
	when := "handover"
	if rollingBack(f) {
		when = "only one version is left to serve"
	}
	return f.doing(f.phaseReason(), when+": pointing the routes back at Service "+f.traffic.Service, ReleaseRoute{})
}

func pausedAtStable(f *facts) bool { return f.declared == f.stable && f.in.Workload.Paused }

func unpauseStable(f *facts) Decision {
	return f.doing(f.phaseReason(), f.workload()+" declares the stable version again: "+f.unpausing("it"), Unpause{Revision: f.stable})
}

// finishRollback ends the run. The next phase depends on why it was rolled
// back, and on what the Deployment declares now.
func finishRollback(f *facts) Decision {
	r := f.rollback()
	d := f.reconciling(f.phaseReason(), r.Message)
	d.Key = f.in.Status.Run
	f.endRun(&d, r.Outcome, r.Trigger, r.Message)
	d.Status.Rollback, d.Status.Promotion = nil, nil
	d.Recheck = 1
	if r.Outcome == v1alpha1.OutcomeRolledBack {
		f.reject(&d, r.Trigger, r.Message, f.in.Status.Run)
	}
	if r.Outcome == v1alpha1.OutcomeRolledBack && f.declared != f.stable {
		d.Status.Phase = v1alpha1.PhaseRolledBack
		d.Progress, d.Reason = Stalled, v1alpha1.ReasonRolledBack
		d.Why = f.rolledBackMessage()
	} else {
		d.Status.Phase = v1alpha1.PhaseStable
		d.Status.Candidate, d.Status.Step, d.Status.Verdicts = nil, nil, nil
	}
	f.remark(&d)
	return d
}
