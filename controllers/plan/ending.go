package plan

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about ending a candidate: commands, triggers, bypasses, other templates.

func (f *facts) onTrial() bool { return f.in.Status.Phase.Armed() }

// revocable holds while the way back is a change of weights: until the owner of
// the canary changes.
func (f *facts) revocable() bool {
	before := handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && !f.in.Canary.Handed
	return f.onTrial() || before
}

func actionPending(f *facts) bool { return f.in.Action != nil }

func (f *facts) actionFor(a v1alpha1.Action) bool {
	if !actionPending(f) || f.in.Action.Action != a {
		return false
	}
	return f.in.Action.Revision == "" || f.in.Action.Revision == f.tried
}

func abortRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionAbort) && (f.revocable() || f.inPhase(v1alpha1.PhaseGating))
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
	d := f.working(f.phaseReason(), f.refusalOf(a))
	f.handle(&d, d.Why)
	return d
}

func (f *facts) refusalOf(a *Action) string {
	switch {
	case a.Revision != "" && a.Revision != f.tried:
		return fmt.Sprintf("%s refused: it is for revision %q, the candidate is %q", a.Action, truncate(a.Revision, 64), f.tried)
	case a.Action == v1alpha1.ActionAbort && rollingBack(f):
		return fmt.Sprintf("Abort refused: already rolling back since %s", clock(f.rollback().StartedAt.Time))
	case a.Action == v1alpha1.ActionAbort && f.inPhase(v1alpha1.PhaseRolledBack):
		return fmt.Sprintf("Abort refused: %s is already rolled back", imageOf(f.in.Status.Candidate))
	case a.Action == v1alpha1.ActionAbort && handingOver(f):
		return fmt.Sprintf("Abort refused: the Deployment is already taking %s over. To go back %s", imageOf(f.in.Status.Candidate), f.wayBack())
	case a.Action == v1alpha1.ActionAbort && stable(f):
		return fmt.Sprintf("Abort refused: no run is in progress, %s serves. To go back %s", imageOf(f.in.Status.Stable), f.wayBack())
	case a.Action == v1alpha1.ActionAbort:
		return fmt.Sprintf("Abort refused: no run is in progress in phase %s", f.in.Status.Phase)
	case a.Action == v1alpha1.ActionRetry:
		return fmt.Sprintf("Retry refused: only a rolled-back version that the Deployment still declares can run again; the phase is %s", f.in.Status.Phase)
	default:
		return fmt.Sprintf("%q refused: there is no such command; give Abort or Retry", truncate(string(a.Action), 32))
	}
}

func (f *facts) handle(d *Decision, refused string) {
	a := f.in.Action
	d.Actor, d.Key = a.By, a.Token
	d.Status.Remember(v1alpha1.HandledAction{Action: a.Action, Token: a.Token, By: a.By, Refused: truncate(refused, 512), At: f.now()})
}

func quoteReason(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(": %q", truncate(s, 256))
}

func triggerFired(f *facts) bool {
	return f.revocable() && f.in.Spec.Mode != v1alpha1.ModeObserve && f.in.Verdict.Outcome == v1alpha1.VerdictFail
}

func blindTooLong(f *facts) bool {
	return f.revocable() && f.in.Spec.Mode != v1alpha1.ModeObserve && f.in.Verdict.BlindRollback
}

func rollBackOnTrigger(f *facts) Decision {
	return f.beginRollback(v1alpha1.OutcomeRolledBack, f.in.Verdict.Trigger,
		fmt.Sprintf("%s: %s, at %s", f.in.Verdict.Trigger, f.in.Verdict.Message, f.whereNow()))
}

func deadlineRollback(f *facts) bool {
	if f.in.Spec.OnDeadline != v1alpha1.Rollback || f.in.Spec.Mode == v1alpha1.ModeObserve || !f.onTrial() || f.in.Spec.Paused {
		return false
	}
	return f.in.Workload.Replicas > 0 && f.deadlineExceeded() && !f.decided()
}

