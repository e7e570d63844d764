package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about taking a candidate out of service by weights.

// beginRollback records the intent; the rows for RollingBack carry it out.
func (f *facts) beginRollback(outcome v1alpha1.Outcome, trigger, why string) Decision {
	d := f.working(v1alpha1.ReasonRollingBack, why)
	d.Key = string(outcome) + "/" + trigger
	d.Status.Phase = v1alpha1.PhaseRollingBack
	d.Status.Epoch++
	d.Status.Rollback = &v1alpha1.RollbackStatus{
		Outcome: outcome, Trigger: truncate(trigger, 256), Message: truncate(why, 1024), StartedAt: f.now(),
	}
	// Carry on at once: the next look takes the traffic back.
	d.Recheck = 1
	return d
}

func rollingBack(f *facts) bool { return f.inPhase(v1alpha1.PhaseRollingBack) }

func (f *facts) rollback() v1alpha1.RollbackStatus {
	if f.in.Status.Rollback == nil {
		return v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, StartedAt: f.now()}
	}
	return *f.in.Status.Rollback
}

// rollbackUnfenced holds until a handover that another controller may have begun
// can no longer succeed: its write of the canary carries what was read before.
func rollbackUnfenced(f *facts) bool { return rollingBack(f) && f.unfenced() }

func (f *facts) unfenced() bool {
	c := f.in.Canary
	return f.promotion().HandedAt != nil && c.Exists && !c.Handed && c.Epoch != f.in.Status.Epoch
}

func fenceCanary(f *facts) Decision {
	return f.doing(f.phaseReason(), "keeping a handover that may still be on its way from the canary", FenceCanary{f.in.Status.Epoch})
}

// rollbackOvertaken holds when the handover came first: the Deployment already
// empties the stable set, and there is no way back by weights.
func rollbackOvertaken(f *facts) bool { return rollingBack(f) && f.in.Canary.Handed }

func goOnHandingOver(f *facts) Decision {
	why := fmt.Sprintf("the Deployment had already taken %s over when it was to be rolled back: %s. To go back %s", imageOf(f.in.Status.Candidate), f.rollback().Message, f.wayBack())
	d := f.working(v1alpha1.ReasonHandingOver, why)
	d.Status.Phase = v1alpha1.PhaseHandingOver
	d.Status.Rollback = nil
	p := f.promotion()
	p.Message = truncate(why, 1024)
	d.Status.Promotion = &p
	d.Recheck = 1
	return d
}

// rollbackServicesOff leaves the pair of a former edition's run alone: its pods
// carry other labels.
func rollbackServicesOff(f *facts) bool {
	return rollingBack(f) && !f.in.Canary.Former && f.in.Route.Split != nil && !f.in.Route.PairCurrent && f.in.Workload.Stable.Name != ""
}

func pointServices(f *facts) Decision {
	return f.doing(f.phaseReason(), fmt.Sprintf("making Services %[1]s-stable and %[1]s-canary select the stable and the canary pods", f.in.Name), PointServices{})
}

// weightIsNot reports whether the routes give the canary another share, or
// disagree.
func (f *facts) weightIsNot(weight int32) bool {
	return f.in.Route.Mixed || f.observedWeight() != weight
}

// growsWithin bounds how long a candidate that nobody has found bad keeps the
// requests that stable has too few pods for.
const growsWithin = 30 * time.Second

// rollbackShort holds for that time while fewer stable pods than canary pods can
// take requests, and all of them are to come back. Whatever is to be taken from
// its users is taken at once.
func rollbackShort(f *facts) bool {
	r := f.rollback()
	harmless := r.Outcome == v1alpha1.OutcomeCancelled || r.Outcome == v1alpha1.OutcomeSuperseded
	if !rollingBack(f) || !harmless || f.in.Route.Split == nil || f.weightIsNot(100) || f.in.Workload.Lock != "" {
		return false
	}
	over, _ := f.sinceElapsed(&r.StartedAt, growsWithin)
	return !over && f.in.Route.StableEndpoints > 0 && f.stableShort()
}

// stableShort compares what can take requests on both sides, as far as the
// Deployment wants it.
func (f *facts) stableShort() bool {
	stable, canary := f.reachable()
	return stable < min(canary, f.in.Workload.Replicas)
}

// reachable counts ready pods that are endpoints: the one follows the other late.
func (f *facts) reachable() (stable, canary int32) {
	return min(f.in.Route.StableEndpoints, f.in.Workload.Stable.Ready), min(f.in.Route.CanaryEndpoints, f.in.Canary.Ready)
}

func waitForSize(f *facts) Decision {
	r := f.rollback()
	_, left := f.sinceElapsed(&r.StartedAt, growsWithin)
	stable, canary := f.reachable()
	d := f.working(v1alpha1.ReasonRollingBack, fmt.Sprintf("%s; stable has %d reachable pods, and the canary has all requests on %d: they go back when stable has %d, at %s at the latest",
		r.Message, stable, canary, min(canary, f.in.Workload.Replicas), clock(f.in.Now.Add(left))))
	d.Recheck = left
	return d
}

