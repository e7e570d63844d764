package view

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
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
		if got, _ := actions(r, nil); !slices.Equal(got, want) {
			t.Errorf("%s of a return: %q, want %q", phase, got, want)
		}
		r.Status.Previous = nil
		if got, _ := actions(r, nil); !slices.Contains(got, "rollback") {
			t.Errorf("%s of a new version: %q", phase, got)
		}
	}
}

// TestActionsOfARun: what a person may do while a candidate is on trial, and nothing that
// would be refused.
func TestActionsOfARun(t *testing.T) {
	paused := func(r *v1alpha1.Rollout) { r.Status.Pause = &v1alpha1.PauseStatus{Revision: "new", By: "ann"} }
	spec := func(r *v1alpha1.Rollout) { r.Spec.Paused = true }
	freeze := func(r *v1alpha1.Rollout) {
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonFrozen}}
	}
	native := func(r *v1alpha1.Rollout) { r.Spec.Promotion.Mode = v1alpha1.PromotionNative }
	last := func(r *v1alpha1.Rollout) { r.Status.Step.Index = 1 }
	first := func(r *v1alpha1.Rollout) { r.Spec.Steps[0].Approval = v1alpha1.ApprovalRequired }
	second := func(r *v1alpha1.Rollout) { r.Spec.Steps[1].Approval = v1alpha1.ApprovalRequired }
	awaits := func(r *v1alpha1.Rollout) { r.Status.Step.AwaitsApprovalSince = &metav1.Time{} }
	approved := func(r *v1alpha1.Rollout) { r.Status.Step.Approval = &v1alpha1.ApprovalStatus{By: "ann"} }
	const approve, skip, skip2 = "approve --step 1 --revision new", "skip --step 1 --revision new", "skip --step 2 --revision new"
	for name, c := range map[string]struct {
		phase   v1alpha1.Phase
		changes []func(*v1alpha1.Rollout)
		want    []string
	}{
		"a step":                      {v1alpha1.PhaseStepping, nil, []string{"abort", "rollback", "pause", skip, "promote"}},
		"a step without its approval": {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){first}, []string{"abort", "rollback", approve, "pause"}},
		"a step that waits for it":    {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){first, awaits}, []string{approve, "abort", "rollback", "pause"}},
		"a paused step without it":    {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){first, paused}, []string{"abort", "rollback", approve, "resume"}},
		"an approved step":            {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){first, approved}, []string{"abort", "rollback", "pause", skip, "promote"}},
		"a later step needs approval": {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){second}, []string{"abort", "rollback", "pause", skip}},
		"the last step":               {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){last}, []string{"abort", "rollback", "pause", skip2, "promote"}},
		"a native promotion":          {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){native}, []string{"abort", "rollback", "pause", skip, "promote"}},
		"a native one's last step":    {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){native, last}, []string{"abort", "rollback", "pause"}},
		"a bake":                      {v1alpha1.PhaseBaking, nil, []string{"abort", "rollback", "pause"}},
		"before the run":              {v1alpha1.PhaseGating, nil, []string{"abort", "rollback", "pause"}},
		"paused":                      {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){paused}, []string{"abort", "rollback", "resume"}},
		"paused by the spec":          {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){spec}, []string{"abort", "rollback"}},
		"paused by both":              {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){spec, paused}, []string{"abort", "rollback"}},
		"a pause of another version":  {v1alpha1.PhaseBaking, []func(*v1alpha1.Rollout){paused, func(r *v1alpha1.Rollout) { r.Status.Pause.Revision = "older" }}, []string{"abort", "rollback", "pause"}},
		"frozen":                      {v1alpha1.PhaseStepping, []func(*v1alpha1.Rollout){freeze}, []string{"abort", "rollback", "override-freeze --revision new", "pause"}},
		"frozen before the run":       {v1alpha1.PhaseGating, []func(*v1alpha1.Rollout){freeze}, []string{"abort", "rollback", "override-freeze --revision new", "pause"}},
		"rolling back":                {v1alpha1.PhaseRollingBack, nil, nil},
	} {
		r := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Steps: make([]v1alpha1.Step, 2)}, Status: v1alpha1.RolloutStatus{
			Phase: c.phase, Stable: &v1alpha1.Revision{Revision: "old"}, Candidate: &v1alpha1.Revision{Revision: "new"}, Step: &v1alpha1.StepStatus{},
		}}
		for _, change := range c.changes {
			change(r)
		}
		got, effects := actions(r, nil)
		if !slices.Equal(got, c.want) || len(effects) != len(got) {
			t.Errorf("%s: %q, want %q; %q", name, got, c.want, effects)
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
	run.Status.Decisions = []v1alpha1.DecisionRecord{{Rule: "RevertStarts"}}
	for name, at := range map[string]*v1alpha1.RolloutRun{"after another run": run, "when its run is not at hand": nil} {
		if got, _ := actions(r, at); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	run.Status.Decisions = []v1alpha1.DecisionRecord{{Rule: "RunStarts"}}
	if got, _ := actions(r, run); !slices.Equal(got, []string{"rollback"}) {
		t.Errorf("after another run than the one that was promoted in steps: %q", got)
	}
}

// TestARestartHidesNoReturn: what came back in place of a worse version, and was restarted since,
// has that version before it all the same.
func TestARestartHidesNoReturn(t *testing.T) {
	s := &v1alpha1.RolloutStatus{Stable: &v1alpha1.Revision{Revision: "again"}, History: []v1alpha1.HistoryEntry{
		{Run: "three", Revision: "again"}, {Run: "two", Revision: "before"}, {Run: "one", Revision: "bad"},
	}}
	restart, back := v1alpha1.RolloutRun{}, v1alpha1.RolloutRun{}
	restart.Name, restart.Spec.Restart, restart.Spec.Stable.Revision.Revision = "three", true, "before"
	back.Name = "two"
	for rule, want := range map[string]bool{"RevertStarts": true, "RunStarts": false} {
		back.Status.Decisions = []v1alpha1.DecisionRecord{{Rule: rule}}
		if got := CameBack(s, []v1alpha1.RolloutRun{restart, back}); got != want {
			t.Errorf("after %s: %t", rule, got)
		}
	}
	if !CameBack(s, []v1alpha1.RolloutRun{restart}) {
		t.Error("a run that is not at hand is taken for one with steps")
	}
	restart.Spec.Restart, back.Status.Decisions = false, []v1alpha1.DecisionRecord{{Rule: "RevertStarts"}}
	if !CameBack(s, []v1alpha1.RolloutRun{restart, back}) {
		t.Error("a restart that took the steps hides a return")
	}
	s.Previous = []v1alpha1.PreviousRevision{{Revision: "before"}}
	if CameBack(s, []v1alpha1.RolloutRun{restart, back}) {
		t.Error("another version with steps is taken for one that came back")
	}
}

// TestARestartIsNamed: not as a version that replaces itself.
func TestARestartIsNamed(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{
		Phase: v1alpha1.PhaseBaking, Stable: &v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: "shop:v1"}, Candidate: &v1alpha1.Revision{Revision: "bbbbbbbbbb", Image: "shop:v1"},
		Step: &v1alpha1.StepStatus{}, Promotion: &v1alpha1.PromotionStatus{Restart: true},
	}}
	screen := Rollout(Input{Rollout: r, Now: now})
	if screen.Headline != "BAKING the restart of v1" || screen.Versions[0].Tag != "v1" || screen.Versions[1].Tag != "v1 (restart)" {
		t.Errorf("%s: %+v", screen.Headline, screen.Versions)
	}
	if got := screen.Effects["abort"]; got != "back to v1, the restart of v1 stays declared and rejected" {
		t.Errorf("abort: %s", got)
	}
	run := &v1alpha1.RolloutRun{Spec: v1alpha1.RolloutRunSpec{Revision: "bbbbbbbbbb", Image: "shop:v1", Restart: true}}
	run.Status.Outcome = v1alpha1.OutcomeRolledBack
	if h := History(nil, []v1alpha1.RolloutRun{*run}); h[0].Tag != "v1 (restart)" {
		t.Errorf("the history has %q", h[0].Tag)
	}
	if a := Explain(Input{Run: run, Now: now}); a.Candidate.Tag != "v1 (restart)" {
		t.Errorf("why has %q", a.Candidate.Tag)
	}
	r.Status.Phase, r.Status.Promotion = v1alpha1.PhaseRolledBack, nil
	if _, effects := actions(r, run); effects["retry"] != "the restart of v1 runs once more" {
		t.Errorf("retry: %s", effects["retry"])
	}
}