// decided holds when the present stage has all it waits for: then a deadline
// that passed while nobody looked is no reason to roll back.
func (f *facts) decided() bool {
	if undecided(f) || f.weightIsNot(f.targetWeight()) || !f.in.Route.Acknowledged {
		return false
	}
	acknowledged := f.step().AcknowledgedAt != nil
	return baking(f) && f.promotion().FullAt != nil || stepping(f) && acknowledged && !canaryUnready(f)
}

// deadlineExceeded says whether the present stage has been undecided for longer
// than stepDeadline, beyond the hold or bake that it must take anyway.
func (f *facts) deadlineExceeded() bool {
	from, must := f.step().EnteredAt, f.stepHold()
	if p := f.in.Status.Promotion; p != nil {
		from, must = p.StartedAt, 0
		if p.FullAt != nil {
			from, must = *p.FullAt, f.in.Spec.Promotion.Bake.Duration
		}
		if p.HandingSince != nil && handingOver(f) {
			from, must = *p.HandingSince, 0
		}
		if p.HandedAt != nil && p.HandedAt.After(from.Time) {
			from, must = *p.HandedAt, 0
		}
		if p.SettledAt != nil {
			from, must = *p.SettledAt, f.in.Spec.Promotion.Bake.Duration
		}
	}
	if r := f.in.Status.Rollback; r != nil && rollingBack(f) {
		from, must = r.StartedAt, f.in.Spec.Traffic.Drain.Duration
	}
	over, _ := f.sinceElapsed(&from, must+f.in.Spec.StepDeadline.Duration)
	return over
}

func rollBackOnDeadline(f *facts) Decision {
	return f.beginRollback(v1alpha1.OutcomeRolledBack, "deadline",
		fmt.Sprintf("undecided for longer than stepDeadline %s, at %s: %s", f.in.Spec.StepDeadline.Duration, f.whereNow(), f.undecidedBecause()))
}

// bypassed holds when the Deployment rolls to something else than stable and
// Belay did not let it: in every phase.
func bypassed(f *facts) bool {
	if f.in.Workload.Paused || f.declared == f.stable {
		return false
	}
	// A person may let a native roll go on that a trigger has stopped, or keep what
	// it has come to.
	goesOn := nativeFired(f) && f.in.Status.HandledBypass != nil && f.bypass().Reason != ""
	ours := handingOver(f) && f.declared == f.tried && !handoverDue(f) && !goesOn
	overtaken := rollingBack(f) && f.in.Canary.Handed
	return !ours && !overtaken
}

// bypass is the one that was not handled yet; the zero Bypass without one.
func (f *facts) bypass() Bypass {
	b, handled := f.in.Workload.Bypass, f.in.Status.HandledBypass
	if handled != nil && *handled == b.Reason {
		return Bypass{}
	}
	return b
}

// handleBypass keeps what is on the Deployment now from being taken for a later
// bypass.
func (f *facts) handleBypass(d *Decision) {
	d.Status.HandledBypass = new(truncate(f.in.Workload.Bypass.Reason, 256))
}

