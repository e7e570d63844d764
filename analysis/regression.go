package analysis

import (
	"math"
	"time"
)

// Regression tests two hypotheses: that the candidate is worse than stable, and that it is
// outside its budget. It fails when all of these hold:
//
//   - the evidence for both is sufficient now, at the same time, so that neither an incident
//     of both versions nor a difference too small to matter rolls anything back, nor the two
//     one after the other;
//   - the evidence is sustained: enough is left without what one burst of bad requests and a
//     bad beginning of the pods can explain (see sustained).
//
// While stable serves nothing there is nothing to compare with: see alone.go.
//
// Guarantee: a candidate that is at most Worse times as bad as stable at every time, whatever
// stable does, or that stays within Allowed times its budget, fails with probability at most
// Alpha/Triggers, however often and whenever it is evaluated and however the weights change.
// While stable serves nothing, only the second of these is bounded. It is Ville's bound on
// the e-processes; the other conditions make fails rarer. It assumes that requests fail
// independently of each other, and that both versions' counts are of the same time, although
// their scrapes are up to an interval apart. For bursts, and for incidents that are seen in
// one version a scrape before the other, sustained evidence helps, without a proof; for those
// that begin with a change of weight, see Shift.
type Regression struct {
	// Budget is the ratio of bad requests that the objective allows: 1 − objective,
	// in (0, 1).
	Budget float64
	// Worse is how many times stable's error ratio a candidate may have, at least 1.
	Worse float64
	// Allowed is how many times its budget a candidate may burn.
	Allowed float64
	// Alpha bounds the ratio of healthy candidates that are rolled back while no state is
	// lost. After losses, all restarts together may add a ninth of it.
	Alpha float64
	// Triggers is how many triggers share Alpha in one run: each fails at Alpha/Triggers
	// (Bonferroni), so that all of them together stay below Alpha. 0 is 1.
	Triggers int
	// MinimumSamples the candidate must have served in this stage for a pass.
	MinimumSamples int64
	// Period that the budget is counted over, for what a run has cost. 0 is 30 days.
	Period time.Duration
	// Quality says whether stable should serve requests; the zero value says it should.
	Quality Quality
	// BadName is what a bad request is called in messages; see BudgetSpent.
	BadName string

	// WarmUp is how long a pod is young: from its readiness, or from when the candidate
	// began to serve, if that is later. 0 forgives nothing.
	WarmUp time.Duration
	// Incomparable says why stable's bad requests are not known, although its requests are;
	// empty when they are. The candidate is then judged as if stable had served none.
	Incomparable string
	// SlowStart is set for an slo of latency: every bad request of a young pod is forgiven.
	SlowStart bool
	// Burst is how long what happens to one pod may last, and Bar the sustained evidence
	// that a fail needs, as a logarithm.
	Burst time.Duration
	Bar   float64

	// Exclude is the multiple of the budget that must be excluded for a pass; 0 is none.
	Exclude float64
	// Confidence of what is excluded, in (0, 1). 0 is 0.95.
	Confidence float64
}

// RegressionState is the evidence of a run so far, and the looks that it was computed from.
// It can be stored as JSON and continued. It has about 1.2 KB, and 25 bytes for each of at
// most maxLooks looks, with 30 more for each of their parts.
type RegressionState struct {
	Evidence
	Trail Trail `json:"trail"`
	// Began is when the candidate began to serve, in Unix milliseconds: no pod is older.
	Began int64 `json:"began"`
	// Sustained is the settings of the newest look's sustained evidence.
	Sustained SustainedRule `json:"sustained"`
	// Unobserved is what the polls since the newest look have added. Nil when there were none.
	Unobserved *Unobserved `json:"unobserved,omitempty"`
	// Shift is the newest change of weight.
	Shift Shift `json:"shift"`
	// Alone is set while stable serves nothing.
	Alone *AloneRule `json:"alone,omitempty"`
}

// SustainedRule is what sustained evidence takes away, for whoever computes it again: how
// long a burst on one pod lasts, in milliseconds, and the youths, as milliseconds and ratio.
type SustainedRule struct {
	Burst  int64        `json:"burst"`
	Youths [][2]float64 `json:"youths"`
}

func (r Regression) sustainedRule() SustainedRule {
	rule := SustainedRule{Burst: r.Burst.Milliseconds()}
	for _, y := range r.youths() {
		rule.Youths = append(rule.Youths, [2]float64{float64(y.Until.Milliseconds()), y.Ratio})
	}
	return rule
}

// Default is the regression test with its default settings. triggers is how many share the
// bound on a run's false alarms, minimumSamples how many requests a pass needs.
//
// Guarantee: of the rollouts of a candidate that is always within twice its budget, all
// triggers together roll back at most 1 %; and as few of a candidate that is at every time
// at most 1.5 times as bad as stable, except while stable serves nothing. That is what is
// proven for the worst such candidate; docs/analysis.md has what hack/bench-judge counts for
// candidates as good as stable. Triggers that are added during a run share from then on
// only: what the others could spend before, they could spend alone.
func Default(budget float64, triggers int, minimumSamples int64) Regression {
	r := Regression{
		Budget: budget, Triggers: triggers, MinimumSamples: minimumSamples,
		WarmUp: DefaultWarmUp, Burst: defaultBurst, Bar: defaultBar,
	}
	r.Adjust(1.5, 2, 0.01)
	return r
}