// TestNobodyIsAdvisedToDeclareARejectedVersion: it would be held. The version before it is
// offered, if there is one.
func TestNobodyIsAdvisedToDeclareARejectedVersion(t *testing.T) {
	r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{
		Phase: v1alpha1.PhaseStable, Stable: &v1alpha1.Revision{Revision: "five"}, Previous: []v1alpha1.PreviousRevision{{Revision: "four"}},
		Rejected: []v1alpha1.RejectedRevision{{Revision: "four"}},
	}}
	if got, _ := actions(r, nil); len(got) > 0 {
		t.Errorf("all are rejected: %q", got)
	}
	r.Status.Previous = append(r.Status.Previous, v1alpha1.PreviousRevision{Revision: "three", Image: "shop:1.3"})
	if got, effects := actions(r, nil); !slices.Equal(got, []string{"rollback"}) || !strings.Contains(effects["rollback"], "back to 1.3") {
		t.Errorf("the newest is rejected: %q, %q", got, effects)
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

// TestWhereToForceAFixThrough: the bypass is offered where a version waits for what may not
// come, and of a rejected one not that version but a fix.
func TestWhereToForceAFixThrough(t *testing.T) {
	is := func(kind, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason}
	}
	holding, fired := is(v1alpha1.ConditionReconciling, v1alpha1.ReasonHolding), is(v1alpha1.ConditionStalled, v1alpha1.ReasonTriggerFired)
	deployment := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"template": map[string]any{
		"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": "shop:1.6"}}}}}}}
	pushed, err := workload.Describe(workload.Template(deployment))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		phase      v1alpha1.Phase
		conditions []metav1.Condition
		deployment *unstructured.Unstructured
		candidate  string
		want       string
	}{
		"waits for its run":          {v1alpha1.PhaseGating, nil, nil, "", "bypass"},
		"held":                       {v1alpha1.PhaseStepping, []metav1.Condition{holding}, nil, "", "bypass"},
		"past its deadline":          {v1alpha1.PhaseBaking, []metav1.Condition{is(v1alpha1.ConditionStalled, v1alpha1.ReasonDeadlineExceeded)}, nil, "", "bypass"},
		"on its way":                 {v1alpha1.PhaseStepping, nil, nil, "", ""},
		"on its way, of a silent":    {v1alpha1.PhaseStepping, nil, deployment, "", "bypass"},
		"known":                      {v1alpha1.PhaseStepping, nil, deployment, pushed.Revision, ""},
		"stable, and not looked at":  {v1alpha1.PhaseStable, nil, deployment, "", "bypass"},
		"stable":                     {v1alpha1.PhaseStable, nil, nil, "", ""},
		"a native one that fired":    {v1alpha1.PhaseHandingOver, []metav1.Condition{fired}, nil, "", "bypass"},
		"handing over":               {v1alpha1.PhaseHandingOver, nil, nil, "", ""},
		"rolled back":                {v1alpha1.PhaseRolledBack, []metav1.Condition{is(v1alpha1.ConditionStalled, v1alpha1.ReasonRolledBack)}, deployment, "", "bypass --image app=IMAGE"},
		"rolling back, nothing read": {v1alpha1.PhaseRollingBack, nil, nil, "", "bypass --image CONTAINER=IMAGE"},
	} {
		r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{Phase: c.phase, Conditions: c.conditions, Stable: &v1alpha1.Revision{Revision: "old"}}}
		if c.phase != v1alpha1.PhaseStable {
			r.Status.Candidate = &v1alpha1.Revision{Revision: cmp.Or(c.candidate, "new"), Image: "shop:1.5"}
		}
		screen := Rollout(Input{Rollout: r, Workload: c.deployment, Now: time.Now()})
		got := ""
		if last := len(screen.Actions) - 1; last >= 0 && strings.HasPrefix(screen.Actions[last], "bypass") {
			got = screen.Actions[last]
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, screen.Actions, c.want)
		}
		if c.deployment != nil && got == "bypass" && !strings.HasPrefix(screen.Effects[got], "1.6 goes to all pods") {
			t.Errorf("%s: %q, and the Deployment declares 1.6", name, screen.Effects[got])
		}
	}
}

