package analysis

import (
	"fmt"
	"math"
)

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
	seen := fmt.Sprintf("%s; burn %.1fx over 1h, %.1fx over 5m", budgetLeft(left), long, short)
	if long > alertRate && short > alertRate {
		v.Reason, v.Message = AlertFiring, fmt.Sprintf("%s; the alert threshold is %.4gx in both windows", seen, alertRate)
		return v
	}
	return p.judgeLeft(v, left, seen)
}

// Recorded are a service's error budget and burn rate as recording rules have them.
type Recorded struct {
	// Remaining is the part of the period's budget that is left: 1 is all, below 0 more
	// than all was spent.
	Remaining float64
	// Burn is the present burn rate: 1 spends the budget in exactly its period.
	Burn float64
}

// JudgeRecorded applies the rule to recorded numbers.
func (p Preflight) JudgeRecorded(r Recorded) Verdict {
	if bad(r.Burn) || math.IsNaN(r.Remaining) || math.IsInf(r.Remaining, 0) || r.Remaining > 1 {
		return Verdict{Reason: Malformed, Message: fmt.Sprintf("the recorded budget is %v and the burn rate %v: the budget must be at most 1, which is all of it, and the burn rate at least 0", r.Remaining, r.Burn)}
	}
	v := Verdict{Statistics: []Statistic{{"budgetRemaining", r.Remaining}, {"burn", r.Burn}}}
	seen := fmt.Sprintf("%s; burn %.1fx, as recorded", budgetLeft(r.Remaining), r.Burn)
	if r.Burn > alertRate {
		v.Reason, v.Message = AlertFiring, fmt.Sprintf("%s; the alert threshold is %.4gx", seen, alertRate)
		return v
	}
	return p.judgeLeft(v, r.Remaining, seen)
}

func budgetLeft(left float64) string {
	if left < 0 {
		return fmt.Sprintf("no error budget is left, %.1f times the budget was spent", 1-left)
	}
	return fmt.Sprintf("%.1f %% of the error budget is left", 100*left)
}

func (p Preflight) judgeLeft(v Verdict, left float64, seen string) Verdict {
	v.Reason, v.Message = Healthy, seen
	if left < p.Remaining {
		v.Reason, v.Message = BudgetLow, fmt.Sprintf("%s; a run starts with at least %.4g %% left", seen, 100*p.Remaining)
	}
	return v
}
