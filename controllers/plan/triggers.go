package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// triggersTable applies in a run until the owner of the canary changes, while
// weights are the way back. It comes before everything that waits or repairs.
var triggersTable = table{
	name:    "Triggers",
	about:   "Stepping, Promoting, Baking, and HandingOver before the owner changes: what rolls a candidate back.",
	applies: revocable,
	rules: []rule{
		{"TriggerFired", triggerFired, rollBackOnTrigger},
		{"BlindTooLong", blindForTooLong, rollBackOnTrigger},
		{"Unattended", unattendedRollsBack, rollBackUnattended},
		{"StepDeadlineExceeded", deadlinePassed, rollBackOnDeadline},
	},
}

func triggerFired(f *facts) bool {
	return f.in.Verdict.Outcome == v1alpha1.VerdictFail
}

func blindForTooLong(f *facts) bool { return f.in.Verdict.BlindRollback }

func rollBackOnTrigger(f *facts) Decision {
	return f.beginRollback(v1alpha1.OutcomeRolledBack, f.in.Verdict.Trigger,
		fmt.Sprintf("%s: %s, at %s", f.in.Verdict.Trigger, f.in.Verdict.Message, f.stageAndWeight()))
}

func deadlinePassed(f *facts) bool {
	return f.deadlineRollsBack() && f.deadlineExceeded() && !f.decided()
}

func (f *facts) deadlineRollsBack() bool {
	s := f.in.Spec
	return s.OnDeadline == v1alpha1.Rollback && s.Mode != v1alpha1.ModeObserve && onTrial(f) && !keptAsItIs(f) && !settling(f) && !f.tooSmall()
}

// decided holds when the step or bake has all that it waits for. A deadline
// that passed while the controller was down is then no reason to roll back.
func (f *facts) decided() bool {
	if undecided(f) || weightWrong(f) || !f.in.Route.Acknowledged {
		return false
	}
	acknowledged := f.step().AcknowledgedAt != nil
	return baking(f) && f.promotion().FullAt != nil || stepping(f) && acknowledged && !canaryUnready(f)
}

// deadlineExceeded reports whether the step, bake, handover or rollback has
// taken longer than it may.
func (f *facts) deadlineExceeded() bool { return !f.in.Now.Before(f.deadline()) }

// deadline is when the step, bake, handover or rollback has taken stepDeadline,
// beyond the hold, bake or drain that it must take anyway and what it waited itself.
func (f *facts) deadline() time.Time {
	from, must := f.stepFrom()
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
		must += f.stood()
	}
	if r := f.in.Status.Rollback; r != nil && rollingBack(f) {
		from, must = r.StartedAt, f.traffic.Drain.Duration
	}
	return from.Add(must + f.in.Spec.StepDeadline.Duration)
}

// stepFrom is from when stepDeadline counts for the step in progress, and what comes on top.
// While the step waits for nothing but its approval, that is from now.
func (f *facts) stepFrom() (from metav1.Time, must time.Duration) {
	switch s := f.step(); {
	case s.AwaitsApprovalSince != nil:
		return f.now(), 0
	case s.PassedUntil != nil && s.AcknowledgedAt.Before(s.PassedUntil):
		return *s.PassedUntil, f.waited()
	case s.PassedUntil != nil:
		// It has lost its weight since, and holds anew.
		return *s.PassedUntil, f.stepHold() + f.waited()
	default:
		return s.EnteredAt, f.stepHold() + f.waited()
	}
}

func rollBackOnDeadline(f *facts) Decision {
	return f.beginRollback(v1alpha1.OutcomeRolledBack, "deadline",
		fmt.Sprintf("not decided within stepDeadline %s, at %s: %s", f.in.Spec.StepDeadline.Duration, f.stageAndWeight(), f.undecidedBecause()))
}
