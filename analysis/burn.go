package analysis

import (
	"fmt"
	"time"
)

// Burn is a multi-window burn-rate rule on the candidate's own requests (Google
// SRE Workbook, chapter 5): burn(W) = bad(W)/total(W)/budget, and it fires when
// both windows exceed Rate. On a run shorter than a window, the window covers
// what there is. What came in after a gap between polls that is longer than a
// window is in none: it is not known when it failed.
type Burn struct {
	// Budget is the bad share an objective allows: 1 − objective, in (0, 1).
	Budget float64
	// Rate above which both windows fire.
	Rate float64
	// Long makes it significant, Short recent.
	Long, Short time.Duration
	// MinimumSamples the candidate must have served in this stage for a pass.
	MinimumSamples int64
}

// minimumBad is how many bad requests a long window must hold to fire: below
// that a burn rate is the noise of single requests.
const minimumBad = 3

// Judge applies the rule to a ledger.
func (b Burn) Judge(l Ledger) Verdict { return b.find(l).verdict() }

func (b Burn) find(l Ledger) finding {
	if !(b.Budget > 0 && b.Budget < 1 && b.Rate > 0) {
		return finding{reason: BadQuery, say: words(fmt.Sprintf("budget %v and rate %v cannot be judged: the budget must be in (0, 1), the rate above 0", b.Budget, b.Rate))}
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
		return fmt.Sprintf("canary %s errors (%.0f/%.0f) vs stable %s (%.0f/%.0f); burn %.1fx over %s, %.1fx over %s",
			percent(long.Ratio()), long.Bad, long.Total, percent(l.Stable.Ratio()), l.Stable.Bad, l.Stable.Total,
			burnLong, b.Long, burnShort, b.Short)
	}
	maybe := min(l.touching(b.Long).Ratio(), l.touching(b.Short).Ratio()) / b.Budget
	switch {
	case bad(burnLong) || bad(burnShort) || bad(l.Stage.Total):
		f.reason, f.say = Malformed, words("the counts are not numbers")
	case burnLong > b.Rate && burnShort > b.Rate && long.Bad >= minimumBad:
		f.reason, f.say = BurnRateExceeded, and(seen, fmt.Sprintf("; %.4gx fires", b.Rate))
	case l.Stage.Total == 0:
		f.reason, f.say = NoTraffic, words(noTraffic)
	case l.Stage.Total < float64(b.MinimumSamples):
		f.reason, f.say = BelowMinSamples, l.fewer(b.MinimumSamples, seen)
	case burnLong > b.Rate && burnShort > b.Rate:
		f.reason, f.say = Pending, and(seen, fmt.Sprintf("; fewer than %d bad requests do not decide", minimumBad))
	case burnLong > b.Rate || burnShort > b.Rate:
		// One window alone neither clears the candidate nor convicts it.
		f.reason, f.say = Pending, and(seen, "; waiting for both windows to agree")
	case maybe > b.Rate:
		f.reason, f.say = Pending, and(seen, "; more failed in a gap between polls, it is not known when")
	default:
		f.reason, f.say = Healthy, seen
	}
	return f
}

const noTraffic = "the candidate has served no request at this weight yet"

// fewer says how many of the requests that a pass needs there are.
func (l Ledger) fewer(minimum int64, seen func() string) func() string {
	return func() string {
		return fmt.Sprintf("%.0f of %d requests at this weight; %s", l.Stage.Total, minimum, seen())
	}
}

// percent prints a share with as many digits as a reader needs.
func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return fmt.Sprintf("%.3f %%", share*100)
	}
	return fmt.Sprintf("%.1f %%", share*100)
}
