package main

import (
	"slices"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// TestTheScreenOffersTheRollbackThatTheCommandDoes, and none that it refuses: with the newest run
// at hand the two are the same, and without it nothing is offered that may be refused.
func TestTheScreenOffersTheRollbackThatTheCommandDoes(t *testing.T) {
	run := func(rule string) *v1alpha1.RolloutRun {
		r := &v1alpha1.RolloutRun{Status: v1alpha1.RolloutRunStatus{Decisions: []v1alpha1.DecisionRecord{{Rule: rule}}}}
		r.Name = "three"
		return r
	}
	for name, c := range map[string]struct {
		phase    v1alpha1.Phase
		declared string
		previous []string
		rejected string
		run      *v1alpha1.RolloutRun
		want     string
	}{
		"promoted in steps":              {v1alpha1.PhaseStable, "good", []string{"before"}, "", run("RunStarts"), "before"},
		"came back":                      {v1alpha1.PhaseStable, "good", []string{"bad"}, "", run("RevertStarts"), ""},
		"its run is not there":           {v1alpha1.PhaseStable, "good", []string{"bad"}, "", nil, ""},
		"the one before is rejected":     {v1alpha1.PhaseStable, "good", []string{"bad", "older"}, "bad", run("RunStarts"), "older"},
		"all are rejected":               {v1alpha1.PhaseStable, "good", []string{"bad"}, "bad", run("RunStarts"), ""},
		"nothing before":                 {v1alpha1.PhaseStable, "good", nil, "", run("RunStarts"), ""},
		"a return is on its way":         {v1alpha1.PhaseHandingOver, "before", []string{"before"}, "", run("RunStarts"), ""},
		"a return that was aborted":      {v1alpha1.PhaseRolledBack, "before", []string{"before"}, "before", run("RunStarts"), "good"},
		"a new version that rolled back": {v1alpha1.PhaseRolledBack, "new", []string{"before"}, "new", run("RunStarts"), "good"},
	} {
		r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{Phase: c.phase, Stable: &v1alpha1.Revision{Revision: "good"}, History: []v1alpha1.HistoryEntry{{Run: "three", Revision: "good"}}}}
		if c.declared != "good" {
			r.Status.Candidate = &v1alpha1.Revision{Revision: c.declared}
		}
		for _, revision := range c.previous {
			r.Status.Previous = append(r.Status.Previous, v1alpha1.PreviousRevision{Revision: revision})
		}
		if c.rejected != "" {
			r.Status.Rejected = []v1alpha1.RejectedRevision{{Revision: c.rejected}}
		}
		var runs []v1alpha1.RolloutRun
		if c.run != nil {
			runs = append(runs, *c.run)
		}
		got, err := targetOf(r, c.declared, "", runs)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: the command goes back to %q, want %q; %v", name, got, c.want, err)
		}
		screen := view.Rollout(view.Input{Rollout: r, Run: c.run})
		if offers := slices.Contains(screen.Actions, "rollback"); offers != (c.want != "") {
			t.Errorf("%s: the screen offers a rollback: %v, and the command says %v", name, offers, err)
		}
	}
}
