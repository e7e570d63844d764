package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestAWaitForAnApprovalIsNoTimeOfThePromotion: the last step waits three days for its approval.
// The promotion after it has its own stepDeadline of one hour, and not 73.
func TestAWaitForAnApprovalIsNoTimeOfThePromotion(t *testing.T) {
	l := &looks{t, given(stepAt(1), approval(1), rollBackAtDeadline)}
	if r := l.look(0); r.Rule != "AwaitsApproval" {
		t.Fatalf("not waiting: %s", r.Rule)
	}
	l.look(72*time.Hour, stepAction(v1alpha1.ActionApprove, "2"))
	if r := l.look(time.Second); r.Rule != "StepsPassed" {
		t.Fatalf("approved: %s", r.Rule)
	}
	// The pods for 100 % never become ready.
	l.look(time.Second, canaryPods(3), canaryReady(2))
	if r := l.look(70 * time.Minute); r.Rule != "StepDeadlineExceeded" {
		t.Errorf("promoting for 70 minutes, with a deadline of 60: %s, %s", r.Rule, r.Reason)
	}
}

// TestABakeAfterAnApprovalHasItsOwnDeadline: as above, for a bake whose verdict stays unknown.
func TestABakeAfterAnApprovalHasItsOwnDeadline(t *testing.T) {
	in := given(baking, fullAt(ptr(ago(66*time.Minute))), verdict(v1alpha1.VerdictInconclusive), rollBackAtDeadline)
	l := &looks{t, in}
	if r := l.look(0); r.Rule != "StepDeadlineExceeded" {
		t.Fatalf("the control, without an approval before: %s", r.Rule)
	}
	l = &looks{t, in}
	step := in.Status.Step.DeepCopy()
	step.WaitedSeconds, step.WaitedBefore = 72*3600, 72*3600 // what an approval of the last step leaves
	l.in.Status.Step = step
	if r := l.look(0); r.Rule != "StepDeadlineExceeded" {
		t.Errorf("a bake of 5 minutes, undecided an hour later: %s, %s", r.Rule, r.Reason)
	}
}

// TestAWaitForAnApprovalLeavesRoomInTheRecord: every other minute a trigger is Inconclusive, as one
// with little traffic is at night. Who approves in the morning is in the run's record.
func TestAWaitForAnApprovalLeavesRoomInTheRecord(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0))}
	var held []string
	record := func(r plan.Result) {
		if r.Record != nil {
			held = append(held, r.Record.Rule)
		}
	}
	for range 30 {
		record(l.look(time.Minute, verdict(v1alpha1.VerdictPass)))
		record(l.look(time.Minute, verdict(v1alpha1.VerdictInconclusive)))
	}
	record(l.look(time.Minute, verdict(v1alpha1.VerdictPass)))
	record(l.look(time.Minute, stepAction(v1alpha1.ActionApprove, "1")))
	record(l.look(time.Second))
	if want := []string{"AwaitsApproval", "StepUndecided", "ApproveRequested", "StepPassed"}; !slices.Equal(held, want) {
		t.Errorf("after an hour of blinks the record has %q, want %q", held, want)
	}
}

// TestBlinksOfAWaitForAnApprovalAreNoDeadline: over a weekend a trigger is unknown for two minutes
// every half an hour. No stage was ever undecided for an hour.
func TestBlinksOfAWaitForAnApprovalAreNoDeadline(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0), rollBackAtDeadline)}
	for i := range 2 * 48 {
		l.look(0, verdict(v1alpha1.VerdictPass))
		l.look(28 * time.Minute)
		r := l.look(time.Second, verdict(v1alpha1.VerdictInconclusive))
		if r.Rule == "StepUndecided" {
			r = l.look(2 * time.Minute)
		}
		if r.Rule == "StepDeadlineExceeded" {
			t.Fatalf("rolled back at blink %d of two minutes: %s", i+1, r.Why)
		}
	}
}

