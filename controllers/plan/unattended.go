package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// A candidate is unattended while no controller looks at it: none runs, none leads, or it does
// not reach the API server. Its guardrails are asked again afterwards, also of the time between,
// and most teams want no more. With spec.unattended a candidate that was unattended for longer
// is rolled back, or held until a person has looked.

// marksPerAbsence is how often, within spec.unattended, the status is marked as looked at. An
// absence is known to one such interval, and taken for the shorter one.
const marksPerAbsence = 4

// unattended holds at the first look after an absence that was longer than spec.unattended.
func unattended(f *facts) bool {
	s := f.in.Spec
	if !onTrial(f) || f.in.Status.AttendedAt == nil || s.Unattended.Duration <= 0 || s.Mode == v1alpha1.ModeObserve || f.in.Workload.Replicas == 0 {
		return false
	}
	return f.sinceAttended() > s.Unattended.Duration+f.markEvery()
}

func (f *facts) sinceAttended() time.Duration { return f.in.Now.Sub(f.in.Status.AttendedAt.Time) }

func (f *facts) markEvery() time.Duration { return f.in.Spec.Unattended.Duration / marksPerAbsence }

func unattendedRollsBack(f *facts) bool {
	return f.in.Spec.OnUnattended != v1alpha1.Hold && unattended(f)
}

func unattendedHolds(f *facts) bool {
	return f.in.Spec.OnUnattended == v1alpha1.Hold && !paused(f) && unattended(f)
}

// absence says for how long nobody looked, at least.
func (f *facts) absence() string {
	return fmt.Sprintf("no controller looked at the candidate for at least %s (spec.unattended is %s; the last look on record is of %s)",
		(f.sinceAttended() - f.markEvery()).Truncate(time.Second), f.in.Spec.Unattended.Duration, clock(f.in.Status.AttendedAt.Time))
}

func rollBackUnattended(f *facts) Decision {
	return f.beginRollback(v1alpha1.OutcomeRolledBack, "unattended", fmt.Sprintf("%s, at %s", f.absence(), f.stageAndWeight()))
}

// holdUnattended pauses the candidate as the command Pause does, so that a person ends it.
func holdUnattended(f *facts) Decision {
	why := fmt.Sprintf("%s, at %s: paused; a trigger that fires still rolls back; it stays so until the command Resume", f.absence(), f.stageAndWeight())
	d := f.reconciling(v1alpha1.ReasonPaused, why)
	d.Status.Pause = &v1alpha1.PauseStatus{Revision: f.candidate, By: "spec.unattended", Reason: v1alpha1.Bounded(f.absence(), 256), At: f.began()}
	return d
}

// noteAttended marks a run as looked at. An absence that has no answer yet stays known until
// its row has given it.
func (f *facts) noteAttended(d *Decision) {
	s, limit := &d.Status, f.in.Spec.Unattended.Duration
	if limit <= 0 || !s.Phase.InRun() {
		s.AttendedAt = nil
		return
	}
	anew := s.AttendedAt == nil || s.Run != f.in.Status.Run || d.Rule == "UnattendedHolds"
	if !anew && (unattendedRollsBack(f) || unattendedHolds(f)) {
		return
	}
	if age := f.markEvery(); anew || f.sinceAttended() >= age || f.sinceAttended() < 0 {
		at := f.began()
		s.AttendedAt = &at
	}
	if next := s.AttendedAt.Add(f.markEvery()).Sub(f.in.Now); d.Recheck <= 0 || d.Recheck > next {
		d.Recheck = max(next, 1)
	}
}
