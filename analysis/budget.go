package analysis

import (
	"fmt"
	"time"
)

// BudgetSpent is a hard stop on what one run may cost: a share of an
// objective's error budget for its whole period. It needs no statistics, only
// enough bad requests not to be about single ones.
type BudgetSpent struct {
	// Budget is the bad share an objective allows: 1 − objective, in (0, 1).
	Budget float64
	// Period the budget is counted over, above 0.
	Period time.Duration
	// Limit is the share of the period's budget that a run may spend, in (0, 1].
	Limit float64
	// MinimumSamples the candidate must have served in this stage for a pass.
	MinimumSamples int64
	// Quality says whether stable should serve. Without it, it should.
	Quality Quality
}

// Judge applies the rule to a ledger.
func (b BudgetSpent) Judge(l Ledger) Verdict {
	if !(b.Budget > 0 && b.Budget < 1 && b.Limit > 0 && b.Limit <= 1 && b.Period > 0) {
		return Verdict{Reason: BadQuery, Message: fmt.Sprintf("budget %v, limit %v and period %s cannot be judged: budget and limit must be in (0, 1), the period above 0", b.Budget, b.Limit, b.Period)}
	}
	spent := b.spent(l)
	v := Verdict{Statistics: []Statistic{
		{"budgetSpent", spent}, {"limit", b.Limit}, {"budget", b.Budget}, {"periodSeconds", b.Period.Seconds()},
		{"stageTotal", l.Stage.Total}, {"stageBad", l.Stage.Bad},
	}}
	seen := fmt.Sprintf("this rollout spent %s of the %.0fd budget, %s is allowed; canary %s errors (%.0f/%.0f) vs stable %s (%.0f/%.0f)",
		percent(spent), b.Period.Hours()/24, percent(b.Limit), percent(l.Canary.Ratio()), l.Canary.Bad, l.Canary.Total, percent(l.Stable.Ratio()), l.Stable.Bad, l.Stable.Total)
	switch {
	case bad(spent) || bad(l.Stage.Total):
		v.Reason, v.Message = Malformed, "the counts are not numbers"
	case l.Canary.Total > 0 && b.Quality.baselineMissing(l):
		// Without stable's requests, all that fails would count as the candidate's
		// doing, and the period would seem to bring its requests alone.
		v.Reason, v.Message = BaselineMissing, "what the candidate cost cannot be told: stable should serve, but nothing is known of what it does"
	case spent > b.Limit && l.Canary.Bad >= minimumBad:
		v.Reason, v.Message = BudgetExceeded, seen
	case l.Stage.Total == 0:
		v.Reason, v.Message = NoTraffic, "the candidate has served no request at this weight yet"
	case l.Stage.Total < float64(b.MinimumSamples):
		v.Reason, v.Message = BelowMinSamples, fmt.Sprintf("%.0f of %d requests at this weight; %s", l.Stage.Total, b.MinimumSamples, seen)
	default:
		v.Reason, v.Message = Healthy, seen
	}
	return v
}

// spent is max(0, e_c − n_c·e_s/n_s) / (budget·N), with N the requests that the
// period would bring at the rate seen since the first poll.
func (b BudgetSpent) spent(l Ledger) float64 {
	elapsed := l.EvaluatedAt.Sub(l.Since)
	served := l.Canary.Total + l.Stable.Total - l.Before
	if l.Since.IsZero() || elapsed <= 0 || served <= 0 {
		return 0
	}
	excess := max(0, l.Canary.Bad-l.Canary.Total*l.Stable.Ratio())
	return excess / (b.Budget * served * float64(b.Period) / float64(elapsed))
}
