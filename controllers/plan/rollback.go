package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about ending a candidate: commands, triggers, and the way back.

func (f *facts) onTrial() bool {
	return f.inPhase(v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking)
}

func actionPending(f *facts) bool { return f.in.Action != nil }

func (f *facts) actionFor(a v1alpha1.Action) bool {
	if !actionPending(f) || f.in.Action.Action != a {
		return false
	}
	return f.in.Action.Revision == "" || f.in.Action.Revision == f.tried
}

func abortRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionAbort) && (f.onTrial() || f.inPhase(v1alpha1.PhaseGating))
}

func abort(f *facts) Decision {
	d := f.beginRollback(v1alpha1.OutcomeRolledBack, "abort", fmt.Sprintf("aborted by %s%s", f.in.Action.By, quoteReason(f.in.Action.Reason)))
	if f.inPhase(v1alpha1.PhaseGating) {
		// Nothing has been given to the candidate yet, so there is nothing to undo.
		d = f.working(v1alpha1.ReasonRolledBack, d.Why)
		d.Status.Phase = v1alpha1.PhaseRolledBack
		f.reject(&d, "abort", d.Why, "")
	}
	f.handle(&d, "")
	return d
}

func retryRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionRetry) && f.inPhase(v1alpha1.PhaseRolledBack) && f.declared == f.tried
}

func retry(f *facts) Decision {
	d := f.working(v1alpha1.ReasonProgressing, fmt.Sprintf("retry of %s asked for by %s%s", imageOf(f.in.Status.Candidate), f.in.Action.By, quoteReason(f.in.Action.Reason)))
	d.Status.Phase = v1alpha1.PhaseGating
	d.Status.Rejected = without(d.Status.Rejected, f.tried)
	d.Status.Rollback, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	f.handle(&d, "")
	return d
}

func refuseAction(f *facts) Decision {
	a := f.in.Action
	why := fmt.Sprintf("%s refused: there is nothing to %s in phase %s", a.Action, a.Action, f.in.Status.Phase)
	if a.Revision != "" && a.Revision != f.tried {
		why = fmt.Sprintf("%s refused: it is for revision %s, the candidate is %q", a.Action, a.Revision, f.tried)
	}
	d := f.working(f.phaseReason(), why)
	f.handle(&d, why)
	return d
}

func (f *facts) handle(d *Decision, refused string) {
	a := f.in.Action
	d.Actor, d.Key = a.By, a.Token
	d.Status.LastHandledAction = &v1alpha1.HandledAction{
		Action: a.Action, Token: a.Token, By: a.By, Refused: truncate(refused, 512), At: f.now(),
	}
}

func quoteReason(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(": %q", truncate(s, 256))
}

func triggerFired(f *facts) bool {
	return f.onTrial() && f.in.Spec.Mode != v1alpha1.ModeObserve && f.in.Verdict.Outcome == v1alpha1.VerdictFail
}

func blindTooLong(f *facts) bool {
	return f.onTrial() && f.in.Spec.Mode != v1alpha1.ModeObserve && f.in.Verdict.BlindRollback
}

func rollBackOnTrigger(f *facts) Decision {
	return f.beginRollback(v1alpha1.OutcomeRolledBack, f.in.Verdict.Trigger,
		fmt.Sprintf("%s: %s, at %s", f.in.Verdict.Trigger, f.in.Verdict.Message, f.whereNow()))
}

func deadlineRollback(f *facts) bool {
	if f.in.Spec.OnDeadline != v1alpha1.Rollback || f.in.Spec.Mode == v1alpha1.ModeObserve || !f.onTrial() || f.in.Spec.Paused {
		return false
	}
	return f.deadlineExceeded() && !f.decided()
}

// decided holds when the present stage has all it waits for: then a deadline
// that passed while nobody looked is no reason to roll back.
func (f *facts) decided() bool {
	if undecided(f) {
		return false
	}
	acknowledged := f.step().AcknowledgedAt != nil && f.in.Route.Acknowledged && !stepWeightOff(f)
	return baking(f) || stepping(f) && acknowledged && !stepCanaryUnready(f)
}

// deadlineExceeded says whether the present stage has been undecided for longer
// than stepDeadline, beyond the hold or bake that it must take anyway.
func (f *facts) deadlineExceeded() bool {
	from, must := f.step().EnteredAt, f.stepHold()
	if p := f.in.Status.Promotion; p != nil {
		from, must = p.StartedAt, 0
		if p.ShiftedAt != nil {
			from, must = *p.ShiftedAt, f.in.Spec.Promotion.Bake.Duration
		}
	}
	over, _ := f.sinceElapsed(&from, must+f.in.Spec.StepDeadline.Duration)
	return over
}

func rollBackOnDeadline(f *facts) Decision {
	return f.beginRollback(v1alpha1.OutcomeRolledBack, "deadline",
		fmt.Sprintf("undecided for longer than stepDeadline %s, at %s: %s", f.in.Spec.StepDeadline.Duration, f.whereNow(), f.undecidedBecause()))
}