// The defaults of sustained evidence were chosen by simulation: docs/analysis.md has the
// sweep.
const (
	DefaultWarmUp = time.Minute
	defaultBurst  = 20 * time.Second
	defaultBar    = 6
)

// surplusLasts is how long more requests than its share may reach the candidate, such as the
// retries of a client that has a cookie for it.
const surplusLasts = 30 * time.Second

// Adjust replaces the defaults: how many times as bad as stable a candidate may be, how many
// times its budget it may burn, and the bound on false alarms.
func (r *Regression) Adjust(worse, allowed, falseAlarm float64) {
	r.Worse, r.Allowed, r.Alpha = worse, allowed, firstLife*falseAlarm
}

// Given sets what a complete and fresh response looks like at this poll, the period of the
// budget, and what a bad request is called in messages.
func (r *Regression) Given(q Quality, period time.Duration, badName string) {
	r.Quality, r.Period, r.BadName = q, period, badName
}

// budgetPeriod is the usual period of an error budget.
const budgetPeriod = 30 * 24 * time.Hour

// AfterLosing is the state to begin with after states of a run were lost this many times:
// each is another chance of a false alarm.
func AfterLosing(states int) RegressionState {
	lost := EProcess{Restarts: states}
	return RegressionState{Evidence: Evidence{lost, lost}}
}

// Restarts is how many states of the run were lost before this one.
func (s RegressionState) Restarts() int { return max(s.Relative.Restarts, s.Absolute.Restarts) }

// continues is false for a state that is damaged, or that an older version of Belay stored.
func (s RegressionState) continues() bool {
	if !s.Trail.sound() || !s.Relative.continues(len(relativeFactors)) || !s.Absolute.continues(len(absoluteFactors)) {
		return false
	}
	canary, _ := s.Trail.counted()
	return canary == s.Absolute.Canary
}

// Observe returns the state after a ledger's newest poll; the argument is not changed. A
// repeated poll adds nothing. When polls were not observed, this one contains their counts,
// and Skip has kept which pods they are of. With settings out of range the state stays.
func (r Regression) Observe(s RegressionState, l Ledger) RegressionState {
	if !r.sound() {
		return s
	}
	s = r.Skip(s, l)
	s.Sustained = r.sustainedRule()
	if s.Unobserved.Apart != (Counts{}) || s.Trail.Rule != r.rule() && !s.empty() {
		at, fresh := l.EvaluatedAt.UnixMilli(), r.Quality.freshness().Milliseconds()
		s.Shift = s.Shift.settles(s.Trail, s.Relative, at, fresh)
	}
	s.Trail = s.Trail.under(r.rule(), s.Evidence)
	s.Trail, s.Evidence = s.Trail.follow(s.Evidence, s.Shift.compared(l), r.weight(s, l), *s.Unobserved)
	s.Unobserved = nil
	s.Alone = r.aloneRule(s, l)
	return s
}

// weight of the candidate at a poll. Until the gateway acknowledges the next one, the last one
// is in force.
func (r Regression) weight(s RegressionState, l Ledger) int {
	if l.StageFrom.IsZero() {
		return s.Trail.weight()
	}
	return r.Quality.Weight
}

func (r Regression) rule() Rule { return Rule{r.Worse, r.limit(), r.threshold()} }

// limit is the error ratio that a candidate may have because of its budget.
func (r Regression) limit() float64 { return r.Allowed * r.Budget }

func (r Regression) sound() bool {
	limit := r.limit()
	return r.Budget > 0 && r.Budget < 1 && limit > 0 && limit < maxRatio &&
		r.Worse >= 1 && !math.IsInf(r.Worse, 0) && r.Alpha > 0 && r.Alpha < 1 &&
		r.Exclude >= 0 && r.Confidence >= 0 && r.Confidence < 1
}

// threshold is ln(Triggers/Alpha), the logarithm of the evidence that is sufficient.
func (r Regression) threshold() float64 {
	return math.Log(float64(max(1, r.Triggers))) - math.Log(r.Alpha)
}

// holds reports whether the evidence is sufficient now.
func (r Regression) holds(p EProcess) bool { return p.net() >= r.threshold() }

// compared reports whether the evidence of both hypotheses is sufficient now.
func (r Regression) compared(e Evidence) bool {
	return r.holds(e.Relative) && r.holds(e.Absolute) && e.together()
}

// Sustained is the sustained evidence of a state while stable serves. A verdict computes it
// only when the other evidence is at least half of what is sufficient, otherwise it is 0.
func (r Regression) Sustained(s RegressionState) float64 { return r.sustained(s.Trail) }

// sustained is the evidence of a comparison with stable that no burst and no beginning
// explains.
func (r Regression) sustained(t Trail) float64 {
	return sustained{r.limit(), r.Worse, r.youths(), []cause{
		{OnePod: true, Lasts: r.Burst}, {Again: true}, {Surplus: true, Lasts: surplusLasts},
	}}.of(t.Looks)
}
