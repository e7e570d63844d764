package view

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestAnAccountNamesWhatPeopleEnded, and no command that only waits or that was refused.
func TestAnAccountNamesWhatPeopleEnded(t *testing.T) {
	run := &v1alpha1.RolloutRun{Status: v1alpha1.RolloutRunStatus{Outcome: v1alpha1.OutcomePromoted}}
	for _, rule := range []string{"RunStarts", "ActionRefused", "SkipRequested", "StepPassed", "PauseRequested", "ApproveRequested", "PromoteRequested", "Promoted"} {
		run.Status.Decisions = append(run.Status.Decisions, v1alpha1.DecisionRecord{Rule: rule, Why: rule + " by ann"})
	}
	var got []string
	for _, d := range Explain(Input{Run: run}).Steered {
		got = append(got, d.Why)
	}
	if want := []string{"SkipRequested by ann", "ApproveRequested by ann", "PromoteRequested by ann"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestTheRulesOfCommandsExist: the account finds them by their names.
func TestTheRulesOfCommandsExist(t *testing.T) {
	for _, rule := range steering {
		if !slices.Contains(plan.Rules(), rule) {
			t.Errorf("there is no rule %s", rule)
		}
	}
}

// TestAWaitForAnApprovalIsShown: which step, since when, and what ends it; by the steps that
// the run has pinned, whatever the Rollout declares by now.
func TestAWaitForAnApprovalIsShown(t *testing.T) {
	now := time.Date(2026, 11, 26, 20, 30, 0, 0, time.UTC)
	begun, since := metav1.NewTime(now.Add(-20*time.Minute)), metav1.NewTime(now.Add(-15*time.Minute))
	hold := metav1.Duration{Duration: 5 * time.Minute}
	r := &v1alpha1.Rollout{
		Spec: v1alpha1.RolloutSpec{Steps: []v1alpha1.Step{{Weight: 5, Hold: hold}}},
		Status: v1alpha1.RolloutStatus{
			Phase: v1alpha1.PhaseStepping, Run: "shop-new-1", Candidate: &v1alpha1.Revision{Revision: "new"},
			Step:       &v1alpha1.StepStatus{Display: "1/2", EnteredAt: begun, AcknowledgedAt: &begun, AwaitsApprovalSince: &since, Weight: v1alpha1.WeightStatus{Desired: 5, Observed: 5}},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAwaitingApproval, LastTransitionTime: metav1.NewTime(now)}},
		},
	}
	run := &v1alpha1.RolloutRun{Spec: v1alpha1.RolloutRunSpec{Steps: []v1alpha1.Step{{Weight: 5, Hold: hold, Approval: v1alpha1.ApprovalRequired}, {Weight: 50, Hold: hold, Approval: v1alpha1.ApprovalRequired}}}}
	run.Name = "shop-new-1"
	screen := Rollout(Input{Rollout: r, Run: run, Now: now})
	if screen.Headline != "AWAITING APPROVAL of step 1/2 at 5 %" || screen.Next != "approve step 1/2" || !screen.Since.Equal(since.Time) {
		t.Errorf("%q, next %q, since %s", screen.Headline, screen.Next, screen.Since)
	}
	if screen.Actions[0] != "approve --step 1 --revision new" || !screen.Steps[0].Unapproved || !screen.Steps[1].Unapproved || screen.Steps[2].Unapproved {
		t.Errorf("actions %q, steps %+v", screen.Actions, screen.Steps)
	}
	if left, over := screen.Steps[0].Left(); left != 0 || over != 15*time.Minute {
		t.Errorf("%s of the hold are left, it is over for %s", left, over)
	}
	row := RowOf(Input{Rollout: r, Now: now}, "ann")
	if row.State != StateApproval || row.Next != "approve step 1/2" || row.Step != "1/2" || !row.Since.Equal(since.Time) {
		t.Errorf("row %+v", row)
	}
	r.Status.Step.Approval = &v1alpha1.ApprovalStatus{By: "ann", At: since}
	if screen := Rollout(Input{Rollout: r, Run: run, Now: now}); screen.Steps[0].Unapproved || !screen.Steps[1].Unapproved {
		t.Errorf("approved: %+v", screen.Steps)
	}
}
