package view

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TestAPauseIsShown: by whom, since when and why, what ends it, and a hold that stands still.
func TestAPauseIsShown(t *testing.T) {
	now := time.Date(2026, 11, 26, 20, 30, 0, 0, time.UTC)
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }
	begun, since := ago(20*time.Minute), ago(15*time.Minute)
	status := func(p *v1alpha1.PauseStatus) v1alpha1.RolloutStatus {
		return v1alpha1.RolloutStatus{
			Phase: v1alpha1.PhaseStepping, Candidate: &v1alpha1.Revision{Revision: "new"}, Pause: p,
			Step:       &v1alpha1.StepStatus{EnteredAt: begun, AcknowledgedAt: &begun, WaitsSince: &since, Weight: v1alpha1.WeightStatus{Desired: 5, Observed: 5}},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPaused, LastTransitionTime: ago(time.Minute)}},
		}
	}
	by := &v1alpha1.PauseStatus{Revision: "new", By: "ann", Reason: "look at the logs", At: since}
	for name, c := range map[string]struct {
		pause                *v1alpha1.PauseStatus
		spec                 bool
		headline, next, from string
	}{
		"by a person": {by, false, "PAUSED at 5 % by ann since 20:15Z: look at the logs", "resume", "20:15"},
		"by the spec": {nil, true, "PAUSED at 5 %", "unset spec.paused", "20:10"},
		"by both":     {by, true, "PAUSED at 5 % by ann since 20:15Z: look at the logs", "unset spec.paused, and resume", "20:15"},
	} {
		r := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Paused: c.spec, Steps: []v1alpha1.Step{{Weight: 5, Hold: metav1.Duration{Duration: 10 * time.Minute}}}}, Status: status(c.pause)}
		screen := Rollout(Input{Rollout: r, Now: now})
		if screen.Headline != c.headline || screen.Next != c.next || screen.Since.Format("15:04") != c.from {
			t.Errorf("%s: %q, next %q, since %s", name, screen.Headline, screen.Next, screen.Since.Format("15:04"))
		}
		if left, _ := screen.Steps[0].Left(); left != 5*time.Minute {
			t.Errorf("%s: %s of the hold are left, want 5m", name, left)
		}
	}
}
