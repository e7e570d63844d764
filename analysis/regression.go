package analysis

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Regression judges a candidate by two bets at once: that it is worse than
// stable, and that it is outside its budget. It fails only when both are won,
// so that neither an incident both versions suffer nor a difference too small
// to matter rolls anything back. Both must stand won at one time: bets won at
// different times, such as a trifle and then a shared incident, convict nobody.
//
// Guarantee: a candidate that is at most Worse times as bad as stable at every
// time, whatever stable does, or that stays within Allowed times its budget,
// fails with probability at most Alpha/Triggers, however often and whenever it
// is looked at and however the weights change. It takes the requests of an
// interval as independent, and both versions' as of the same time, though their
// scrapes are up to an interval apart. To bursts, and to incidents that one
// version shows a scrape before the other, the clip is an answer, not a proof.
type Regression struct {
	// Budget is the bad share an objective allows: 1 − objective, in (0, 1).
	Budget float64
	// Worse is how many times as bad as stable a candidate may be, at least 1.
	Worse float64
	// Allowed is how many times its budget a candidate may burn.
	Allowed float64
	// Alpha is the share of healthy rollouts that may be rolled back while no state
	// is lost. All lives after losses together may spend a ninth of it.
	Alpha float64
	// Triggers that share Alpha in one rollout: each convicts at Alpha/Triggers
	// (Bonferroni), so that all of them together stay below Alpha. 0 is 1.
	Triggers int
	// Clip is the share of the evidence needed that one interval may supply. 0 is
	// a third: a conviction takes at least four bad intervals. +Inf is no clip.
	Clip float64
	// MinimumSamples the candidate must have served in this stage for a pass.
	MinimumSamples int64
	// Period that the budget is counted over, for what a run has cost. 0 is 30 days.
	Period time.Duration
	// Quality says whether stable should serve requests; the zero value says it should.
	Quality Quality
	// BadName is what a bad request is called in messages; see BudgetSpent.
	BadName string
}

// RegressionState is the evidence of a run so far. It can be stored as JSON and
// taken up again. One that was lost starts anew with Restarts raised by one in
// both processes, and needs more evidence.
type RegressionState struct {
	// Relative is the evidence against "at most Worse times as bad as stable".
	Relative EProcess `json:"relative"`
	// Absolute is the evidence against "within Allowed times the budget".
	Absolute EProcess `json:"absolute"`
	// LogPeak is ln of the highest that both bets stood at together: sup of the
	// lesser one, after every look that settled both. Peaks at different times are
	// two stories; only together do they tell of one regression. It is at most the
	// peak of either bet, so Ville's bound on each holds for it too.
	LogPeak float64 `json:"peak"`
}

// defaultClip is a third.
const defaultClip = 1.0 / 3

// budgetPeriod is what an error budget is usually counted over.
const budgetPeriod = 30 * 24 * time.Hour

// displayAlpha is one minus the confidence of the intervals in a message.
const displayAlpha = 0.05

// Observe returns the state after a ledger's newest poll. The state given is
// not changed. A poll observed twice adds nothing; one that was missed is
// contained in the next. Settings that cannot be judged gather nothing.
func (r Regression) Observe(s RegressionState, l Ledger) RegressionState {
	if !r.sound() {
		return s
	}
	return s.settle(l.Canary, l.Stable, r.Worse, r.Allowed*r.Budget, r.clip())
}

// clip is what one look may bring at most, 0 for no bound.
func (r Regression) clip() float64 {
	switch {
	case r.Clip == 0:
		return r.threshold() * defaultClip
	case math.IsInf(r.Clip, 1):
		return 0
	default:
		return r.threshold() * r.Clip
	}
}

// together reports whether both bets have settled the same requests: while
// stable is not counted, the relative one speaks of the past.
func (s RegressionState) together() bool { return s.Relative.Canary == s.Absolute.Canary }

// log is ln of the lesser bet now, less what states lost have cost.
func (s RegressionState) log() float64 { return min(s.Relative.net(), s.Absolute.net()) }

// Judge says what the evidence of a state comes to. The ledger is the one
// observed last.
func (r Regression) Judge(s RegressionState, l Ledger) Verdict {
	return r.find(s, l, look(l)).verdict()
}

func (r Regression) find(s RegressionState, l Ledger, seen *sides) finding {
	if !r.sound() {
		return finding{reason: BadQuery, say: words(fmt.Sprintf(
			"settings out of range: budget %v and falseAlarm %v must be between 0 and 1, worseThan %v at least 1, burn %v times the budget below %v, clip %v not negative",
			r.Budget, r.Alpha, r.Worse, r.Allowed, maxRatio, r.Clip))}
	}
	if !l.Canary.sound() || !l.Stable.sound() || !l.Stage.sound() {
		return finding{reason: Malformed, say: words(invalidCounts)}
	}
	growing := min(s.Relative.LogE(), s.Absolute.LogE())
	recent := l.Window(recentWindow)
	f := finding{statistics: func() []Statistic { return r.statistics(s, l, seen) }}
	said := func() string { return r.sentence(l, seen) }
	switch {
	case s.LogPeak >= r.threshold() && l.Canary.Bad >= minimumBad:
		f.reason, f.say = RegressionFound, and(said, "; "+r.convinced(s))
	case l.Stage.Total == 0:
		f.reason, f.say = NoTraffic, words(noTraffic)
	case l.Stage.Total < float64(r.MinimumSamples):
		f.reason, f.say = BelowMinSamples, l.fewer(r.MinimumSamples, said)
	case r.wonOnce(s.Absolute) && recent.Bad >= minimumBad && recent.Ratio() > r.Allowed*r.Budget && r.Quality.baselineMissing(l):
		f.reason, f.say = BaselineMissing, and(said, "; the error budget burns, and "+noBaseline)
	case r.wonOnce(s.Absolute) && recent.Bad >= minimumBad && recent.Ratio() > r.Allowed*r.Budget:
		f.reason, f.say = EnvironmentIncident, and(said, "; the error budget burns, but the candidate is not shown to be worse than stable")
	case growing > r.threshold()/2:
		// Half the evidence is too little to fail and too much to pass.
		f.reason, f.say = Pending, and(said, "; there is some evidence of a regression, not enough to roll back")
	default:
		f.reason, f.say = Healthy, said
	}
	return f
}

