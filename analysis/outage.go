package analysis

import (
	"fmt"
	"math"
	"time"
)

// Outage finds what burns an error budget fast, as soon as two scrapes of a pod
// can show it. It fails when all of these hold:
//
//   - Burn exceeds its rate in both windows: it is severe, and goes on;
//   - Evidence is won, relative to stable and to the budget, with no clip: it is
//     the candidate, not an incident both versions suffer, and not chance. It
//     must hold now: an incident shows on one version a scrape before the other;
//   - no single moment explains it: scrapes that do not overlap are bad. This
//     takes the place of the clip, against bursts of dependent requests.
//
// Guarantee: that of Evidence, whose bets it must win; Burn and the moments only
// take away from what fails. While stable is known to serve nothing, nothing can
// be compared, and the guarantee is the absolute one alone: a candidate within
// Allowed times its budget. A stable version of which nothing is known is not
// one that serves nothing: it may suffer the same incident.
type Outage struct {
	Burn     Burn
	Evidence Regression
}

// OutageState is the evidence of a run so far. It can be stored as JSON.
type OutageState struct {
	Evidence RegressionState `json:"evidence"`
	// Moments of failing in the long window that cannot have one cause.
	Moments []int64 `json:"moments,omitempty"`
}

// manyMoments is how many moments of failing no single burst explains.
const manyMoments = 2

// Judge says what the evidence of a state comes to. The ledger is the one
// observed last.
func (o Outage) Judge(s OutageState, l Ledger) Verdict { return o.find(s, l, look(l)).verdict() }

// moments are those of failing in the long window after a poll.
func (o Outage) moments(known []int64, l Ledger) []int64 {
	// Few requests make a ratio uncertain: half the rate marks a bad scrape.
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

// alone reports whether stable is known to have served nothing in the short
// window: what waits for stable to be compared is all that the candidate served
// in it.
func (o Outage) alone(s OutageState, l Ledger) bool {
	used := s.Evidence.Relative
	return o.Evidence.Quality.knowsSilence(l) && l.EvaluatedAt.Sub(l.Since) >= o.Burn.Short &&
		l.Stable.Total == used.Stable.Total && l.Canary.minus(used.Canary).Total >= l.Window(o.Burn.Short).Total
}

// Combined is the faster of an outage's and a regression's judge, and fails when
// either does.
//
// Guarantee: it fails at most Outage.Evidence.Alpha of the candidates that are
// healthy in the sense of Regression, however often and whenever it is looked
// at. That is the bound of the outage's bets alone, for the regression's are the
// same bets on the same looks, with a clip: min(ℓ, clip) ≤ ℓ, so their wealth is
// never greater. Where the regression's Alpha is not greater either, whatever it
// convicts, the outage's bets have won as well.
type Combined struct {
	Outage     Outage
	Regression Regression
}

// CombinedState is the evidence of a run so far, and what it was gathered from.
// It can be stored as JSON: about 1.5 KB, and 25 bytes for each of at most
// maxLooks looks, after which 1.5 KB more stand for those that were forgotten.
type CombinedState struct {
	Outage     OutageState     `json:"outage"`
	Regression RegressionState `json:"regression"`
	Trail      Trail           `json:"trail"`
}

// Default is the judge of an indicator that names none. triggers is how many
// share the false alarms of a rollout, minimumSamples what a pass needs.
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

// patience is how many times more evidence a regression needs than an outage. It
// has its bound from the outage's bets, so this is no part of it: it is for
// requests that do not fail independently.
const patience = 2

// AfterLosing is the state to go on from when states of a run were lost that
// many times: each was one more chance to be wrong.
func AfterLosing(states int) CombinedState {
	evidence := RegressionState{Relative: EProcess{Restarts: states}, Absolute: EProcess{Restarts: states}}
	return CombinedState{Outage: OutageState{Evidence: evidence}, Regression: evidence}
}

func (s CombinedState) evidence() Evidence { return Evidence{s.Outage.Evidence, s.Regression} }

// continues is false for a state of which a part cannot be continued.
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

// Observe returns the state after a ledger's newest poll. The state given is
// not changed. A poll observed twice adds nothing; of one that was missed the
// counts are contained in the next, the moments are not. Settings that cannot be
// judged gather nothing, and a state that cannot be continued is lost.
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

// Judge returns the worse of both verdicts. Of two that are equally bad, the
// regression's says more, unless the outage's convicts.
func (c Combined) Judge(s CombinedState, l Ledger) Verdict {
	seen := look(l)
	outage, regression := c.Outage.find(s.Outage, l, seen), c.Regression.find(s.Regression, l, seen)
	worst := Worst(outage.outcome(), regression.outcome())
	if outage.outcome() == Fail || regression.outcome() != worst {
		return outage.verdict()
	}
	return regression.verdict()
}