// TestWhoPushed is who wrote the template, of the version that has it and of no other.
func TestWhoPushed(t *testing.T) {
	deployment := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationPushedBy: "ann"}},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": "shop:1.6"}}}}}}}
	pushed, err := workload.Describe(workload.Template(deployment))
	if err != nil {
		t.Fatal(err)
	}
	run := &v1alpha1.RolloutRun{Spec: v1alpha1.RolloutRunSpec{Revision: "new", StartedBy: "ben"}}
	for name, c := range map[string]struct {
		candidate, stable string
		run               *v1alpha1.RolloutRun
		want              string
	}{
		"before its run":           {pushed.Revision, "old", nil, "stable:, canary:ann"},
		"in its run":               {"new", "old", run, "stable:, canary:ben"},
		"of another's run":         {pushed.Revision, "old", run, "stable:, canary:ann"},
		"another is declared":      {"new", "old", nil, "stable:, canary:"},
		"stable, and declared":     {"", pushed.Revision, nil, "stable:ann"},
		"promoted by the last run": {"", "new", run, "stable:ben"},
	} {
		r := &v1alpha1.Rollout{Status: v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseGating, Stable: &v1alpha1.Revision{Revision: c.stable}}}
		if c.candidate != "" {
			r.Status.Candidate = &v1alpha1.Revision{Revision: c.candidate}
		}
		var got []string
		for _, v := range versions(Input{Rollout: r, Run: c.run, Workload: deployment, Now: time.Now()}) {
			got = append(got, v.Side+":"+v.PushedBy)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