// followBypass makes the bypass a run of its own, or the end of the one in
// progress when it tries the same version.
func followBypass(f *facts) Decision {
	image := imageOf(&f.in.Workload.Declared)
	by, reason := f.bypass().By, f.bypass().Reason
	why := fmt.Sprintf("%s let %s roll without a judgement%s", by, image, quoteReason(reason))
	switch {
	case by != "" && nativeFired(f):
		why = fmt.Sprintf("%s keeps %s although %s fires (%s)%s", by, image, f.in.Verdict.Trigger, truncate(f.in.Verdict.Message, 300), quoteReason(reason))
	case by == "":
		why = fmt.Sprintf("%s rolls without a judgement, and no bypass says why: it was declared before the guard was in force, or the guard is not", image)
	}
	d := f.working(v1alpha1.ReasonHandingOver, why)
	f.handleBypass(&d)
	if rollingBack(f) && f.rollback().Outcome == v1alpha1.OutcomeRolledBack {
		f.reject(&d, f.rollback().Trigger, f.rollback().Message, f.in.Status.Run)
	}
	// A set that was handed over, or may be yet, stays the run's canary.
	var handedAt *metav1.Time
	if !f.in.Status.Phase.InRun() || f.declared != f.tried {
		if f.runUnfinished() && f.in.Status.Phase.InRun() {
			f.endRunBy(&d, v1alpha1.OutcomeSuperseded, why)
		}
		d.Status.Candidate = f.in.Workload.Declared.DeepCopy()
		f.openRun(&d)
		d.Effect = CreateRun{}
	} else {
		d.Status.Epoch++
		handedAt = f.promotion().HandedAt
	}
	d.Key, d.Actor, d.Recheck = d.Status.Run, by, 1
	d.Status.Phase = v1alpha1.PhaseHandingOver
	d.Status.Rollback = nil
	now := f.now()
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: now, HandingSince: &now, HandedAt: handedAt, Mode: v1alpha1.TakeOverBypass, Message: truncate(why, 1024), Actor: truncate(by, 256)}
	return d
}

// formerRun: what another version's rules have begun is not continued.
func formerRun(f *facts) bool {
	former := f.in.Run.Exists && f.in.Run.Former
	return former && (f.onTrial() || handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver)
}

func endFormerRun(f *facts) Decision {
	if stepping(f) {
		return f.beginRollback(v1alpha1.OutcomeCancelled, "upgrade", "an earlier version of Belay started this run: it is rolled back, and the version starts anew")
	}
	why := "an earlier version of Belay started this run and had begun to promote it: the Deployment finishes by its own strategy, unjudged"
	d := f.working(v1alpha1.ReasonHandingOver, why)
	d.Status.Phase = v1alpha1.PhaseHandingOver
	now := f.now()
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: now, HandingSince: &now, Mode: v1alpha1.TakeOverUnserved, Message: why}
	d.Key, d.Recheck = f.in.Status.Run, 1
	return d
}

func cancelled(f *facts) bool {
	return f.declared == f.stable && (f.inPhase(v1alpha1.PhaseGating) || f.revocable())
}

func cancel(f *facts) Decision {
	why := "the Deployment declares the stable version again"
	if !gating(f) {
		return f.beginRollback(v1alpha1.OutcomeCancelled, "", why)
	}
	return f.backToStable(why)
}

func reverted(f *facts) bool {
	return f.declared == f.stable && (f.inPhase(v1alpha1.PhaseRolledBack) || f.inPhase(v1alpha1.PhaseStable) && f.in.Workload.Paused)
}

func settleReverted(f *facts) Decision {
	return f.backToStable("the Deployment declares the stable version again")
}

func (f *facts) backToStable(why string) Decision {
	if f.in.Workload.Paused {
		return f.doing(v1alpha1.ReasonProgressing, why, Unpause{f.stable})
	}
	d := f.working(v1alpha1.ReasonProgressing, why)
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Candidate, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	return d
}

// superseded holds when a newer template came while another was on trial.
func superseded(f *facts) bool {
	return f.declared != f.tried && f.declared != f.stable && (f.inPhase(v1alpha1.PhaseGating) || f.revocable())
}

func supersede(f *facts) Decision {
	why := fmt.Sprintf("%s came before %s was decided", imageOf(&f.in.Workload.Declared), imageOf(f.in.Status.Candidate))
	if !f.inPhase(v1alpha1.PhaseGating) {
		return f.beginRollback(v1alpha1.OutcomeSuperseded, "", why)
	}
	if f.rejection(f.declared) != nil {
		return rejectAgain(f)
	}
	d := f.working(v1alpha1.ReasonProgressing, why)
	f.becomeCandidate(&d)
	return d
}
