package analysis

import (
	"fmt"
	"math"
	"time"
)

// Outage finds a fast burn of the error budget as soon as two scrapes of a pod show it. It
// fails when all of these hold:
//
//   - Burn is above its rate in both windows: the burn is severe and still going on;
//   - Evidence is sufficient, relative to stable and to the budget, without a clip: the
//     cause is the candidate, and neither an incident of both versions nor chance. It must
//     be so now, because an incident can be seen in one version a scrape before the other;
//   - scrapes that do not overlap are bad, so that a single burst is not the cause. This
//     replaces the clip against bursts of dependent requests.
//
// Guarantee: that of Evidence; the other conditions only make fails rarer. While stable is
// known to serve nothing, there is nothing to compare with, and only the absolute part of
// the guarantee holds: for a candidate within Allowed times its budget. When there are no
// samples of stable, it may have the same incident, so that is not the same as serving
// nothing.
type Outage struct {
	Burn     Burn
	Evidence Regression
}

// OutageState is the evidence of a run so far. It can be stored as JSON.
type OutageState struct {
	Evidence RegressionState `json:"evidence"`
	// Moments are times of bad scrapes in the long window that cannot have one cause.
	Moments []int64 `json:"moments,omitempty"`
}

// manyMoments is how many moments a single burst cannot explain.
const manyMoments = 2

// Judge returns the verdict for a state. The ledger is the one observed last.
func (o Outage) Judge(s OutageState, l Ledger) Verdict { return o.find(s, l, look(l)).verdict() }

// moments are the moments in the long window after a poll.
func (o Outage) moments(known []int64, l Ledger) []int64 {
	// With few requests a ratio is uncertain, so half the rate makes a scrape bad.
	return moments(known, l.Fresh, o.Burn.Rate*o.Burn.Budget/2, l.EvaluatedAt.Add(-o.Burn.Long))
}

func (o Outage) find(s OutageState, l Ledger, seen *sides) finding {
	f := o.Evidence.find(s.Evidence, l, seen)
	burn := o.Burn.find(l)
	switch {
	case f.outcome() == Error:
		return f
	case burn.outcome() == Error:
		return burn
	}
	statistics := f.statistics
	f.statistics = func() []Statistic {
		return append(statistics(), Statistic{"moments", float64(len(s.Moments))})
	}
	won := o.Evidence.holds(s.Evidence.Absolute) && len(s.Moments) >= manyMoments
	compared := o.Evidence.holds(s.Evidence.Relative) && s.Evidence.together()
	switch {
	case burn.outcome() != Fail:
		f.reason, f.say = burn.reason, burn.say
	case won && compared:
		f.reason, f.say = RegressionFound, func() string {
			return fmt.Sprintf("%s; burn is above %.4gx in both windows; %s", o.Evidence.sentence(l, seen), o.Burn.Rate, o.Evidence.convinced(s.Evidence))
		}
	case won && o.alone(s, l):
		f.reason, f.say = BurnRateExceeded, and(burn.say, "; stable serves no requests to compare with")
	case won && o.Evidence.Quality.baselineMissing(l):
		f.reason, f.say = BaselineMissing, and(burn.say, "; "+noBaseline)
	case won:
		f.reason, f.say = EnvironmentIncident, and(burn.say, "; the candidate is not shown to be worse than stable")
	default:
		f.reason, f.say = Pending, and(burn.say, "; not enough evidence yet to rule out chance or a single burst")
	}
	return f
}

// alone reports whether stable is known to have served nothing in the short window: all
// requests of the candidate in it are still without requests of stable to compare with.
func (o Outage) alone(s OutageState, l Ledger) bool {
	used := s.Evidence.Relative
	return o.Evidence.Quality.knowsSilence(l) && l.EvaluatedAt.Sub(l.Since) >= o.Burn.Short &&
		l.Stable.Total == used.Stable.Total && l.Canary.minus(used.Canary).Total >= l.Window(o.Burn.Short).Total
}

// Combined has an outage's and a regression's test, and fails when either does.
//
// Guarantee: it fails at most Outage.Evidence.Alpha of the candidates that are healthy in
// the sense of Regression, however often and whenever it is evaluated. That is the bound of
// the outage's evidence alone: the regression's is the same at the same looks with a clip,
// and min(ℓ, clip) ≤ ℓ, so it is never greater. If the regression's Alpha is not greater
// either, the outage's evidence is sufficient whenever the regression's is.
type Combined struct {
	Outage     Outage
	Regression Regression
}

