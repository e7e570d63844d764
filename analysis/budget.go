package analysis

import (
	"fmt"
	"time"
)

// BudgetSpent limits what one run may cost: the part of an objective's error
// budget, for its whole period, that the run may spend. It uses no statistics; it
// only needs a minimum of bad requests, so that single ones do not decide.
type BudgetSpent struct {
	// Budget is the ratio of bad requests that the objective allows: 1 − objective,
	// in (0, 1).
	Budget float64
	// Period the budget is counted over, above 0.
	Period time.Duration
	// Limit is the part of the period's budget that a run may spend, in (0, 1].
	Limit float64
	// MinimumSamples the candidate must have served in this stage for a pass.
	MinimumSamples int64
	// Quality says whether stable should serve requests; the zero value says it should.
	Quality Quality
	// BadName is what a bad request is called in messages, such as "slower than
	// 300ms"; empty is "errors".
	BadName string
}

// Judge applies the rule to a ledger.
func (b BudgetSpent) Judge(l Ledger) Verdict {
	if !(b.Budget > 0 && b.Budget < 1 && b.Limit > 0 && b.Limit <= 1 && b.Period > 0) {
		return Verdict{Reason: BadQuery, Message: fmt.Sprintf("settings out of range: budget %v and limit %v must be between 0 and 1, period %s above 0", b.Budget, b.Limit, b.Period)}
	}
	spent := b.spent(l)
	v := Verdict{Statistics: []Statistic{
		{"budgetSpent", spent}, {"limit", b.Limit}, {"budget", b.Budget}, {"periodSeconds", b.Period.Seconds()},
		{"stageTotal", l.Stage.Total}, {"stageBad", l.Stage.Bad},
	}}
	seen := fmt.Sprintf("this run has spent %s of the %.0f-day error budget, the limit is %s; %s",
		percent(spent), b.Period.Hours()/24, percent(b.Limit), compared(l.Canary, l, b.BadName))
	switch {
	case bad(spent) || bad(l.Stage.Total):
		v.Reason, v.Message = Malformed, invalidCounts
	case l.Canary.Total > 0 && b.Quality.baselineMissing(l):
		// Without stable's requests, every bad request would count against the
		// candidate, and the period would seem to have the candidate's requests only.
		v.Reason, v.Message = BaselineMissing, "the cost of the candidate cannot be computed: "+noBaseline
	case spent > b.Limit && l.Canary.Bad >= minimumBad:
		v.Reason, v.Message = BudgetExceeded, seen
	case l.Stage.Total == 0:
		v.Reason, v.Message = NoTraffic, noTraffic
	case l.Stage.Total < float64(b.MinimumSamples):
		v.Reason, v.Message = BelowMinSamples, l.fewer(b.MinimumSamples, words(seen))()
	default:
		v.Reason, v.Message = Healthy, seen
	}
	return v
}

// spent is excess / (budget·N), where N is the number of requests that the period has at the
// rate since the first poll. Of a stage that has just begun it has nothing until stable's ratio
// in it is known.
func (b BudgetSpent) spent(l Ledger) float64 {
	elapsed := l.EvaluatedAt.Sub(l.Since)
	served := l.Canary.Total + l.Stable.Total
	if l.Since.IsZero() || elapsed <= 0 || served <= 0 {
		return 0
	}
	excess := l.Ended.Excess
	if l.besideKnown(b.Quality.Weight) {
		excess = l.excess()
	}
	return excess / (b.Budget * served * float64(b.Period) / float64(elapsed))
}
