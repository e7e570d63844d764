package analysis

import "fmt"

// Preflight says whether a service can afford a release: not while its error
// budget is all but spent, nor while its burn-rate alert fires (Google SRE
// Workbook, chapter 5: 14.4 times over one hour and five minutes).
type Preflight struct {
	// Budget is the bad share an objective allows: 1 − objective, in (0, 1).
	Budget float64
	// Remaining is the share of the period's budget that must be left, in [0, 1].
	Remaining float64
}

// Shares are what a service answered badly, of all its requests, over the
// objective's period, one hour and five minutes.
type Shares struct{ Period, Long, Short float64 }

// alertRate spends 2 % of a 30 days' budget in an hour.
const alertRate = 14.4

// Judge applies the rule to a service's shares.
func (p Preflight) Judge(s Shares) Verdict {
	if !(p.Budget > 0 && p.Budget < 1 && p.Remaining >= 0 && p.Remaining <= 1) {
		return Verdict{Reason: BadQuery, Message: fmt.Sprintf("budget %v and remaining %v cannot be judged: the budget must be in (0, 1), remaining in [0, 1]", p.Budget, p.Remaining)}
	}
	if bad(s.Period) || bad(s.Long) || bad(s.Short) || max(s.Period, s.Long, s.Short) > 1 {
		return Verdict{Reason: Malformed, Message: "the shares are no shares"}
	}
	left := 1 - s.Period/p.Budget
	long, short := s.Long/p.Budget, s.Short/p.Budget
	v := Verdict{Statistics: []Statistic{{"budgetRemaining", left}, {"burnLong", long}, {"burnShort", short}, {"budget", p.Budget}}}
	kept := fmt.Sprintf("%.1f %% of the error budget is left", 100*left)
	if left < 0 {
		kept = fmt.Sprintf("none of the error budget is left, it is spent %.1f times", 1-left)
	}
	seen := fmt.Sprintf("%s; burn %.1fx over 1h, %.1fx over 5m", kept, long, short)
	switch {
	case long > alertRate && short > alertRate:
		v.Reason, v.Message = AlertFiring, fmt.Sprintf("%s: %.4gx is an alert", seen, alertRate)
	case left < p.Remaining:
		v.Reason, v.Message = BudgetLow, fmt.Sprintf("%s: %.4g %% must be", seen, 100*p.Remaining)
	default:
		v.Reason, v.Message = Healthy, seen
	}
	return v
}
