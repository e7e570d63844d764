package main

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TestWhatLeavesAStep: what kubectl belay skip and approve wait for, and what ends the wait.
func TestWhatLeavesAStep(t *testing.T) {
	stepping := func(index int32) v1alpha1.RolloutStatus {
		return v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Candidate: &v1alpha1.Revision{Revision: "new"}, Step: &v1alpha1.StepStatus{Index: index}}
	}
	with := func(s v1alpha1.RolloutStatus, change func(*v1alpha1.RolloutStatus)) v1alpha1.RolloutStatus {
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		status v1alpha1.RolloutStatus
		left   bool
		code   int
	}{
		"the same step": {stepping(0), false, 0},
		"the next step": {stepping(1), true, 0},
		"promoting":     {with(stepping(0), func(s *v1alpha1.RolloutStatus) { s.Phase = v1alpha1.PhasePromoting }), true, 0},
		"stable":        {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Stable: &v1alpha1.Revision{Revision: "new"}}, true, 0},
		"rolled back":   {with(stepping(0), func(s *v1alpha1.RolloutStatus) { s.Phase = v1alpha1.PhaseRolledBack }), false, exitRolledBack},
		"superseded":    {with(stepping(1), func(s *v1alpha1.RolloutStatus) { s.Candidate = &v1alpha1.Revision{Revision: "newer"} }), false, exitSuperseded},
	} {
		left, err := leftStep(&v1alpha1.Rollout{Status: c.status}, &v1alpha1.Rollout{Status: stepping(0)}, "new")
		code := 0
		if e, ok := err.(exit); ok { //nolint:errorlint // it is not wrapped
			code = e.code
		}
		if left != c.left || code != c.code {
			t.Errorf("%s: %v, %v", name, left, err)
		}
	}
}

// TestCommandsOfAStepThatAreUseless say so before they are given.
func TestCommandsOfAStepThatAreUseless(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		status  v1alpha1.RolloutStatus
		says    string
	}{
		"approve in a bake":   {"approve", v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseBaking}, "There is no step to approve: the Rollout is baking."},
		"approve twice":       {"approve", v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{Display: "1/2", Approval: &v1alpha1.ApprovalStatus{By: "ann", At: metav1.Unix(0, 0)}}}, "Step 1/2 is approved already, by ann since 00:00Z"},
		"approve in a step":   {"approve", v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{}}, ""},
		"skip in a step":      {"skip", v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{}}, ""},
		"skip a bake":         {"skip", v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseBaking, Candidate: &v1alpha1.Revision{Image: "shop:2"}}, "the bake is not skipped: 2 becomes stable"},
		"skip nothing":        {"skip", v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable}, "There is no step to skip: the Rollout is stable."},
		"skip what is paused": {"skip", v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Step: &v1alpha1.StepStatus{}, Candidate: &v1alpha1.Revision{Revision: "new"}, Pause: &v1alpha1.PauseStatus{Revision: "new", By: "ann"}}, "kubectl belay resume first"},
	} {
		o := approvalOrder()
		if c.command == "skip" {
			o = skipOrder()
		}
		got := o.useless(&v1alpha1.Rollout{Status: c.status})
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestAStepHasToBeNamed: two people who paste the same line, or one who gives it late, do not
// reach the next step, nor another version.
func TestAStepHasToBeNamed(t *testing.T) {
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}, Status: v1alpha1.RolloutStatus{
		Phase: v1alpha1.PhaseStepping, Candidate: &v1alpha1.Revision{Image: "shop:2", Revision: "bbb"}, Step: &v1alpha1.StepStatus{Index: 1},
	}}
	for name, c := range map[string]struct {
		at   target
		says string
	}{
		"no step":                      {target{}, "--step is missing: 2 is in step 2. If that is the one you have looked at: kubectl belay skip checkout -n shop --step 2 --revision bbb"},
		"no step, but the revision":    {target{revision: "bbb"}, "--step is missing"},
		"the step":                     {target{step: 2}, ""},
		"the step and the revision":    {target{step: 2, revision: "bbb"}, ""},
		"the one before":               {target{step: 1}, "Not given: it is for step 1, and 2 is in step 2."},
		"the next one":                 {target{step: 3}, "Not given: it is for step 3, and 2 is in step 2."},
		"the step of another revision": {target{step: 2, revision: "aaa"}, `Not given: it is for revision "aaa", and the candidate is bbb.`},
	} {
		err := c.at.misses(terminal{}, r, "skip")
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
