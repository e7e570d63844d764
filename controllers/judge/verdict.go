package judge

import (
	"cmp"
	"fmt"
	"strconv"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// verdict judges one trigger by the result of its query. Every verdict has the number of
// states that were lost, because a state that is lost loses its own count too.
func (t *evaluation) verdict(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, result result) analysis.Verdict {
	v := t.withSelectors(queryKey(g, trigger), t.judgeResult(g, trigger, result))
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
	if result.Err != nil {
		return analysis.Verdict{Reason: result.Err.Reason, Message: result.Err.Message}
	}
	quality := analysis.Quality{ScrapeInterval: result.interval, ReadyPods: t.readyPods, Weight: t.weight, Metric: metricOf(g.Spec, trigger), Background: t.background(result)}
	if slo, ok := g.Spec.SLO(trigger.SLO); ok && trigger.SLO != "" {
		quality.Destination, quality.Routed = t.destinationOf(slo.Indicator), slo.Indicator.By == v1alpha1.CountedByService
	}
	if trigger.Invariant != "" {
		// A violation counts even when the response is incomplete; only a pass needs a
		// complete and fresh one.
		v := analysis.JudgeInvariant(result.poll, t.readyPods)
		if v.Outcome() == analysis.Fail {
			return v
		}
		if blind, ok := quality.Judge(result.poll); !ok {
			return blind
		}
		return v
	}
	if v, ok := quality.Judge(result.poll); !ok {
		return v
	}
	ledger := t.state.Ledgers[queryKey(g, trigger)]
	if v, ok := ledger.Answers(result.poll); !ok {
		return v
	}
	v, err := t.judgeSLO(g, trigger, ledger, quality)
	if err != nil {
		return analysis.Verdict{Reason: analysis.BadQuery, Message: err.Error()}
	}
	if v.Outcome() == analysis.Pass {
		if doubt, ok := quality.JudgeShare(ledger); !ok {
			return doubt
		}
	}
	if note := result.counted.LeftOut(); note != "" {
		v.Message += "; " + note
	}
	return v
}

// judgeSLO applies a trigger to a ledger. The API server has checked the form of the
// trigger's numbers.
func (t *evaluation) judgeSLO(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, l analysis.Ledger, q analysis.Quality) (analysis.Verdict, error) {
	slo, ok := g.Spec.SLO(trigger.SLO)
	if !ok {
		return analysis.Verdict{}, fmt.Errorf("trigger %q names slo %q, which its guardrail does not define", trigger.Name, trigger.SLO)
	}
	read := numbers{}
	budget := 1 - read.number("objective", slo.Objective)/100
	switch {
	case trigger.Burn != nil:
		rule := analysis.Burn{
			Budget: budget, Rate: read.number("burn.rate", trigger.Burn.Rate),
			Long: trigger.Burn.Long.Duration, Short: trigger.Burn.Short.Duration, MinimumSamples: g.Spec.MinimumSamples, BadName: badName(slo.Indicator),
		}
		return rule.Judge(l.Mature(g.Spec.WarmUpOf(trigger))), read.err
	case trigger.BudgetSpent != "":
		rule := analysis.BudgetSpent{
			Budget: budget, Period: slo.PeriodDuration(), Limit: read.number("budgetSpent", trigger.BudgetSpent) / 100,
			MinimumSamples: g.Spec.MinimumSamples, Quality: q, BadName: badName(slo.Indicator),
		}
		return rule.Judge(l), read.err
	case trigger.Regression != nil:
		rule := analysis.Default(budget, t.regressions(), g.Spec.MinimumSamples)
		rule.Adjust(read.number("regression.worseThan", trigger.Regression.WorseThan),
			read.number("regression.burn", trigger.Regression.Burn), read.number("regression.falseAlarm", trigger.Regression.FalseAlarm))
		rule.Given(q, slo.PeriodDuration(), badName(slo.Indicator))
		rule.WarmUp, rule.SlowStart = g.Spec.WarmUpOf(trigger), slo.Indicator.Latency != nil
		if trigger.Regression.Exclude != "" {
			rule.Exclude = read.number("regression.exclude", trigger.Regression.Exclude)
			rule.Confidence = read.number("regression.excludeConfidence", cmp.Or(trigger.Regression.ExcludeConfidence, "95")) / 100
		}
		if read.err != nil {
			return analysis.Verdict{}, read.err
		}
		return t.judgeRegression(rule, triggerKey(g, trigger), l), nil
	default:
		return analysis.Verdict{}, fmt.Errorf("trigger %q has a kind that this version of Belay does not know", trigger.Name)
	}
}

// judgeRegression adds a poll to the evidence and judges it.
func (t *evaluation) judgeRegression(rule analysis.Regression, key string, l analysis.Ledger) analysis.Verdict {
	state, known := t.state.Regressions[key]
	if !known {
		state = analysis.AfterLosing(t.state.Lost)
	}
	state = rule.Observe(state, l)
	t.state.Regressions[key] = state
	return rule.Judge(state, l)
}

// badName is what a bad request of an indicator is called in messages.
func badName(i v1alpha1.Indicator) string {
	if i.Latency != nil {
		return "slower than " + i.Latency.Threshold.Duration.String()
	}
	return "errors"
}

// metricOf is the metric that a trigger's pods must have; empty when the user's own
// expression decides.
func metricOf(spec v1alpha1.GuardrailSpec, t v1alpha1.Trigger) string {
	if slo, ok := spec.SLO(t.SLO); ok && t.SLO != "" {
		switch {
		case slo.Indicator.Requests != nil:
			return slo.Indicator.Requests.Total.Metric
		case slo.Indicator.Latency != nil:
			return slo.Indicator.Latency.Histogram + "_count"
		}
		return ""
	}
	for _, invariant := range spec.Invariants {
		if invariant.Name == t.Invariant {
			return invariant.Checks.Metric
		}
	}
	return ""
}

func triggerKey(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger) string {
	return g.Kind + "/" + g.Name + "/" + trigger.Name
}

// regressions is the number of triggers that share the bound on a run's false alarms.
func (t *evaluation) regressions() int {
	n := 0
	for _, g := range t.guardrails {
		for _, trigger := range g.Spec.Triggers {
			if trigger.Regression != nil {
				n++
			}
		}
	}
	return n
}

// numbers reads decimal strings and keeps the first error.
type numbers struct{ err error }

func (n *numbers) number(field, text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("read %s %q: %w", field, text, err)
	}
	return value
}