// smallStable says, to end a message, that all requests come back to what may be
// too small for them; empty when it is not.
func (f *facts) smallStable() string {
	p, w, r := f.promotion(), f.in.Workload, f.in.Route
	if p.FullAt == nil && (r.Split == nil || f.weightIsNot(100)) {
		return ""
	}
	note := ""
	if f.stableShort() {
		stable, canary := f.reachable()
		note = fmt.Sprintf("; stable has %d reachable pods for all requests, fewer than the canary's %d", stable, canary)
	}
	if p.FullReplicas != nil && w.Replicas < *p.FullReplicas {
		note += fmt.Sprintf("; the Deployment was scaled from %d to %d replicas while %s had all requests: stable may be too small for them until an autoscaler, or kubectl scale deployment/%s, grows it",
			*p.FullReplicas, w.Replicas, imageOf(f.in.Status.Candidate), f.in.Spec.WorkloadRef.Name)
	}
	return note
}

// rollbackSplitOff waits for stable pods that can take the requests, unless
// nobody wants any.
func rollbackSplitOff(f *facts) bool {
	can := f.in.Route.StableEndpoints > 0 || f.in.Workload.Replicas == 0
	return rollingBack(f) && f.in.Route.Split != nil && f.weightIsNot(0) && can
}

func takeTrafficBack(f *facts) Decision {
	return f.takeBack(v1alpha1.ReasonRollingBack, "taking the canary's traffic back: "+f.rollback().Message+f.smallStable())
}

// takeBack also forgets an earlier acknowledgement: whoever gave the canary a
// share again started its connections anew.
func (f *facts) takeBack(reason, why string) Decision {
	d := f.doing(reason, why, SetSplit{0})
	if d.Status.Rollback != nil {
		d.Status.Rollback.ZeroAt = nil
	}
	return d
}

// lockLeft is a lock that no handover explains: an interrupted one's, or one that
// came back with somebody's old copy of the Deployment.
func lockLeft(f *facts) bool {
	if f.in.Workload.Lock == "" {
		return false
	}
	ours := handingOver(f) && f.takeOver() != v1alpha1.TakeOverBypass && f.declared == f.tried
	return !ours || f.in.Workload.Lock != v1alpha1.RunLabel(f.in.Status.Run)
}

func unlock(f *facts) Decision {
	return f.doing(f.phaseReason(), "no handover is in progress: the Deployment's template may change again", Unlock{})
}

// rollbackNoStable keeps the canary while it is all that serves.
func rollbackNoStable(f *facts) bool {
	if !rollingBack(f) || f.in.Workload.Replicas == 0 {
		return false
	}
	shared := f.in.Route.Split != nil && f.in.Route.StableEndpoints == 0
	last := f.in.Canary.Ready > 0 && (f.in.Workload.Stable.Ready == 0 || f.canaryAlone())
	return shared || last
}

func waitForStable(f *facts) Decision {
	return f.working(v1alpha1.ReasonRollingBack, fmt.Sprintf("waiting for stable pods before the canary goes: %d of %d ready, %d reachable; if %s cannot serve any more, bypass with a version that can",
		f.in.Workload.Stable.Ready, f.in.Workload.Replicas, f.in.Route.StableEndpoints, imageOf(f.in.Status.Stable)))
}

func rollbackUnacknowledged(f *facts) bool {
	return rollingBack(f) && f.rollback().ZeroAt == nil && !f.in.Route.Acknowledged
}

func waitForRoute(f *facts) Decision {
	if f.in.Route.Split == nil {
		return waitForRelease(f)
	}
	return f.working(f.phaseReason(), fmt.Sprintf("waiting for the gateway to acknowledge weight %d %%%s", f.observedWeight(), f.unacknowledgedBecause()))
}

func (f *facts) unacknowledgedBecause() string {
	if f.in.Route.Unacknowledged == "" {
		return ""
	}
	return ": " + truncate(f.in.Route.Unacknowledged, 400)
}

func rollbackJustZero(f *facts) bool { return rollingBack(f) && f.rollback().ZeroAt == nil }

func noteZero(f *facts) Decision {
	took := f.in.Now.Sub(f.rollback().StartedAt.Time)
	what := "weight 0 %"
	if f.in.Route.Split == nil {
		what = "Service " + f.in.Spec.Traffic.Service + " in place of a share"
	}
	d := f.working(v1alpha1.ReasonRollingBack, fmt.Sprintf("the gateway acknowledged %s, %.1f s after the decision", what, took.Seconds()))
	now, r := f.now(), f.rollback()
	r.ZeroAt = &now
	d.Status.Rollback = &r
	d.Recheck = max(1, f.in.Spec.Traffic.Drain.Duration)
	return d
}

