package view

import (
	"slices"
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

// TestNobodyIsAdvisedToUndoAReturn: going back from a version that returns brings the one
// again that somebody went back from.
func TestNobodyIsAdvisedToUndoAReturn(t *testing.T) {
	for phase, want := range map[v1alpha1.Phase][]string{
		v1alpha1.PhaseGating: {"abort"}, v1alpha1.PhasePromoting: {"abort"}, v1alpha1.PhaseHandingOver: nil,
	} {
		r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{
			Phase: phase, Stable: &v1alpha1.Revision{Revision: "bad"}, Candidate: &v1alpha1.Revision{Revision: "before"},
			Previous: []v1alpha1.PreviousRevision{{Revision: "before"}},
		}}
		if got, _ := actions(r); !slices.Equal(got, want) {
			t.Errorf("%s of a return: %q, want %q", phase, got, want)
		}
		r.Status.Previous = nil
		if got, _ := actions(r); !slices.Contains(got, "rollback") {
			t.Errorf("%s of a new version: %q", phase, got)
		}
	}
}