// recentWindow is what an incident must show in to be going on.
const recentWindow = time.Minute

func (r Regression) sound() bool {
	limit := r.Allowed * r.Budget
	return r.Budget > 0 && r.Budget < 1 && limit > 0 && limit < maxRatio &&
		r.Worse >= 1 && !math.IsInf(r.Worse, 0) && r.Alpha > 0 && r.Alpha < 1 && r.Clip >= 0
}

// threshold is ln(Triggers/Alpha), the logarithm of the wealth that convicts.
func (r Regression) threshold() float64 { return threshold(r.Alpha, r.Triggers) }

func threshold(alpha float64, triggers int) float64 {
	return math.Log(float64(max(1, triggers))) - math.Log(alpha)
}

// wonOnce reports whether a bet was won at some time of the run.
func (r Regression) wonOnce(p EProcess) bool { return -p.logP() >= r.threshold() }

// holds is stricter: what was won has not been lost again since.
func (r Regression) holds(p EProcess) bool { return p.net() >= r.threshold() }

// falseAlarms bounds the share of healthy rollouts in which any of the triggers
// ever shows evidence as strong: the anytime-valid p-value of the lesser bet,
// times the triggers.
func (r Regression) falseAlarms(s RegressionState) float64 {
	return min(1, math.Exp(-s.LogPeak)*float64(max(1, r.Triggers)))
}

// spent is the share of the period's error budget that the rollout has cost so far.
func (r Regression) spent(l Ledger) float64 {
	return BudgetSpent{Budget: r.Budget, Period: r.period()}.spent(l)
}

func (r Regression) period() time.Duration {
	if r.Period <= 0 {
		return budgetPeriod
	}
	return r.Period
}

func (r Regression) statistics(s RegressionState, l Ledger, seen *sides) []Statistic {
	seen.find()
	return []Statistic{
		{"logRelative", s.Relative.LogE()}, {"logRelativePeak", s.Relative.LogPeak},
		{"logAbsolute", s.Absolute.LogE()}, {"logAbsolutePeak", s.Absolute.LogPeak}, {"logPeak", s.LogPeak},
		{"logThreshold", r.threshold()}, {"falseAlarms", r.falseAlarms(s)},
		{"canaryLow", seen.canary.low}, {"canaryHigh", seen.canary.high}, {"stableLow", seen.stable.low}, {"stableHigh", seen.stable.high},
		{"burn", l.Canary.Ratio() / r.Budget}, {"budgetSpent", r.spent(l)},
		{"stageTotal", l.Stage.Total}, {"stageBad", l.Stage.Bad},
	}
}

// sentence is what a person needs to see to believe the verdict.
func (r Regression) sentence(l Ledger, seen *sides) string {
	said := fmt.Sprintf("%s; burn %.1fx", seen.text(r.BadName), l.Canary.Ratio()/r.Budget)
	if r.Quality.baselineMissing(l) {
		// Without stable's requests the cost would be put far too high.
		return said
	}
	return fmt.Sprintf("%s; this run has spent %s of the %.0f-day error budget", said, percent(r.spent(l)), r.period().Hours()/24)
}

// convinced states the always-valid bound on false alarms.
func (r Regression) convinced(s RegressionState) string {
	return fmt.Sprintf("chance of this in a healthy release: at most %s, if requests fail independently of each other", oneIn(r.falseAlarms(s)))
}

// sides are what both versions served and how bad it was, each with its
// always-valid interval. Finding the interval costs more than all else in a
// verdict, so it is found once, when somebody asks.
type sides struct {
	canary, stable side
	found          bool
}

type side struct {
	Counts
	low, high float64
}

func look(l Ledger) *sides {
	return &sides{canary: side{Counts: l.Canary}, stable: side{Counts: l.Stable}}
}

func (s *sides) find() {
	if s.found {
		return
	}
	for _, one := range []*side{&s.canary, &s.stable} {
		one.low, one.high = Interval(one.Counts, displayAlpha)
	}
	s.found = true
}

// text states both versions' counts, ratios and intervals.
func (s *sides) text(badName string) string {
	s.find()
	return fmt.Sprintf("canary %s, stable %s", s.canary.text(badName), s.stable.text(badName))
}

func (s *side) text(badName string) string {
	return fmt.Sprintf("%s %s (%.0f/%.0f, 95 %% interval %s–%s)",
		percent(s.Ratio()), nameOfBad(badName), s.Bad, s.Total, strings.TrimSuffix(percent(s.low), " %"), percent(s.high))
}

// oneIn prints a small probability as "1 in n", with n at most 1e9.
func oneIn(p float64) string {
	n := 1 / p
	if !(n < 1e9) {
		return "1 in 1000000000"
	}
	return fmt.Sprintf("1 in %.0f", math.Floor(n+1e-6))
}
