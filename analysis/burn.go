package analysis

import (
	"fmt"
	"time"
)

// Burn is a multi-window burn-rate rule on the candidate's own requests (Google
// SRE Workbook, chapter 5): burn(W) = bad(W)/total(W)/budget, and it fires when
// both windows exceed Rate. In a run that is shorter than a window, the window
// covers the whole run. Requests counted after a gap between polls that is longer
// than a window are in no window: it is not known when they were served.
type Burn struct {
	// Budget is the ratio of bad requests that the objective allows: 1 − objective,
	// in (0, 1).
	Budget float64
	// Rate above which both windows fire.
	Rate float64
	// Long is the window that makes the burn significant, Short the one that shows it
	// is still going on.
	Long, Short time.Duration
	// MinimumSamples is how many requests the candidate must have served in this stage
	// for a pass.
	MinimumSamples int64
	// BadName is what a bad request is called in messages; see BudgetSpent.
	BadName string
}

// minimumBad is how many bad requests a long window must have to fire: with fewer,
// single requests decide.
const minimumBad = 3

// Judge applies the rule to a ledger.
func (b Burn) Judge(l Ledger) Verdict { return b.find(l).verdict() }

func (b Burn) find(l Ledger) finding {
	if !(b.Budget > 0 && b.Budget < 1 && b.Rate > 0) {
		return finding{reason: BadQuery, say: words(fmt.Sprintf("settings out of range: budget %v must be between 0 and 1, rate %v above 0", b.Budget, b.Rate))}
	}
	long, short := l.Window(b.Long), l.Window(b.Short)
	burnLong, burnShort := long.Ratio()/b.Budget, short.Ratio()/b.Budget
	f := finding{statistics: func() []Statistic {
		return []Statistic{
			{"burnLong", burnLong}, {"burnShort", burnShort}, {"rate", b.Rate}, {"budget", b.Budget},
			{"stageTotal", l.Stage.Total}, {"stageBad", l.Stage.Bad},
		}
	}}
	seen := func() string {
		return fmt.Sprintf("%s; burn %.1fx over %s, %.1fx over %s", compared(long, l, b.BadName), burnLong, b.Long, burnShort, b.Short)
	}
	maybe := min(l.touching(b.Long).Ratio(), l.touching(b.Short).Ratio()) / b.Budget
	switch {
	case bad(burnLong) || bad(burnShort) || bad(l.Stage.Total):
		f.reason, f.say = Malformed, words(invalidCounts)
	case burnLong > b.Rate && burnShort > b.Rate && long.Bad >= minimumBad:
		f.reason, f.say = BurnRateExceeded, and(seen, fmt.Sprintf("; the trigger fires above %.4gx in both windows", b.Rate))
	case l.Stage.Total == 0 && l.Young > 0:
		f.reason, f.say = Pending, words(fmt.Sprintf("%.0f requests at this weight, all of pods within their warm-up: the trigger does not judge these", l.Young))
	case l.Stage.Total == 0:
		f.reason, f.say = NoTraffic, words(noTraffic)
	case l.Stage.Total < float64(b.MinimumSamples):
		f.reason, f.say = BelowMinSamples, l.fewer(b.MinimumSamples, seen)
	case burnLong > b.Rate && burnShort > b.Rate:
		f.reason, f.say = Pending, and(seen, fmt.Sprintf("; at least %d bad requests are needed to decide", minimumBad))
	case burnLong > b.Rate || burnShort > b.Rate:
		// One window alone is neither a pass nor a fail.
		f.reason, f.say = Pending, and(seen, fmt.Sprintf("; one window is above %.4gx, the trigger fires when both are", b.Rate))
	case maybe > b.Rate:
		f.reason, f.say = Pending, and(seen, "; more requests failed between two polls that were too far apart to tell when")
	default:
		f.reason, f.say = Healthy, seen
	}
	return f
}

// Messages of several rules.
const (
	noTraffic     = "the candidate has served no request at this weight yet"
	invalidCounts = "the source's counters are not valid counts: they must be whole, finite and not negative"
	noBaseline    = "stable should serve requests, but the source has no fresh samples of them"
)

// compared states the canary's counts beside stable's.
func compared(canary Counts, l Ledger, badName string) string {
	return fmt.Sprintf("canary %s %s (%.0f/%.0f), stable %s (%.0f/%.0f)",
		percent(canary.Ratio()), nameOfBad(badName), canary.Bad, canary.Total, percent(l.Stable.Ratio()), l.Stable.Bad, l.Stable.Total)
}

func nameOfBad(name string) string {
	if name == "" {
		return "errors"
	}
	return name
}

// fewer says how many requests there are of those that a pass needs.
func (l Ledger) fewer(minimum int64, seen func() string) func() string {
	return func() string { return l.missing(minimum) + "; " + seen() }
}

// percent prints a ratio as a percentage, with more digits when it is small.
func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return fmt.Sprintf("%.3f %%", share*100)
	}
	return fmt.Sprintf("%.1f %%", share*100)
}
