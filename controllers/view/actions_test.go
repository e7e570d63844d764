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
		v1alpha1.PhaseGating: {"abort", "pause"}, v1alpha1.PhasePromoting: {"abort", "pause"}, v1alpha1.PhaseHandingOver: nil,
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

// TestActionsOfARun: what a person may do while a candidate is on trial, and nothing that
// would be refused.
func TestActionsOfARun(t *testing.T) {
	paused := func(r *v1alpha1.Rollout) { r.Status.Pause = &v1alpha1.PauseStatus{Revision: "new", By: "ann"} }
	spec := func(r *v1alpha1.Rollout) { r.Spec.Paused = true }
	native := func(r *v1alpha1.Rollout) { r.Spec.Promotion.Mode = v1alpha1.PromotionNative }
	last := func(r *v1alpha1.Rollout) { r.Status.Step.Index = 1 }
	for name, c := range map[string]struct {
		phase   v1alpha1.Phase
		changes []func(*v1alpha1.Rollout)
		want    []string
	}{
		"a step":                     {v1alpha1.PhaseStepping, nil, []string{"abort", "rollback", "pause", "promote"}},
		"the last step":              {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){last}, []string{"abort", "rollback", "pause", "promote"}},
		"a native promotion":         {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){native}, []string{"abort", "rollback", "pause", "promote"}},
		"a native one's last step":   {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){native, last}, []string{"abort", "rollback", "pause"}},
		"a bake":                     {v1alpha1.PhaseBaking, nil, []string{"abort", "rollback", "pause"}},
		"before the run":             {v1alpha1.PhaseGating, nil, []string{"abort", "rollback", "pause"}},
		"paused":                     {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){paused}, []string{"abort", "rollback", "resume"}},
		"paused by the spec":         {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){spec}, []string{"abort", "rollback"}},
		"paused by both":             {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){spec, paused}, []string{"abort", "rollback"}},
		"a pause of another version": {v1alpha1.PhaseBaking, []func(*v1alpha1.Rollout){paused, func(r *v1alpha1.Rollout) { r.Status.Pause.Revision = "older" }}, []string{"abort", "rollback", "pause"}},
		"rolling back":               {v1alpha1.PhaseRollingBack, nil, nil},
	} {
		r := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Steps: make([]v1alpha1.Step, 2)}, Status: v1alpha1.RolloutStatus{
			Phase: c.phase, Stable: &v1alpha1.Revision{Revision: "old"}, Candidate: &v1alpha1.Revision{Revision: "new"}, Step: &v1alpha1.StepStatus{},
		}}
		for _, change := range c.changes {
			change(r)
		}
		got, effects := actions(r)
		if !slices.Equal(got, c.want) || len(effects) != len(got) {
			t.Errorf("%s: %q, want %q; %q", name, got, c.want, effects)
		}
	}
}
