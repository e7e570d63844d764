package judge

import (
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
)

// The count of lost states is what the next loss is counted from, so it is in
// every verdict, also in one that a source gave no answer for.
func TestAVerdictSaysHowManyStatesWereLost(t *testing.T) {
	guardrail := v1alpha1.PinnedGuardrail{Kind: "Guardrail", Name: "shop"}
	trigger := v1alpha1.Trigger{Name: "errors", SLO: "errors", Regression: &v1alpha1.RegressionTrigger{}}
	noAnswer := result{Result: sources.Result{Err: &prometheus.QueryError{Reason: analysis.Timeout}}}
	cases := map[string]struct {
		state judgeState
		want  []analysis.Statistic
	}{
		"none":                       {judgeState{}, nil},
		"two, before the first look": {judgeState{Lost: 2}, []analysis.Statistic{{Name: "restarts", Value: 2}}},
		"three, known to the evidence": {
			judgeState{Lost: 2, Regressions: map[string]analysis.RegressionState{triggerKey(guardrail, trigger): analysis.AfterLosing(3)}},
			[]analysis.Statistic{{Name: "restarts", Value: 3}},
		},
	}
	for name, c := range cases {
		look := &evaluation{run: &v1alpha1.RolloutRun{}, state: c.state}
		v := look.verdict(guardrail, trigger, noAnswer)
		if v.Reason != analysis.Timeout || len(v.Statistics) != len(c.want) || len(c.want) > 0 && v.Statistics[0] != c.want[0] {
			t.Errorf("%s: %s %v, want %v", name, v.Reason, v.Statistics, c.want)
		}
	}
}

func TestAnAnswerAboutTooManyPodsIsAnError(t *testing.T) {
	guardrail := v1alpha1.PinnedGuardrail{Kind: "Guardrail", Name: "shop", Spec: v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "errors", Objective: "99.9"}}}}
	trigger := v1alpha1.Trigger{Name: "burn", SLO: "errors", Burn: &v1alpha1.BurnTrigger{Rate: "14.4"}}
	now := time.Unix(1_700_000_000, 0)
	poll := analysis.Poll{EvaluatedAt: now, Canary: []analysis.PodCounter{{Pod: "c", SampledAt: now}}}
	look := &evaluation{run: &v1alpha1.RolloutRun{}, readyPods: 1, now: now, state: judgeState{Ledgers: map[string]analysis.Ledger{
		queryKey(guardrail, trigger): {EvaluatedAt: now, Unheld: 1},
	}}}
	if v := look.verdict(guardrail, trigger, result{poll: poll, interval: time.Second}); v.Reason != analysis.TooManySeries {
		t.Errorf("%s %q, want %s", v.Reason, v.Message, analysis.TooManySeries)
	}
}