func (f *facts) whereNow() string {
	switch f.in.Status.Phase {
	case v1alpha1.PhasePromoting:
		return "promotion"
	case v1alpha1.PhaseBaking:
		return "bake"
	default:
		return fmt.Sprintf("%s, weight %d %%", f.where(), f.observedWeight())
	}
}

// beginRollback records the intent; the rows for RollingBack carry it out.
func (f *facts) beginRollback(outcome v1alpha1.Outcome, trigger, why string) Decision {
	d := f.working(v1alpha1.ReasonRollingBack, why)
	d.Key = string(outcome) + "/" + trigger
	d.Status.Phase = v1alpha1.PhaseRollingBack
	d.Status.Epoch++
	d.Status.Rollback = &v1alpha1.RollbackStatus{
		Outcome: outcome, Trigger: truncate(trigger, 256), Message: truncate(why, 1024), StartedAt: f.now(),
		Restore: baking(f) || f.mayRoll(),
	}
	// Carry on at once: the next look takes the traffic back.
	d.Recheck = 1
	return d
}

// mayRoll says whether the Deployment of a promotion may be replacing its pods
// already: it is seen unpaused, somebody paused it again with another template,
// or it was decided to unpause it, and what is seen may be older than that.
func (f *facts) mayRoll() bool {
	p := f.promotion()
	return promoting(f) && (!f.in.Workload.Paused || p.UnpausedAt != nil || p.FullAt != nil && f.declared != f.tried)
}

func rollingBack(f *facts) bool { return f.inPhase(v1alpha1.PhaseRollingBack) }

func (f *facts) rollback() v1alpha1.RollbackStatus {
	if f.in.Status.Rollback == nil {
		return v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, StartedAt: f.now()}
	}
	return *f.in.Status.Rollback
}

func bypassedRollback(f *facts) bool {
	return rollingBack(f) && f.rollback().Outcome == v1alpha1.OutcomeBypassed
}

func restoreNeeded(f *facts) bool {
	return rollingBack(f) && f.rollback().Restore && f.declared != f.stable
}

func restoreTemplate(f *facts) Decision {
	return f.doing(v1alpha1.ReasonRollingBack, "the Deployment already rolls: writing back "+imageOf(f.in.Status.Stable), RestoreTemplate{f.stable})
}

// stableNotBack keeps traffic where it is until the stable pods can take it:
// three quarters of them, what a Deployment's own default maxUnavailable keeps.
func stableNotBack(f *facts) bool {
	if !rollingBack(f) || bypassedRollback(f) || f.in.Route.Split == nil || *f.in.Route.Split == 0 {
		return false
	}
	ready, all := f.in.Workload.StableReady, f.in.Workload.Replicas
	switch {
	case all == 0:
		// Somebody wants no pods at all: there is nothing to wait for.
		return false
	case !f.rollback().Restore, f.in.Route.CanaryEndpoints == 0:
		return ready == 0
	default:
		return ready == 0 || ready*4 < all*3
	}
}

func waitForStable(f *facts) Decision {
	return f.working(v1alpha1.ReasonRollingBack, fmt.Sprintf("waiting for stable pods before traffic moves: %d of %d ready", f.in.Workload.StableReady, f.in.Workload.Replicas))
}

func (f *facts) stableHash() string {
	if f.in.Status.Stable == nil {
		return ""
	}
	return f.in.Status.Stable.PodTemplateHash
}

// deploymentServes holds once a promotion has moved requests to the Deployment's
// new pods. From there the way back is the Deployment's own: with the route at
// the user's Service, which selects all of its pods, the old ones can go and
// every restored one takes requests as soon as it is ready.
func deploymentServes(f *facts) bool {
	return rollingBack(f) && f.rollback().Restore && f.in.Route.Split != nil && *f.in.Route.Split != 100 && f.in.Route.StableHash != f.stableHash()
}

// deploymentServesAlone holds while that way back is closed: the user's Service
// does not exist, and the Deployment's new pods are all that serves.
func deploymentServesAlone(f *facts) bool { return deploymentServes(f) && f.in.Route.ServiceMissing }

// releaseUnacknowledged keeps the template as it is until the gateway no longer
// sends requests to the pods that restoring it takes away.
func releaseUnacknowledged(f *facts) bool {
	return rollingBack(f) && f.rollback().Restore && f.declared != f.stable &&
		f.in.Route.Split == nil && !f.in.Route.Acknowledged
}

func rollbackServicesOff(f *facts) bool {
	return rollingBack(f) && !bypassedRollback(f) && f.in.Route.Split != nil && f.in.Route.StableHash != f.stableHash()
}

func rollbackNoEndpoints(f *facts) bool {
	return rollbackSplitOff(f) && f.in.Route.StableEndpoints == 0 && f.in.Workload.Replicas > 0
}

func pointServices(f *facts) Decision {
	return f.doing(f.phaseReason(), "the Services do not select the stable and canary pods yet", PointServices{f.stableHash(), f.tried})
}

