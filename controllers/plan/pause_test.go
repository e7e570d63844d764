package plan_test

import (
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// looks at an input again and again, each time with what was recorded before.
type looks struct {
	t  *testing.T
	in plan.Input
}

func (l *looks) look(after time.Duration, changes ...change) plan.Result {
	l.in.Now = l.in.Now.Add(after)
	for _, c := range changes {
		c(&l.in)
	}
	r := plan.Transition(l.in)
	l.in.Status, l.in.Action = r.Status, nil
	l.t.Logf("%s %s: %s (%s)", l.in.Now.Format("15:04:05"), r.Rule, r.Why, r.Does())
	return r
}

// pauses are the two ways to pause, and to go on.
var pauses = map[string]struct{ begin, end change }{
	"by the spec": {specPaused, func(in *plan.Input) { in.Spec.Paused = false }},
	"by command":  {action(v1alpha1.ActionPause, ""), action(v1alpha1.ActionResume, "")},
}

// TestAPauseStopsTheClocks: one minute into a hold of one and a half, and into a bake of five,
// somebody pauses for three hours. The rest of each comes afterwards, however late, and the
// deadline of an hour is not over.
func TestAPauseStopsTheClocks(t *testing.T) {
	for name, c := range map[string]struct {
		stage    change
		rest     time.Duration
		ends     string
		deadline time.Duration
	}{
		"a hold": {all(stepAt(0), acknowledgedAt(ptr(ago(30*time.Second))), entered(ago(time.Minute))), 30 * time.Second, "StepPassed", 0},
		"a bake": {all(baking, fullAt(ptr(ago(time.Minute)))), 4 * time.Minute, "HandsOver", 0},
	} {
		for by, p := range pauses {
			t.Run(name+" "+by, func(t *testing.T) {
				l := &looks{t, given(c.stage, rollBackAtDeadline)}
				l.look(0, p.begin)
				l.look(500 * time.Millisecond)
				if r := l.look(3 * time.Hour); r.Reason != v1alpha1.ReasonPaused || len(r.Effects) > 0 {
					t.Fatalf("after three hours: %s", r.Reason)
				}
				l.look(200*time.Millisecond, p.end)
				if r := l.look(c.rest - time.Second); r.Reason == v1alpha1.ReasonDeadlineExceeded || r.Status.Phase != l.in.Status.Phase || r.Rule == c.ends {
					t.Fatalf("the rest is cut: %s", r.Rule)
				}
				ended := l.look(4 * time.Second)
				_, over := plan.EffectOf[plan.HandOver](ended.Decision)
				if ended.Rule != c.ends && !over && ended.Status.Phase != v1alpha1.PhaseHandingOver {
					t.Errorf("the rest is over, and not the stage: %s", ended.Rule)
				}
			})
		}
	}
}

// TestAHoldThatBeginsAfterAPauseIsNotLonger: the pause came while the canary was not ready.
func TestAHoldThatBeginsAfterAPauseIsNotLonger(t *testing.T) {
	l := &looks{t, given(stepAt(0), acknowledgedAt(nil), entered(justNow), canaryReady(0), split(0))}
	l.look(0, specPaused)
	l.look(time.Hour)
	l.look(time.Second, func(in *plan.Input) { in.Spec.Paused = false }, canaryPods(1), split(10))
	if l.in.Status.Step.AcknowledgedAt == nil {
		t.Fatal("the weight is not acknowledged")
	}
	if r := l.look(64 * time.Second); r.Rule != "StepPassed" {
		t.Errorf("a hold of one minute is not over after 64 s: %s", r.Rule)
	}
}

// TestAPauseEndsWithItsCandidate, and not with a run of it that ends otherwise.
func TestAPauseEndsWithItsCandidate(t *testing.T) {
	ended := all(noCanary, noSplit)
	for name, c := range map[string]struct {
		in    plan.Input
		stays bool
	}{
		"a newer version before the run":            {given(gating, declares(newerRevision), personPaused), false},
		"a newer version in the run":                {given(stepAt(0), declares(newerRevision), personPaused), true},
		"a newer version, the run ended":            {given(rollingBack(&recently), ended, rollbackOutcome(v1alpha1.OutcomeSuperseded), declares(newerRevision), personPaused), false},
		"stable declared again":                     {given(gating, declares(stableRevision), paused(false), personPaused), false},
		"rejected":                                  {given(stepAt(0), verdict(v1alpha1.VerdictFail), personPaused), false},
		"aborted before the run":                    {given(gating, personPaused, action(v1alpha1.ActionAbort, "")), false},
		"bypassed":                                  {given(stepAt(0), paused(false), personPaused), false},
		"the owner has changed":                     {given(handed, personPaused), false},
		"promoted":                                  {given(handedAlone, personPaused), false},
		"a run of an older version of the rules":    {given(stepAt(0), personPaused, func(in *plan.Input) { in.Run.Former = true }), true},
		"it is taken back":                          {given(rollingBack(&recently), ended, rollbackOutcome(v1alpha1.OutcomeCancelled), personPaused), true},
		"a wait":                                    {given(baking, personPaused), true},
		"scaled to 0":                               {given(stepAt(0), personPaused, atZero), true},
		"the canary lost just before the handover":  {given(handingOver, personPaused, canaryReady(0)), true},
		"a deletion":                                {given(stepAt(0), personPaused, deleted(time.Second)), true},
		"the Deployment is gone for the time being": {given(stepAt(0), personPaused, workloadGone), true},
	} {
		t.Run(name, func(t *testing.T) {
			if d := plan.Decide(c.in); (d.Status.Pause != nil) != c.stays {
				t.Errorf("%s: the pause is %+v", d.Rule, d.Status.Pause)
			}
		})
	}
}

// TestAPausedRunOfOlderRulesWaitsAgain: an upgrade takes the run back, and the next run of
// the same version does not start before somebody resumes it.
func TestAPausedRunOfOlderRulesWaitsAgain(t *testing.T) {
	l := &looks{t, given(stepAt(0), personPaused, func(in *plan.Input) { in.Run.Former = true })}
	for range 3 {
		l.look(time.Second)
	}
	l.look(time.Second, split(0))
	l.look(time.Minute)
	l.look(time.Minute, noCanary)
	l.look(time.Second, noSplit)
	for range 5 {
		l.look(time.Second, func(in *plan.Input) { in.Workload.Marks.Run = "" })
	}
	if l.in.Status.Phase != v1alpha1.PhaseGating || l.in.Status.Pause == nil {
		t.Fatalf("phase %s, pause %+v", l.in.Status.Phase, l.in.Status.Pause)
	}
	l.look(time.Second, action(v1alpha1.ActionResume, candidateRevision))
	if r := l.look(time.Second); r.Rule != "RunStarts" {
		t.Errorf("resumed: %s", r.Rule)
	}
}

// TestEachPauseCancelsItsHandover: a second pause fences a handover that was decided after
// the first.
func TestEachPauseCancelsItsHandover(t *testing.T) {
	l := &looks{t, given(handingOver, handedAt(&justNow))}
	for n := range 2 {
		l.look(0, action(v1alpha1.ActionPause, ""), func(in *plan.Input) { in.Action.Token = string(rune('a' + n)) })
		fence, ok := plan.EffectOf[plan.FenceCanary](l.look(time.Second).Decision)
		if !ok || fence.Epoch <= l.in.Canary.Epoch {
			t.Fatalf("pause %d does not fence: %+v", n+1, fence)
		}
		l.look(time.Second, func(in *plan.Input) { in.Canary.Epoch = fence.Epoch })
		if r := l.look(time.Second); r.Rule != "Paused" || r.Status.Promotion.HandedAt != nil {
			t.Fatalf("fenced: %s", r.Rule)
		}
		l.look(time.Second, action(v1alpha1.ActionResume, ""), func(in *plan.Input) { in.Action.Token = string(rune('x' + n)) })
		for i := 0; l.in.Status.Promotion.HandedAt == nil; i++ {
			if i > 30 {
				t.Fatal("not handed over after the pause")
			}
			l.look(2 * time.Second)
		}
	}
}

// TestAPauseIsNoDeadlineAfterABakeRestarts: a person pauses a bake for three hours. After that
// somebody changes the route, and the candidate gets its weight back and another bake.
func TestAPauseIsNoDeadlineAfterABakeRestarts(t *testing.T) {
	in := given(baking, fullAt(ptr(ago(3*time.Hour+2*time.Minute))), rollBackAtDeadline)
	in.Status.Promotion.StartedAt = ago(3*time.Hour + 3*time.Minute)
	in.Status.Step.WaitedSeconds = 3 * 3600
	l := &looks{t, in}
	if r := l.look(0, split(50)); r.Status.Promotion.FullAt != nil {
		t.Fatalf("the control, a bake that restarts: %s", r.Rule)
	}
	if r := l.look(2*time.Second, verdict(v1alpha1.VerdictInconclusive)); r.Rule == "StepDeadlineExceeded" {
		t.Errorf("undecided for three minutes beside the pause: %s", r.Why)
	}
}

// TestAPauseIsNoDeadlineAfterAStepHadPassed: as above, for a step that had passed but for its
// approval before the pause, and holds anew after it.
func TestAPauseIsNoDeadlineAfterAStepHadPassed(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0), rollBackAtDeadline)}
	l.look(0)
	l.look(time.Second, verdict(v1alpha1.VerdictInconclusive))
	l.look(time.Second, stepAction(v1alpha1.ActionPause, ""))
	l.look(3 * time.Hour)
	l.look(time.Second, stepAction(v1alpha1.ActionResume, ""))
	l.look(2*time.Second, split(5))
	l.look(2*time.Second, split(10))
	for range 3 {
		if r := l.look(10 * time.Second); r.Rule == "StepDeadlineExceeded" {
			t.Fatalf("undecided for a minute beside the pause: %s", r.Why)
		}
	}
}

// TestAHoldThatBeginsAnewAfterAStepHadPassedIsNoDeadline, however long it is.
func TestAHoldThatBeginsAnewAfterAStepHadPassedIsNoDeadline(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0), rollBackAtDeadline, acknowledgedAt(ptr(ago(2*time.Hour+time.Minute))))}
	l.in.Spec.Steps[0].Hold.Duration = 2 * time.Hour
	if r := l.look(0); r.Rule != "AwaitsApproval" {
		t.Fatalf("the control: %s", r.Rule)
	}
	l.look(time.Second, verdict(v1alpha1.VerdictInconclusive), split(5))
	l.look(2*time.Second, split(10))
	for _, want := range []string{"StepHolds", "StepUndecided", "StepDeadlineExceeded"} {
		if r := l.look(65 * time.Minute); r.Rule != want {
			t.Errorf("%s, want %s: %s", r.Rule, want, r.Why)
		}
	}
}
