package view_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// TestSilence: verdicts that the judge does not renew are old, those of pods and of runs that
// are over are not.
func TestSilence(t *testing.T) {
	run := func(change func(*v1alpha1.RolloutRun)) *v1alpha1.RolloutRun {
		r := &v1alpha1.RolloutRun{}
		r.Spec.StartedAt = at(-time.Hour)
		r.Spec.Guardrails = []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "checkout", Spec: v1alpha1.GuardrailSpec{
			Triggers: []v1alpha1.Trigger{{Name: "errors", SLO: "errors", Burn: &v1alpha1.BurnTrigger{}}, {Name: "pods", Pods: &v1alpha1.PodsTrigger{}}}}}}
		r.Status.Analysis = &v1alpha1.AnalysisStatus{EvaluatedAt: &metav1.MicroTime{Time: now.Add(-4 * time.Minute)}}
		if change != nil {
			change(r)
		}
		return r
	}
	for name, c := range map[string]struct {
		phase v1alpha1.Phase
		run   *v1alpha1.RolloutRun
		want  time.Duration
	}{
		"silent":        {v1alpha1.PhaseStepping, run(nil), 4 * time.Minute},
		"in the bake":   {v1alpha1.PhaseBaking, run(nil), 4 * time.Minute},
		"never judged":  {v1alpha1.PhaseStepping, run(func(r *v1alpha1.RolloutRun) { r.Status.Analysis = nil }), time.Hour},
		"just renewed":  {v1alpha1.PhaseStepping, run(func(r *v1alpha1.RolloutRun) { r.Status.Analysis.EvaluatedAt.Time = now.Add(-time.Minute) }), 0},
		"of the future": {v1alpha1.PhaseStepping, run(func(r *v1alpha1.RolloutRun) { r.Status.Analysis.EvaluatedAt.Time = now.Add(time.Minute) }), 0},
		"over":          {v1alpha1.PhaseStepping, run(func(r *v1alpha1.RolloutRun) { r.Status.Outcome = v1alpha1.OutcomePromoted }), 0},
		"rolled back":   {v1alpha1.PhaseRolledBack, run(nil), 0},
		"of pods alone": {v1alpha1.PhaseStepping, run(func(r *v1alpha1.RolloutRun) {
			r.Spec.Guardrails[0].Spec.Triggers = r.Spec.Guardrails[0].Spec.Triggers[1:]
		}), 0},
		"without a run": {v1alpha1.PhaseStepping, nil, 0},
	} {
		screen := view.Rollout(view.Input{Now: now, Run: c.run, Rollout: rollout(c.phase, func(s *v1alpha1.RolloutStatus) {
			s.Verdicts = []v1alpha1.VerdictStatus{{Kind: "Guardrail", Guardrail: "checkout", Trigger: "errors", Outcome: v1alpha1.VerdictPass}, {Kind: "Guardrail", Guardrail: "checkout", Trigger: "pods", Outcome: v1alpha1.VerdictPass}}
		})})
		noted := strings.Contains(strings.Join(screen.Notes, " "), "Last judged")
		if screen.Triggers[1].Silent != 0 || noted != (c.want > 0) || c.want > 0 && name != "of pods alone" && screen.Triggers[0].Silent != c.want {
			t.Errorf("%s: %s and %s, notes %q", name, screen.Triggers[0].Silent, screen.Triggers[1].Silent, screen.Notes)
		}
	}
}