func rollbackSplitOff(f *facts) bool {
	return rollingBack(f) && !bypassedRollback(f) && f.in.Route.Split != nil && *f.in.Route.Split != 0
}

func takeTrafficBack(f *facts) Decision {
	return f.takeBack(v1alpha1.ReasonRollingBack, "taking the canary's traffic back: "+f.rollback().Message)
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

func rollbackUnacknowledged(f *facts) bool {
	return rollingBack(f) && f.rollback().ZeroAt == nil && !f.in.Route.Acknowledged
}

func waitForRoute(f *facts) Decision {
	return f.working(f.phaseReason(), fmt.Sprintf("waiting for the gateway to acknowledge weight %d %%", f.observedWeight()))
}

func rollbackJustZero(f *facts) bool {
	return rollingBack(f) && !bypassedRollback(f) && f.rollback().ZeroAt == nil
}

func noteZero(f *facts) Decision {
	took := f.in.Now.Sub(f.rollback().StartedAt.Time)
	d := f.working(v1alpha1.ReasonRollingBack, fmt.Sprintf("the gateway acknowledged weight 0 %%, %.1f s after the decision", took.Seconds()))
	now, r := f.now(), f.rollback()
	r.ZeroAt = &now
	d.Status.Rollback = &r
	d.Recheck = f.in.Spec.Traffic.Drain.Duration
	return d
}

func (f *facts) drained() bool {
	over, _ := f.sinceElapsed(f.rollback().ZeroAt, f.in.Spec.Traffic.Drain.Duration)
	return over
}

func rollbackDraining(f *facts) bool {
	return rollingBack(f) && !bypassedRollback(f) && f.in.Route.Split != nil && f.in.Canary.Exists && !f.drained()
}

func drain(f *facts) Decision {
	_, left := f.sinceElapsed(f.rollback().ZeroAt, f.in.Spec.Traffic.Drain.Duration)
	d := f.working(f.phaseReason(), "letting the canary's connections finish until "+clock(f.in.Now.Add(left)))
	d.Recheck = left
	return d
}

func rollbackCanaryLeft(f *facts) bool {
	if bypassedRollback(f) && f.in.Route.Split != nil {
		return false
	}
	return rollingBack(f) && (f.in.Canary.Exists || f.in.Canary.Pods > 0)
}

func removeCanary(f *facts) Decision {
	if !f.in.Canary.Exists {
		return f.working(f.phaseReason(), fmt.Sprintf("waiting for %d canary pods to go", f.in.Canary.Pods))
	}
	return f.doing(f.phaseReason(), "the canary takes no traffic any more", DeleteCanary{})
}

// rollbackServiceMissing keeps the routes on the stable Service: at a Service
// that does not exist every request would fail.
func rollbackServiceMissing(f *facts) bool { return rollbackRouteLeft(f) && f.in.Route.ServiceMissing }

func rollbackRouteLeft(f *facts) bool { return rollingBack(f) && f.in.Route.Split != nil }

func releaseRoute(f *facts) Decision {
	return f.doing(f.phaseReason(), "only one version is left: the routes go back to Service "+f.in.Spec.Traffic.Service, ReleaseRoute{})
}

func rollbackLeftPaused(f *facts) bool {
	return rollingBack(f) && f.declared == f.stable && f.in.Workload.Paused
}

func unpauseStable(f *facts) Decision {
	return f.doing(f.phaseReason(), "the Deployment declares the stable version again", Unpause{f.stable})
}

func rollbackUnsettled(f *facts) bool {
	return rollingBack(f) && !f.in.Workload.Settled && (f.rollback().Restore && !f.in.Workload.Paused || bypassedRollback(f))
}

func waitForWorkload(f *facts) Decision {
	return f.working(f.phaseReason(), "waiting for the Deployment to replace its pods")
}

// finishRollback ends the run. Where the Rollout goes from here depends on why
// the candidate was taken out.
func finishRollback(f *facts) Decision {
	r := f.rollback()
	d := f.working(f.phaseReason(), r.Message)
	d.Key = f.in.Status.Run
	f.endRun(&d, r.Outcome, r.Trigger, r.Message)
	d.Status.Rollback, d.Status.Promotion = nil, nil
	switch r.Outcome {
	case v1alpha1.OutcomeBypassed:
		f.adoptDeclared(&d)
	case v1alpha1.OutcomeRolledBack:
		f.reject(&d, r.Trigger, r.Message, f.in.Status.Run)
		d.Status.Phase = v1alpha1.PhaseRolledBack
		if f.declared == f.stable {
			d.Status.Phase = v1alpha1.PhaseStable
			d.Status.Candidate, d.Status.Step, d.Status.Verdicts = nil, nil, nil
			break
		}
		d.Standing = Standing{Stuck, v1alpha1.ReasonRolledBack}
		d.Why = f.rolledBackMessage()
	default:
		d.Status.Phase = v1alpha1.PhaseStable
		d.Status.Candidate, d.Status.Step, d.Status.Verdicts = nil, nil, nil
	}
	d.Recheck = 1
	return d
}
