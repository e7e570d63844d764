package judge

import (
	"fmt"
	"strconv"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// verdict judges one trigger on the reply to its question. It says how many
// states were lost, whatever else it says: a state that is lost takes its own
// count of that along.
func (t *trial) verdict(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, reply reply) analysis.Verdict {
	v := t.judgeReply(g, trigger, reply)
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

func (t *trial) judgeReply(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, reply reply) analysis.Verdict {
	if reply.Err != nil {
		return analysis.Verdict{Reason: reply.Err.Reason, Message: reply.Err.Message}
	}
	quality := analysis.Quality{ScrapeInterval: reply.interval, ReadyPods: t.readyPods, Weight: t.weight}
	if trigger.Invariant != "" {
		// A violation counts however little else is known; only a pass needs a
		// complete and fresh answer.
		v := analysis.JudgeInvariant(reply.poll, t.readyPods)
		if v.Outcome() == analysis.Fail {
			return v
		}
		if blind, ok := quality.Judge(reply.poll); !ok {
			return blind
		}
		return v
	}
	if err := reply.poll.Check(); err != nil {
		return analysis.Verdict{Reason: analysis.Malformed, Message: err.Error()}
	}
	if v, ok := quality.Judge(reply.poll); !ok {
		return v
	}
	ledger := t.state.Ledgers[questionKey(g, trigger)]
	if v, ok := ledger.Complete(); !ok {
		return v
	}
	v, err := t.judgeSLO(g, trigger, ledger, quality)
	if err != nil {
		return analysis.Verdict{Reason: analysis.BadQuery, Message: err.Error()}
	}
	if v.Outcome() == analysis.Pass {
		if doubt, ok := quality.JudgeShare(ledger, g.Spec.MinimumSamples); !ok {
			return doubt
		}
	}
	return v
}

// judgeSLO reads a trigger's numbers, whose form the API server has checked, and
// applies it to a ledger.
func (t *trial) judgeSLO(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, l analysis.Ledger, q analysis.Quality) (analysis.Verdict, error) {
	slo, ok := g.Spec.SLO(trigger.SLO)
	if !ok {
		return analysis.Verdict{}, fmt.Errorf("trigger %q names no slo of its guardrail", trigger.Name)
	}
	read := numbers{}
	budget := 1 - read.number("objective", slo.Objective)/100
	switch {
	case trigger.Burn != nil:
		rule := analysis.Burn{
			Budget: budget, Rate: read.number("burn.rate", trigger.Burn.Rate),
			Long: trigger.Burn.Long.Duration, Short: trigger.Burn.Short.Duration, MinimumSamples: g.Spec.MinimumSamples,
		}
		return rule.Judge(l), read.err
	case trigger.BudgetSpent != "":
		rule := analysis.BudgetSpent{
			Budget: budget, Period: slo.PeriodDuration(), Limit: read.number("budgetSpent", trigger.BudgetSpent) / 100,
			MinimumSamples: g.Spec.MinimumSamples, Quality: q,
		}
		return rule.Judge(l), read.err
	case trigger.Regression != nil:
		rule := analysis.Default(budget, t.regressions(), g.Spec.MinimumSamples)
		rule.Adjust(read.number("regression.worseThan", trigger.Regression.WorseThan),
			read.number("regression.burn", trigger.Regression.Burn), read.number("regression.falseAlarm", trigger.Regression.FalseAlarm))
		rule.Given(q, slo.PeriodDuration())
		if read.err != nil {
			return analysis.Verdict{}, read.err
		}
		return t.judgeRegression(rule, triggerKey(g, trigger), l), nil
	default:
		return analysis.Verdict{}, fmt.Errorf("trigger %q judges nothing this version of Belay knows", trigger.Name)
	}
}

// judgeRegression gathers a poll's evidence and says what there is so far.
func (t *trial) judgeRegression(rule analysis.Combined, key string, l analysis.Ledger) analysis.Verdict {
	state, known := t.state.Regressions[key]
	if !known {
		state = analysis.AfterLosing(t.state.Lost)
	}
	state = rule.Observe(state, l)
	t.state.Regressions[key] = state
	return rule.Judge(state, l)
}

func triggerKey(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger) string {
	return g.Kind + "/" + g.Name + "/" + trigger.Name
}

// regressions counts the triggers that share the false alarms of a run.
func (t *trial) regressions() int {
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

// numbers reads decimal strings and keeps the first that is none.
type numbers struct{ err error }

func (n *numbers) number(field, text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("read %s %q: %w", field, text, err)
	}
	return value
}
