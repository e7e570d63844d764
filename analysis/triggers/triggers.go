// Package triggers applies a guardrail's triggers to what was counted: it maps the fields
// of the API to the rules of package analysis. A run in progress and a backtest are judged
// by it alike. It is pure.
package triggers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// Look is what a trigger is judged by at one evaluation time.
type Look struct {
	// Counted is the poll that the ledger was advanced by, and Judged the one that shows
	// whether the response is complete and fresh.
	Counted, Judged analysis.Poll
	// Ledger after the poll. Of an invariant it says whether there were ever series.
	Ledger analysis.Ledger
	// Quality says what a complete and fresh response looks like. Its metric is set by Judge.
	Quality analysis.Quality
	// Regressions is how many triggers share the bound on a run's false alarms.
	Regressions int
	// Incomparable says why stable's bad requests are not known; empty when they are.
	Incomparable string
}

// Judge returns the verdict of a trigger for a look. before is the evidence of its
// regression so far; after is the evidence with this look, and nil for other triggers.
func Judge(g v1alpha1.GuardrailSpec, trigger v1alpha1.Trigger, look Look, before analysis.RegressionState) (v analysis.Verdict, after *analysis.RegressionState) {
	look.Quality.Metric = metricOf(g, trigger)
	if trigger.Invariant != "" {
		// A violation counts even when the response is incomplete; only a pass needs a
		// complete and fresh one.
		v := analysis.JudgeInvariant(look.Judged, look.Quality.ReadyPods)
		if v.Outcome() == analysis.Fail {
			return v, nil
		}
		if blind, ok := look.Quality.Judge(look.Judged); !ok {
			return neverScraped(blind, look.Ledger), nil
		}
		return v.Noting(analysis.Poll{Canary: look.Judged.Canary}), nil
	}
	if v, ok := look.Quality.Judge(look.Judged); !ok {
		return neverScraped(v, look.Ledger), skipped(g, trigger, look, before)
	}
	if v, ok := look.Ledger.Answers(look.Judged); !ok {
		return v, skipped(g, trigger, look, before)
	}
	v, after, err := judgeSLO(g, trigger, look, before)
	if err != nil {
		return analysis.Verdict{Reason: analysis.BadQuery, Message: err.Error()}, after
	}
	if v.Outcome() == analysis.Pass {
		if doubt, ok := look.Quality.JudgeShare(look.Ledger); !ok {
			return doubt.Noting(look.Counted), after
		}
	}
	return v.Noting(look.Counted), after
}

// skipped is a regression's evidence after a look that does not suffice for a verdict.
func skipped(g v1alpha1.GuardrailSpec, trigger v1alpha1.Trigger, look Look, before analysis.RegressionState) *analysis.RegressionState {
	if trigger.Regression == nil {
		return nil
	}
	after := analysis.Regression{WarmUp: g.WarmUpOf(trigger), Quality: look.Quality}.Skip(before, look.Ledger)
	return &after
}

// neverScraped tells an app whose series the source has never had in this run from a source
// that has lost them: only the second is blind.
func neverScraped(v analysis.Verdict, l analysis.Ledger) analysis.Verdict {
	if v.Reason == analysis.PartialCoverage && len(l.Pods) == 0 && l.Canary.Total+l.Stable.Total == 0 {
		v.Reason = analysis.NoSeries
	}
	return v
}

