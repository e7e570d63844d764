package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// away is an absence that began before now, of a controller that may be away for 20 minutes.
func away(d time.Duration) change {
	return func(in *plan.Input) {
		in.Spec.Unattended.Duration = 20 * time.Minute
		in.Status.AttendedAt = ptr(ago(d))
	}
}

func holdsAfterwards(in *plan.Input) { in.Spec.OnUnattended = v1alpha1.Hold }

func unattendedCases() []ruleCase {
	const back, rolling, paused = v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack, v1alpha1.ReasonPaused
	long, short := away(25*time.Minute+time.Second), away(25*time.Minute)
	observe := func(in *plan.Input) { in.Spec.Mode = v1alpha1.ModeObserve }
	return []ruleCase{
		works("Unattended", "in a step", given(stepAt(0), long), nil, back, rolling,
			"no controller looked at the candidate for at least 20m1s (spec.unattended is 20m0s; the last look on record is of 11:34:59Z), at step 1 of 2 (smoke), weight 10 %"),
		works("Unattended", "in a promotion", given(promoting, long), nil, back, rolling),
		works("Unattended", "in a bake", given(baking, long), nil, back, rolling),
		works("Unattended", "paused", given(stepAt(0), long, personPaused), nil, back, rolling),
		works("Unattended", "in a step that a person promotes", given(stepAt(0), long, action(v1alpha1.ActionPromote, "")), nil, back, rolling),
		works("TriggerFired", "nobody looked", given(stepAt(0), long, verdict(v1alpha1.VerdictFail)), nil, back, rolling),
		works("StepPassed", "for not too long", given(stepAt(0), short), plan.ScaleCanary{Replicas: 2}, v1alpha1.PhaseStepping, v1alpha1.ReasonProgressing),
		works("StepPassed", "nobody looked, in mode Observe", given(stepAt(0), long, observe), plan.ScaleCanary{Replicas: 2}, v1alpha1.PhaseStepping, v1alpha1.ReasonProgressing),
		works("HandsOver", "nobody looked at a handover", given(handingOver, long), plan.HandOver{Replicas: 4}, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver),
		works("UnattendedHolds", "in a step", given(stepAt(0), long, holdsAfterwards), nil, v1alpha1.PhaseStepping, paused, "paused; a trigger that fires still rolls back; it stays so until the command Resume"),
		works("UnattendedHolds", "in a bake", given(baking, long, holdsAfterwards), nil, v1alpha1.PhaseBaking, paused),
		works("Paused", "held after an absence", given(stepAt(0), long, holdsAfterwards, specPaused), nil, v1alpha1.PhaseStepping, paused),
		works("EmptiesCanary", "nobody looked, and there are no replicas", given(stepAt(0), long, atZero), plan.ScaleCanary{}, v1alpha1.PhaseStepping, v1alpha1.ReasonScaledToZero),
	}
}

// TestAttendanceIsMarked: every quarter of spec.unattended, in a run, and where it is asked for.
func TestAttendanceIsMarked(t *testing.T) {
	l := looks{t, given(stepAt(0), verdict(v1alpha1.VerdictInconclusive), entered(justNow), acknowledgedAt(&justNow))}
	if r := l.look(0); r.Status.AttendedAt != nil {
		t.Errorf("marked without being asked: %s", r.Status.AttendedAt)
	}
	began := l.in.Now
	l.look(0, func(in *plan.Input) { in.Spec.Unattended.Duration = time.Minute })
	for after := range 46 {
		want := began.Add(time.Duration(after) / 15 * 15 * time.Second)
		if r := l.in.Status; r.AttendedAt == nil || !r.AttendedAt.Time.Equal(want) {
			t.Fatalf("after %d s marked at %s, want %s", after, r.AttendedAt, want)
		}
		l.look(time.Second)
	}
	if r := l.look(time.Second); r.Recheck > 14*time.Second {
		t.Errorf("looks again only after %s", r.Recheck)
	}
	if r := l.look(0, func(in *plan.Input) { in.Spec.Unattended.Duration = 0 }); r.Status.AttendedAt != nil {
		t.Errorf("marked although it is not asked for any more")
	}
}

// TestAnAbsenceIsAnsweredOnce: also when another row comes first on the controller's return; and
// the clock of another node may be behind.
func TestAnAbsenceIsAnsweredOnce(t *testing.T) {
	l := looks{t, given(stepAt(0), away(time.Hour), holdsAfterwards, pairOff, routeGone)}
	if r := l.look(0, action(v1alpha1.ActionApprove, "")); r.Rule != "ActionRefused" || time.Since(r.Status.AttendedAt.Time) < 0 || !r.Status.AttendedAt.Time.Equal(now.Add(-time.Hour)) {
		t.Fatalf("%s marks %s", r.Rule, r.Status.AttendedAt)
	}
	if r := l.look(time.Second, func(in *plan.Input) { in.Route.Fault = plan.Fault{} }); r.Rule != "UnattendedHolds" || r.Status.Pause == nil || r.Status.Pause.By != "spec.unattended" {
		t.Fatalf("%s: %+v", r.Rule, r.Status.Pause)
	}
	if r := l.look(time.Second); r.Rule != "Paused" {
		t.Errorf("then %s", r.Rule)
	}
	if r := l.look(time.Second, action(v1alpha1.ActionResume, "")); r.Rule != "ResumeRequested" || r.Status.Pause != nil {
		t.Errorf("then %s", r.Rule)
	}
	if r := l.look(-time.Minute); r.Rule == "UnattendedHolds" || !r.Status.AttendedAt.Time.Equal(l.in.Now) {
		t.Errorf("with a clock behind: %s marks %s", r.Rule, r.Status.AttendedAt)
	}
}