// CombinedState is the evidence of a run so far, and the looks that it was computed from.
// As JSON it has about 1.5 KB, and 25 bytes for each of at most maxLooks looks; when older
// looks are dropped, 1.5 KB more for their evidence.
type CombinedState struct {
	Outage     OutageState     `json:"outage"`
	Regression RegressionState `json:"regression"`
	Trail      Trail           `json:"trail"`
}

// Default is the regression test with its default settings. triggers is how many share the
// bound on a run's false alarms, minimumSamples how many requests a pass needs.
//
// Guarantee: of the rollouts of a candidate that is always within twice its
// budget, all triggers together roll back at most 1 %; and as few of a candidate
// that is at every time at most 1.5 times as bad as stable, except by an outage
// while stable serves nothing, where there is nothing to compare with. That is
// what is proven for the worst such candidate; of candidates as good as stable,
// hack/bench-judge counts at most 0.1 % at a scrape interval of 15 s, also where
// requests fail in bursts; at 5 s, bursts fool it about three times as often.
// Triggers that are added during a run share from then on only: what the others
// could spend before, they could spend alone.
//
// The settings were chosen there: 36 times the budget ends 30 days' budget in
// 20 hours, and lies above what single bursts do to a young canary.
func Default(budget float64, triggers int, minimumSamples int64) Combined {
	bets := Regression{Budget: budget, Triggers: triggers, MinimumSamples: minimumSamples}
	unclipped := bets
	unclipped.Clip = math.Inf(1)
	c := Combined{
		Outage: Outage{
			Burn:     Burn{Budget: budget, Rate: 36, Long: 5 * time.Minute, Short: time.Minute, MinimumSamples: minimumSamples},
			Evidence: unclipped,
		},
		Regression: bets,
	}
	c.Adjust(1.5, 2, 0.01)
	return c
}

// patience is how many times more evidence a regression needs than an outage. The bound on
// false alarms does not need it; it is for requests that do not fail independently.
const patience = 2

// AfterLosing is the state to begin with after states of a run were lost this many times:
// each is another chance of a false alarm.
func AfterLosing(states int) CombinedState {
	evidence := RegressionState{Relative: EProcess{Restarts: states}, Absolute: EProcess{Restarts: states}}
	return CombinedState{Outage: OutageState{Evidence: evidence}, Regression: evidence}
}

func (s CombinedState) evidence() Evidence { return Evidence{s.Outage.Evidence, s.Regression} }

// continues is false when a part of the state is damaged.
func (s CombinedState) continues() bool {
	for _, r := range []RegressionState{s.Outage.Evidence, s.Regression} {
		if !r.Relative.continues(len(relativeFactors)) || !r.Absolute.continues(len(absoluteFactors)) || bad(r.LogPeak) {
			return false
		}
	}
	return true
}

// Restarts is how many states of the run were lost before this one.
func (s CombinedState) Restarts() int {
	return max(s.Outage.Evidence.Relative.Restarts, s.Outage.Evidence.Absolute.Restarts, s.Regression.Relative.Restarts, s.Regression.Absolute.Restarts)
}

// Observe returns the state after a ledger's newest poll; the argument is not changed. A
// repeated poll adds nothing. When a poll was missed, the next one contains its counts, but
// not its moments. With settings out of range the state stays, and a damaged state is
// replaced.
func (c Combined) Observe(s CombinedState, l Ledger) CombinedState {
	if !c.Outage.Evidence.sound() || !c.Regression.sound() {
		return s
	}
	if !s.continues() {
		s = AfterLosing(s.Restarts() + 1)
	}
	trail, e := s.Trail.under(c.rule(), s.evidence()).follow(s.evidence(), l)
	return CombinedState{OutageState{e.Quick, c.Outage.moments(s.Outage.Moments, l)}, e.Patient, trail}
}

func (c Combined) rule() Rule {
	quick, patient := c.Outage.Evidence, c.Regression
	return Rule{
		Worse: patient.Worse, Limit: patient.Allowed * patient.Budget,
		Quick: Stake{quick.threshold(), quick.clip()}, Patient: Stake{patient.threshold(), patient.clip()},
	}
}

// Judge returns the worse of both verdicts. When they are equal, it is the regression's,
// whose message has more, unless the outage's is a fail.
func (c Combined) Judge(s CombinedState, l Ledger) Verdict {
	seen := look(l)
	outage, regression := c.Outage.find(s.Outage, l, seen), c.Regression.find(s.Regression, l, seen)
	worst := Worst(outage.outcome(), regression.outcome())
	if outage.outcome() == Fail || regression.outcome() != worst {
		return outage.verdict()
	}
	return regression.verdict()
}