// judgeSLO applies a trigger to a ledger. The API server has checked the form of the
// trigger's numbers.
func judgeSLO(g v1alpha1.GuardrailSpec, trigger v1alpha1.Trigger, look Look, before analysis.RegressionState) (v analysis.Verdict, after *analysis.RegressionState, err error) {
	slo, ok := g.SLO(trigger.SLO)
	if !ok {
		return analysis.Verdict{}, nil, fmt.Errorf("trigger %q names slo %q, which its guardrail does not define", trigger.Name, trigger.SLO)
	}
	read := numbers{}
	budget := 1 - read.number("objective", slo.Objective)/100
	switch {
	case trigger.Burn != nil:
		rule := analysis.Burn{
			Budget: budget, Rate: read.number("burn.rate", trigger.Burn.Rate),
			Long: trigger.Burn.Long.Duration, Short: trigger.Burn.Short.Duration, MinimumSamples: g.MinimumSamples, BadName: badName(slo.Indicator),
		}
		return rule.Judge(look.Ledger.Mature(g.WarmUpOf(trigger))), nil, read.err
	case trigger.BudgetSpent != "":
		rule := analysis.BudgetSpent{
			Budget: budget, Period: slo.PeriodDuration(), Limit: read.number("budgetSpent", trigger.BudgetSpent) / 100,
			MinimumSamples: g.MinimumSamples, Quality: look.Quality, BadName: badName(slo.Indicator),
		}
		return withoutComparison(rule, look), nil, read.err
	case trigger.Regression != nil:
		rule := analysis.Default(budget, look.Regressions, g.MinimumSamples)
		rule.Adjust(read.number("regression.worseThan", trigger.Regression.WorseThan),
			read.number("regression.burn", trigger.Regression.Burn), read.number("regression.falseAlarm", trigger.Regression.FalseAlarm))
		rule.Given(look.Quality, slo.PeriodDuration(), badName(slo.Indicator))
		rule.Incomparable = look.Incomparable
		rule.WarmUp, rule.SlowStart = g.WarmUpOf(trigger), slo.Indicator.Latency != nil
		if trigger.Regression.Exclude != "" {
			rule.Exclude = read.number("regression.exclude", trigger.Regression.Exclude)
			rule.Confidence = read.number("regression.excludeConfidence", cmp.Or(trigger.Regression.ExcludeConfidence, "95")) / 100
		}
		if read.err != nil {
			return analysis.Verdict{}, nil, read.err
		}
		state := rule.Observe(before, look.Ledger)
		return rule.Judge(state, look.Ledger), &state, nil
	default:
		return analysis.Verdict{}, nil, fmt.Errorf("trigger %q has a kind that this version of Belay does not know", trigger.Name)
	}
}

// withoutComparison judges what a run has cost. While stable's bad requests are not known it
// cannot fail: the cost is what it is at most.
func withoutComparison(rule analysis.BudgetSpent, look Look) analysis.Verdict {
	if look.Incomparable == "" {
		return rule.Judge(look.Ledger)
	}
	look.Ledger = look.Ledger.WithoutBadOfStable()
	v := rule.Judge(look.Ledger)
	v.Message += "; stable's bad requests are not known (" + look.Incomparable + "), so the cost is at most this"
	if v.Outcome() == analysis.Fail {
		v.Reason = analysis.BaselineMissing
	}
	return v
}

// WarmUps are the warm-ups of the triggers that judge an slo, each once.
func WarmUps(g v1alpha1.GuardrailSpec, slo string) []time.Duration {
	var out []time.Duration
	for _, trigger := range g.Triggers {
		if warmUp := g.WarmUpOf(trigger); trigger.SLO == slo && warmUp > 0 && !slices.Contains(out, warmUp) {
			out = append(out, warmUp)
		}
	}
	return out
}

// Saturation is the rule of a trigger with saturation, whose source is scraped at an
// interval. window is the time over which a rate is computed, 0 for a gauge.
func Saturation(g v1alpha1.GuardrailSpec, trigger v1alpha1.Trigger, scrapeInterval, window time.Duration) (analysis.Saturation, error) {
	spec, read := trigger.Saturation, numbers{}
	rule := analysis.Saturation{
		For: spec.For.Duration, WarmUp: g.WarmUpOf(trigger), Window: window,
		ScrapeInterval: scrapeInterval, Metric: spec.Value().Metric,
	}
	if spec.WorseThan != "" {
		rule.WorseThan = read.number("saturation.worseThan", spec.WorseThan)
	}
	if spec.Max != "" {
		rule.Max = new(read.number("saturation.max", spec.Max))
	}
	return rule, read.err
}

// Preflight is the rule of a guardrail's pre-flight for an slo. g.Preflight is set.
func Preflight(g v1alpha1.GuardrailSpec, slo v1alpha1.SLO) (analysis.Preflight, error) {
	read := numbers{}
	rule := analysis.Preflight{
		Budget: 1 - read.number("objective", slo.Objective)/100, Remaining: read.number("preflight.budgetRemaining", g.Preflight.BudgetRemaining) / 100,
	}
	return rule, read.err
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

// numbers reads decimal strings and keeps the first error.
type numbers struct{ err error }

func (n *numbers) number(field, text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("read %s %q: %w", field, text, err)
	}
	return value
}
