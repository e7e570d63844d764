package judge

import (
	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/triggers"
	"belay.dev/belay/api/v1alpha1"
)

// verdict judges one trigger by the result of its query. Every verdict has the number of
// states that were lost, because a state that is lost loses its own count too.
func (t *evaluation) verdict(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, result result) analysis.Verdict {
	v := t.withSelectors(queryKey(g, trigger), t.judgeResult(g, trigger, result), result.Err)
	if trigger.Regression == nil {
		return v
	}
	lost := t.state.Lost
	if s, known := t.state.Regressions[triggerKey(g, trigger)]; known {
		lost = s.Restarts()
	}
	if lost > 0 {
		v.Statistics = append(v.Statistics, analysis.Statistic{Name: "restarts", Value: float64(lost)})
	}
	return v
}

func (t *evaluation) judgeResult(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, result result) analysis.Verdict {
	if trigger.Saturation != nil {
		return t.judgeSaturation(g, trigger, result)
	}
	if result.Err != nil {
		return analysis.Verdict{Reason: result.Err.Reason, Message: result.Err.Message}
	}
	key := triggerKey(g, trigger)
	before, known := t.state.Regressions[key]
	if !known {
		before = analysis.AfterLosing(t.state.Lost)
	}
	v, after := triggers.Judge(g.Spec, trigger, triggers.Look{
		Counted: result.counted, Judged: result.poll, Quality: t.qualityOf(g, trigger, result),
		Ledger: t.state.Ledgers[queryKey(g, trigger)], Regressions: t.regressions(), Incomparable: t.incomparable(g, trigger),
	}, before)
	if after != nil {
		t.state.Regressions[key] = *after
	}
	return v
}

// qualityOf is what a complete and fresh response to a trigger's query looks like.
func (t *evaluation) qualityOf(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, result result) analysis.Quality {
	quality := analysis.Quality{ScrapeInterval: result.interval, ReadyPods: t.readyPods, Weight: t.weight, Background: t.background(result), Chosen: t.run.Spec.Ordered()}
	if slo, ok := g.Spec.SLO(trigger.SLO); ok && trigger.SLO != "" {
		quality.Destination, quality.Routed = t.destinationOf(slo.Indicator), slo.Indicator.By == v1alpha1.CountedByService
	}
	return quality
}

// incomparable says why stable's bad requests are not known; empty when they are.
func (t *evaluation) incomparable(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger) string {
	if s := t.sights[queryKey(g, trigger)]; s != nil {
		return s.incomparable
	}
	return ""
}

func triggerKey(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger) string {
	return g.Kind + "/" + g.Name + "/" + trigger.Name
}

// regressions is the number of triggers that share the bound on a run's false alarms. One
// that observes rolls nothing back and takes no share, whoever wrote it.
func (t *evaluation) regressions() int {
	n := 0
	for _, g := range t.guardrails {
		for _, trigger := range g.Spec.Triggers {
			if trigger.Regression != nil && !g.Spec.Observes(trigger) {
				n++
			}
		}
	}
	return max(1, n)
}