// TestSinceWhenAStepWaitsForItsApproval: a verdict that was unknown for a moment does not make the
// wait young again, nor an alert on its age.
func TestSinceWhenAStepWaitsForItsApproval(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0))}
	first := l.look(0).Status.Step.AwaitsApprovalSince
	l.look(5*time.Hour, verdict(v1alpha1.VerdictInconclusive))
	if r := l.look(10*time.Second, verdict(v1alpha1.VerdictPass)); !r.Status.Step.AwaitsApprovalSince.Equal(first) {
		t.Errorf("waiting for five hours: %s", r.Why)
	}
}

// TestAPromotionSaysWhichStepsWereSkipped, as it does for those that Promote ended.
func TestAPromotionSaysWhichStepsWereSkipped(t *testing.T) {
	l := &looks{t, given(stepAt(0), verdict(v1alpha1.VerdictInconclusive), stepAction(v1alpha1.ActionSkip, "1"))}
	l.look(0)
	l.look(time.Second, verdict(v1alpha1.VerdictPass), canaryPods(2), split(50))
	r := l.look(2 * time.Minute)
	for range 3 {
		if r.Rule == "StepsPassed" {
			break
		}
		r = l.look(2 * time.Minute)
	}
	if r.Rule != "StepsPassed" || r.Status.Promotion == nil || !strings.Contains(r.Status.Promotion.Message, "ann skipped step 1") {
		t.Errorf("%s: the promotion says %+v", r.Rule, r.Status.Promotion)
	}
}

// TestWhatComesNextOnceAStepIsApproved is not its approval.
func TestWhatComesNextOnceAStepIsApproved(t *testing.T) {
	l := &looks{t, given(stepAt(0), approval(0))}
	l.look(0)
	r := l.look(time.Minute, verdict(v1alpha1.VerdictInconclusive), stepAction(v1alpha1.ActionApprove, "1"))
	if strings.Contains(r.Why, "it goes on") {
		t.Errorf("a verdict is not known, and the answer is: %s", r.Why)
	}
	if r = l.look(time.Minute); r.Rule != "StepUndecided" || strings.HasPrefix(r.Status.Step.Next, "approval") {
		t.Errorf("%s: status.step.next is %q, and the approval is there", r.Rule, r.Status.Step.Next)
	}
}

// TestASkippedStepThatHadPassedIsNotCalledUnjudged.
func TestASkippedStepThatHadPassedIsNotCalledUnjudged(t *testing.T) {
	l := &looks{t, given(stepAt(0), stepAction(v1alpha1.ActionSkip, "1"))}
	if r := l.look(0); strings.Contains(r.Why, "not judged there") {
		t.Errorf("hold over, 2 of 2 triggers pass, and the record says: %s", r.Why)
	}
}

// TestAHandoverAfterAnApprovalHasItsOwnDeadline: pods that are never steady make a handover native
// after stepDeadline, and not days later.
func TestAHandoverAfterAnApprovalHasItsOwnDeadline(t *testing.T) {
	rule := func(waited int64) string {
		in := given(handingOver, canaryPods(replicas), canaryReady(replicas-1))
		since := ago(70 * time.Minute)
		p := *in.Status.Promotion
		p.StartedAt, p.FullAt, p.HandingSince, p.SizeSince, p.Size = ago(90*time.Minute), ptr(ago(80*time.Minute)), &since, nil, nil
		step := &v1alpha1.StepStatus{Index: 1, EnteredAt: longAgo, AcknowledgedAt: ptr(longAgo), WaitedSeconds: waited, WaitedBefore: waited}
		in.Status.Promotion, in.Status.Step = &p, step
		return (&looks{t, in}).look(0).Rule
	}
	if without, with := rule(0), rule(72*3600); without != with {
		t.Errorf("70 minutes into a handover: %s, and after an approval that took three days: %s", without, with)
	}
}