func (f *facts) drained() bool {
	over, _ := f.sinceElapsed(f.rollback().ZeroAt, f.in.Spec.Traffic.Drain.Duration)
	return over
}

// rollbackNarrowOff: direct callers follow the routes back to stable.
func rollbackNarrowOff(f *facts) bool {
	n := f.in.Route.Narrowed
	return rollingBack(f) && n != "" && n != f.in.Workload.Stable.Hash && f.in.Workload.Stable.Ready > 0
}

func narrowBack(f *facts) Decision {
	return f.doing(f.phaseReason(), "callers of Service "+f.in.Spec.Traffic.Service+" go back to the stable pods", NarrowService{f.in.Workload.Stable.Hash})
}

func rollbackDraining(f *facts) bool {
	return rollingBack(f) && f.in.Canary.Exists && !f.drained()
}

func drain(f *facts) Decision {
	_, left := f.sinceElapsed(f.rollback().ZeroAt, f.in.Spec.Traffic.Drain.Duration)
	d := f.working(f.phaseReason(), "letting the canary's connections finish until "+clock(f.in.Now.Add(left))+f.smallStable())
	d.Recheck = left
	return d
}

func rollbackCanaryLeft(f *facts) bool {
	return rollingBack(f) && (f.in.Canary.Exists || f.in.Canary.Left > 0)
}

// removeCanary deletes a rejected set outright: an idle one would be what the
// Deployment controller scales up when a held Deployment comes back from zero.
func removeCanary(f *facts) Decision {
	if !f.in.Canary.Exists {
		return f.working(f.phaseReason(), fmt.Sprintf("waiting for %d canary pods to go", f.in.Canary.Left))
	}
	reject := rollingBack(f) && f.rollback().Outcome == v1alpha1.OutcomeRolledBack
	return f.doing(f.phaseReason(), "the canary takes no traffic any more", RemoveCanary{reject})
}

// releaseBlocked keeps the routes from a Service where every request would fail.
func (f *facts) releaseBlocked() bool {
	r := f.in.Route
	return r.ServiceMissing || r.ServiceEndpoints == 0 && (r.StableEndpoints > 0 || r.CanaryEndpoints > 0)
}

func rollbackReleaseBlocked(f *facts) bool { return rollbackRouteLeft(f) && f.releaseBlocked() }

func waitForService(f *facts) Decision {
	if f.in.Route.ServiceMissing {
		return f.stuck(v1alpha1.ReasonServiceNotFound, fmt.Sprintf("Service %q does not exist: create it, the routes cannot go back to it", f.in.Spec.Traffic.Service))
	}
	why := fmt.Sprintf("the routes stay where they are: Service %q has no ready endpoint with the port that they name", f.in.Spec.Traffic.Service)
	if f.in.Route.NoPort != "" {
		why += ": " + f.in.Route.NoPort
	}
	return f.working(f.phaseReason(), why)
}

func rollbackRouteLeft(f *facts) bool { return rollingBack(f) && f.in.Route.Split != nil }

func releaseRoute(f *facts) Decision {
	when := "handover"
	if rollingBack(f) {
		when = "only one version is left to serve"
	}
	return f.doing(f.phaseReason(), when+": the routes go back to Service "+f.in.Spec.Traffic.Service, ReleaseRoute{})
}

func rollbackNarrowed(f *facts) bool { return rollingBack(f) && f.in.Route.Narrowed != "" }

func rollbackLeftPaused(f *facts) bool {
	return rollingBack(f) && f.declared == f.stable && f.in.Workload.Paused
}

func unpauseStable(f *facts) Decision {
	return f.doing(f.phaseReason(), "the Deployment declares the stable version again", Unpause{f.stable})
}

// finishRollback ends the run. Where the Rollout goes from here depends on why
// the candidate was taken out.
func finishRollback(f *facts) Decision {
	r := f.rollback()
	d := f.working(f.phaseReason(), r.Message)
	d.Key = f.in.Status.Run
	f.endRun(&d, r.Outcome, r.Trigger, r.Message)
	d.Status.Rollback, d.Status.Promotion = nil, nil
	d.Recheck = 1
	if r.Outcome == v1alpha1.OutcomeRolledBack {
		f.reject(&d, r.Trigger, r.Message, f.in.Status.Run)
	}
	if r.Outcome == v1alpha1.OutcomeRolledBack && f.declared != f.stable {
		d.Status.Phase = v1alpha1.PhaseRolledBack
		d.Standing = Standing{Stuck, v1alpha1.ReasonRolledBack}
		d.Why = f.rolledBackMessage()
		return d
	}
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Candidate, d.Status.Step, d.Status.Verdicts = nil, nil, nil
	return d
}
