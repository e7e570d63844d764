package analysis

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Regression tests two hypotheses: that the candidate is worse than stable, and that it is
// outside its budget. It fails only with enough evidence for both, so that neither an
// incident of both versions nor a difference too small to matter rolls anything back. There
// must be enough for both at the same time: a small difference followed by an incident of
// both versions is not a fail.
//
// Guarantee: a candidate that is at most Worse times as bad as stable at every
// time, whatever stable does, or that stays within Allowed times its budget,
// fails with probability at most Alpha/Triggers, however often and whenever it
// is evaluated and however the weights change. It assumes that the requests of an interval
// are independent, and that both versions' are of the same time, although their scrapes are
// up to an interval apart. For bursts, and for incidents that are seen in one version a
// scrape before the other, the clip helps, without a proof.
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
	// Clip is the part of the necessary evidence that one interval may add. 0 is a third,
	// so that a fail needs at least four bad intervals. +Inf is no clip.
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

// RegressionState is the evidence of a run so far. It can be stored as JSON and continued.
// When it was lost, a new one has Restarts increased by one in both processes, and needs
// more evidence.
type RegressionState struct {
	// Relative is the evidence against "at most Worse times as bad as stable".
	Relative EProcess `json:"relative"`
	// Absolute is the evidence against "within Allowed times the budget".
	Absolute EProcess `json:"absolute"`
	// LogPeak is ln of the highest value of the smaller of both, after looks that updated
	// both: peaks at different times may have different causes. It is at most the peak of
	// either one, so Ville's bound on each holds for it too.
	LogPeak float64 `json:"peak"`
}

// defaultClip is a third.
const defaultClip = 1.0 / 3

// budgetPeriod is the usual period of an error budget.
const budgetPeriod = 30 * 24 * time.Hour

// displayAlpha is one minus the confidence of the intervals in a message.
const displayAlpha = 0.05

// Observe returns the state after a ledger's newest poll; the argument is not changed. A
// repeated poll adds nothing; a missed one is contained in the next. With settings out of
// range the state stays.
func (r Regression) Observe(s RegressionState, l Ledger) RegressionState {
	if !r.sound() {
		return s
	}
	return s.settle(l.Canary, l.Stable, r.Worse, r.Allowed*r.Budget, r.clip())
}

// clip is how much one look may add at most, 0 for no limit.
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

// together reports whether both have counted the same requests: while stable is not
// counted, the relative evidence is older.
func (s RegressionState) together() bool { return s.Relative.Canary == s.Absolute.Canary }

// log is ln of the smaller one now, less the cost of restarts.
func (s RegressionState) log() float64 { return min(s.Relative.net(), s.Absolute.net()) }

// Judge returns the verdict for a state. The ledger is the one observed last.
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

// recentWindow is the window in which an incident must be seen to be still going on.
const recentWindow = time.Minute

func (r Regression) sound() bool {
	limit := r.Allowed * r.Budget
	return r.Budget > 0 && r.Budget < 1 && limit > 0 && limit < maxRatio &&
		r.Worse >= 1 && !math.IsInf(r.Worse, 0) && r.Alpha > 0 && r.Alpha < 1 && r.Clip >= 0
}

// threshold is ln(Triggers/Alpha), the logarithm of the evidence that is sufficient.
func (r Regression) threshold() float64 { return threshold(r.Alpha, r.Triggers) }

func threshold(alpha float64, triggers int) float64 {
	return math.Log(float64(max(1, triggers))) - math.Log(alpha)
}

// wonOnce reports whether the evidence was sufficient at some time of the run.
func (r Regression) wonOnce(p EProcess) bool { return -p.logP() >= r.threshold() }

// holds reports whether it is sufficient now.
func (r Regression) holds(p EProcess) bool { return p.net() >= r.threshold() }

// falseAlarms bounds the probability that any of the triggers ever has this much evidence in
// a healthy run: the anytime-valid p-value of the smaller one, times the triggers.
func (r Regression) falseAlarms(s RegressionState) float64 {
	return min(1, math.Exp(-s.LogPeak)*float64(max(1, r.Triggers)))
}

// spent is the part of the period's error budget that the run has cost so far.
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

// sentence has the numbers behind the verdict.
func (r Regression) sentence(l Ledger, seen *sides) string {
	said := fmt.Sprintf("%s; burn %.1fx", seen.text(r.BadName), l.Canary.Ratio()/r.Budget)
	if r.Quality.baselineMissing(l) {
		// Without stable's requests the cost would be far too high.
		return said
	}
	return fmt.Sprintf("%s; this run has spent %s of the %.0f-day error budget", said, percent(r.spent(l)), r.period().Hours()/24)
}

// convinced states the always-valid bound on false alarms.
func (r Regression) convinced(s RegressionState) string {
	return fmt.Sprintf("chance of this in a healthy release: at most %s, if requests fail independently of each other", oneIn(r.falseAlarms(s)))
}

// sides are the counts of both versions, each with its always-valid interval. The interval
// is the most expensive part of a verdict, so it is computed once and only when needed.
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
