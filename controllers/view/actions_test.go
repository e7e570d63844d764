package view

import (
	"slices"
	"strings"
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
		if got, _ := actions(r, nil); !slices.Equal(got, want) {
			t.Errorf("%s of a return: %q, want %q", phase, got, want)
		}
		r.Status.Previous = nil
		if got, _ := actions(r, nil); !slices.Contains(got, "rollback") {
			t.Errorf("%s of a new version: %q", phase, got)
		}
	}
}

// TestNobodyIsAdvisedToUndoAReturnThatIsOver: kubectl belay rollback would ask for --to.
func TestNobodyIsAdvisedToUndoAReturnThatIsOver(t *testing.T) {
	r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{
		Phase: v1alpha1.PhaseStable, Stable: &v1alpha1.Revision{Revision: "before"}, Previous: []v1alpha1.PreviousRevision{{Revision: "bad"}},
		History: []v1alpha1.HistoryEntry{{Run: "two", Revision: "before", Outcome: v1alpha1.OutcomePromoted}},
	}}
	run := &v1alpha1.RolloutRun{}
	run.Name = "two"
	for rule, want := range map[string][]string{"RunStarts": {"rollback"}, "RevertStarts": nil} {
		run.Status.Decisions = []v1alpha1.DecisionRecord{{Rule: rule}}
		if got, _ := actions(r, run); !slices.Equal(got, want) {
			t.Errorf("after %s: %q, want %q", rule, got, want)
		}
	}
	r.Status.History = append([]v1alpha1.HistoryEntry{{Run: "three", Revision: "worse", Outcome: v1alpha1.OutcomeRolledBack}}, r.Status.History...)
	if got, _ := actions(r, run); !slices.Equal(got, []string{"rollback"}) {
		t.Errorf("after another run: %q", got)
	}
}

// TestEffectsAreHarmlessToShells: they stand beside commands to paste, and some shells read
// what follows a #.
func TestEffectsAreHarmlessToShells(t *testing.T) {
	for _, image := range []string{"shop:1;reboot", "shop:$(reboot)", "shop:`reboot`", "shop:1|sh", "shop:1>x", "shop:1 & x", "shop:!!"} {
		for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseStepping, v1alpha1.PhaseRolledBack, v1alpha1.PhaseGating, v1alpha1.PhaseStable} {
			r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{Phase: phase, Stable: &v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: image},
				Candidate: &v1alpha1.Revision{Revision: "bbbbbbbbbb", Image: image}, Previous: []v1alpha1.PreviousRevision{{Revision: "cccccccccc", Image: image}}}}
			names, effects := actions(r, nil)
			for _, name := range names {
				if strings.ContainsAny(effects[name], ";$()`|<>&!\"'\\") {
					t.Errorf("%s of %s: %s", name, image, effects[name])
				}
			}
		}
	}
}
