package gitops

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/world"
)

// TestKstatusOfEveryStatus: whoever waits by kstatus waits as long as a candidate is not
// promoted, and hears of a failure only when a person is needed.
func TestKstatusOfEveryStatus(t *testing.T) {
	seen := map[v1alpha1.Phase]map[Health]int{}
	for _, story := range world.Stories() {
		Rollouts(story, func(s State) {
			checkKstatus(t, s)
			var r v1alpha1.Rollout
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(s.Object.Object, &r); err != nil {
				t.Fatal(err)
			}
			if seen[r.Status.Phase] == nil {
				seen[r.Status.Phase] = map[Health]int{}
			}
			seen[r.Status.Phase][s.Want]++
		})
	}
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting,
		v1alpha1.PhaseBaking, v1alpha1.PhaseHandingOver, v1alpha1.PhaseRollingBack, v1alpha1.PhaseRolledBack} {
		if len(seen[phase]) == 0 {
			t.Errorf("no story has a status in phase %s", phase)
		}
		if phase != v1alpha1.PhaseStable && seen[phase][Healthy] > 0 {
			t.Errorf("a Rollout is done in phase %s", phase)
		}
	}
	if seen[v1alpha1.PhaseStable][Healthy] == 0 || seen[v1alpha1.PhaseRolledBack][Failed] == 0 {
		t.Errorf("nothing is ever done, or ever fails: %v", seen)
	}
	t.Log(seen)
}

func TestKstatusOfOtherKinds(t *testing.T) {
	for _, s := range Others() {
		checkKstatus(t, s)
	}
}

func checkKstatus(t *testing.T, s State) {
	t.Helper()
	result, err := status.Compute(s.Object)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	if string(result.Status) != string(s.Plain) {
		t.Errorf("%s is %s for kstatus (%s), want %s: %v", s.Name, result.Status, result.Message, s.Plain, s.Object.Object["status"])
	}
}

// TestConditionsKeepTheirTimes: a condition that has the status that it had before has its
// time too, so that "for how long" can be read from it; and Stalled does not come and go
// while nothing else changes.
func TestConditionsKeepTheirTimes(t *testing.T) {
	for _, story := range world.Stories() {
		var last v1alpha1.RolloutStatus
		times := map[string]int{}
		Rollouts(story, func(s State) {
			var r v1alpha1.Rollout
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(s.Object.Object, &r); err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Status.Conditions {
				was := meta.FindStatusCondition(last.Conditions, c.Type)
				if was != nil && was.Status == c.Status && !was.LastTransitionTime.Equal(&c.LastTransitionTime) {
					t.Errorf("%s: %s=%s (%s) has the time %s, and had %s", s.Name, c.Type, c.Status, c.Reason, c.LastTransitionTime, was.LastTransitionTime)
				}
				if began := c.Type == v1alpha1.ConditionStalled && was == nil; began {
					which := fmt.Sprint(r.Status.Run, r.Status.Phase, c.Reason, len(r.Status.HandledTokens), r.Status.Epoch)
					if times[which]++; times[which] > 2 {
						t.Errorf("%s: is Stalled for the %d. time: %s", s.Name, times[which], c.Message)
					}
				}
			}
			last = r.Status
		})
	}
}
