package judge

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TestTheShareOfTestersIsNotKnown: no verdict may rest on the weight of a step with testers, who
// send what they like beside it.
func TestTheShareOfTestersIsNotKnown(t *testing.T) {
	run := &v1alpha1.RolloutRun{}
	run.Spec.Steps = []v1alpha1.Step{
		{Match: &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Name: "x-canary", Value: "1"}}}, Weight: 10}, {Weight: 20}, {Mirror: 10},
	}
	at := metav1.Now()
	for index, want := range []int{0, 20, 0} {
		s := &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{Index: int32(index), AcknowledgedAt: &at}}
		if got := weightOf(s, run); got != want {
			t.Errorf("step %d is judged by weight %d, want %d", index, got, want)
		}
	}
	if got := weightOf(&v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseBaking}, run); got != 100 {
		t.Errorf("the bake is judged by weight %d", got)
	}
}
