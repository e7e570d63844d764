package plan

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// shownEvery is how often a verdict that only repeats itself is shown anew.
const shownEvery = 30 * time.Second

// ShownVerdicts returns the verdicts for the status, which shows before until now. One
// with the same outcome and reason stays as it was for a while, so that the status is
// not written at every poll.
func ShownVerdicts(armed []Armed, before []v1alpha1.VerdictStatus) []v1alpha1.VerdictStatus {
	last := map[string]v1alpha1.VerdictStatus{}
	for _, v := range before {
		last[v.Kind+"/"+v.Guardrail+"/"+v.Trigger] = v
	}
	var out []v1alpha1.VerdictStatus
	for _, a := range armed {
		v := v1alpha1.VerdictStatus{Kind: a.Kind, Guardrail: a.Guardrail, Trigger: a.Trigger, Outcome: v1alpha1.VerdictInconclusive, Reason: ReasonPending}
		if a.Observes {
			v.Mode = v1alpha1.ModeObserve
		}
		if a.Verdict != nil {
			v.Outcome, v.Reason, v.Message = a.Verdict.Outcome, a.Verdict.Reason, a.Verdict.Message
			if a.Verdict.EvaluatedAt != nil {
				v.EvaluatedAt = new(metav1.NewTime(a.Verdict.EvaluatedAt.Truncate(time.Second)))
			}
		}
		old, ok := last[v.Kind+"/"+v.Guardrail+"/"+v.Trigger]
		recent := ok && old.EvaluatedAt != nil && v.EvaluatedAt != nil && v.EvaluatedAt.Sub(old.EvaluatedAt.Time) < shownEvery
		if ok && old.Outcome == v.Outcome && old.Reason == v.Reason && old.Mode == v.Mode && recent {
			v = old
		}
		out = append(out, v)
	}
	return v1alpha1.WorstFirst(out, func(v v1alpha1.VerdictStatus) v1alpha1.VerdictOutcome { return v.Mode.Decisive(v.Outcome) })
}
