package analysis

import "fmt"

// Preflight says whether a service can afford a release: not while its error
// budget is nearly spent, and not while its burn-rate alert fires (Google SRE
// Workbook, chapter 5: 14.4 times the budget over one hour and five minutes).
type Preflight struct {
	// Budget is the ratio of bad requests that the objective allows: 1 − objective,
	// in (0, 1).
	Budget float64
	// Remaining is the part of the period's budget that must be left, in [0, 1].
	Remaining float64
}

// Shares are a service's error ratios (bad requests of all requests) over the
// objective's period, one hour and five minutes.
type Shares struct{ Period, Long, Short float64 }

// alertRate spends 2 % of a 30 days' budget in an hour.
const alertRate = 14.4

// Judge applies the rule to a service's error ratios.
func (p Preflight) Judge(s Shares) Verdict {
	if !(p.Budget > 0 && p.Budget < 1 && p.Remaining >= 0 && p.Remaining <= 1) {
		return Verdict{Reason: BadQuery, Message: fmt.Sprintf("settings out of range: budget %v must be between 0 and 1, remaining %v from 0 to 1", p.Budget, p.Remaining)}
	}
	if bad(s.Period) || bad(s.Long) || bad(s.Short) || max(s.Period, s.Long, s.Short) > 1 {
		return Verdict{Reason: Malformed, Message: "the source's error ratios are not numbers from 0 to 1"}
	}
	left := 1 - s.Period/p.Budget
	long, short := s.Long/p.Budget, s.Short/p.Budget
	v := Verdict{Statistics: []Statistic{{"budgetRemaining", left}, {"burnLong", long}, {"burnShort", short}, {"budget", p.Budget}}}
	kept := fmt.Sprintf("%.1f %% of the error budget is left", 100*left)
	if left < 0 {
		kept = fmt.Sprintf("no error budget is left, %.1f times the budget was spent", 1-left)
	}
	seen := fmt.Sprintf("%s; burn %.1fx over 1h, %.1fx over 5m", kept, long, short)
	switch {
	case long > alertRate && short > alertRate:
		v.Reason, v.Message = AlertFiring, fmt.Sprintf("%s; the alert threshold is %.4gx in both windows", seen, alertRate)
	case left < p.Remaining:
		v.Reason, v.Message = BudgetLow, fmt.Sprintf("%s; a run starts with at least %.4g %% left", seen, 100*p.Remaining)
	default:
		v.Reason, v.Message = Healthy, seen
	}
	return v
}
