package analysis

import (
	"strings"
	"testing"
	"time"
)

// Both versions have the same ratio of errors at every second: 0 at first, and 20 % for ten minutes
// after the weight has become 90 %. The candidate has cost nothing.
func TestWhatBothVersionsSufferAfterAChangeOfWeightIsNoCost(t *testing.T) {
	canary := []pace{{0, 5, 0}, {600, 90, 0.2}}
	stable := []pace{{0, 95, 0}, {600, 10, 0.2}}
	var l Ledger
	var state RegressionState
	var v Verdict
	for now := 0; now <= 1200; now += 15 {
		from := start
		if now > 600 {
			from = at(600)
		}
		c, s := countersAt(canary, float64(now)), countersAt(stable, float64(now))
		l = l.Advance(Poll{EvaluatedAt: at(now), Canary: []PodCounter{pod("c", now, c.Total, c.Bad)}, Stable: []PodCounter{pod("s", now, s.Total, s.Bad)}}, from)
		r := grown(5)
		if now > 600 {
			r = grown(90)
		}
		state = r.Observe(state, l)
		v = r.Judge(state, l)
	}
	if !strings.Contains(v.Message, "spent 0.0 %") {
		t.Errorf("the regression says: %s", v.Message)
	}
	q := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1, Weight: 90}
	rule := BudgetSpent{Budget: 0.001, Period: budgetPeriod, Limit: 0.02, Quality: q}
	if v := rule.Judge(l); v.Outcome() == Fail {
		t.Errorf("rolled back: %s", v.Message)
	}
}

// What a run has cost is the sum over its stages of what the candidate had beyond stable's ratio
// there, whatever falls into the scrapes around a change of weight.
func TestCostIsSummedStageByStage(t *testing.T) {
	const change = raisedAt
	shared := func(rps, later, before, after float64) []pace {
		return []pace{{0, rps, 0}, {change - 200, rps, before}, {change, later, after}}
	}
	cases := map[string]struct {
		canary, stable []pace
		weight         int
		// least and most are the candidate's excess at the end; never is the most at any poll.
		least, most, never float64
	}{
		"both suffer from the change on":          {shared(2.5, 45, 0, 0.2), shared(47.5, 5, 0, 0.2), 90, 0, 20, 60},
		"both suffer until the change":            {shared(2.5, 45, 0.2, 0), shared(47.5, 5, 0.2, 0), 90, 0, 20, 20},
		"both suffer from a small change on":      {shared(5, 15, 0, 0.2), shared(45, 35, 0, 0.2), 30, 0, 20, 20},
		"the candidate alone suffers later":       {shared(2.5, 45, 0, 0.2), shared(47.5, 5, 0, 0), 90, 2 * 0.2 * 45 * 250, 2 * 0.2 * 45 * 294, 1e9},
		"the candidate alone suffered before":     {shared(2.5, 45, 0.2, 0), shared(47.5, 5, 0, 0), 90, 2 * 0.2 * 2.5 * 190, 2 * 0.2 * 2.5 * 205, 1e9},
		"then both suffer, which costs no more":   {shared(2.5, 45, 0.2, 0.2), shared(47.5, 5, 0, 0.2), 90, 2 * 0.2 * 2.5 * 180, 2*0.2*2.5*205 + 20, 1e9},
		"alone, as bad as stable was before":      {shared(2.5, 50, 0.1, 0.1), []pace{{0, 47.5, 0.1}, {change, 0, 0}}, 100, 0, 20, 20},
		"alone, and worse than stable was before": {shared(2.5, 50, 0.1, 0.3), []pace{{0, 47.5, 0.1}, {change, 0, 0}}, 100, 2 * 0.2 * 50 * 250, 2 * 0.2 * 50 * 296, 1e9},
		"a few of stable's requests hide nothing": {shared(2.5, 50, 0, 0.3), []pace{{0, 47.5, 0}, {change, 0.02, 0.5}}, 100, 2 * 0.3 * 50 * 250, 2 * 0.3 * 50 * 296, 1e9},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			last, never := 0.0, 0.0
			for _, l := range raised(c.canary, c.stable) {
				weight := 5
				if l.EvaluatedAt.After(at(change)) {
					weight = c.weight
				}
				b := BudgetSpent{Budget: 1, Period: l.EvaluatedAt.Sub(l.Since), Quality: Quality{Weight: weight}}
				last = b.spent(l) * (l.Canary.Total + l.Stable.Total)
				never = max(never, last)
			}
			if last < c.least || last > c.most {
				t.Errorf("the candidate has cost %.0f bad requests, want %.0f to %.0f", last, c.least, c.most)
			}
			if never > c.never {
				t.Errorf("at some poll it had cost %.0f bad requests, want at most %.0f", never, c.never)
			}
		})
	}
}

// A ledger of before this was kept, and one that is not known to be compared, are one stage.
func TestCostOfALedgerWithoutStages(t *testing.T) {
	all := raised([]pace{{0, 2.5, 0.1}, {raisedAt, 45, 0.1}}, []pace{{0, 47.5, 0.1}, {raisedAt, 5, 0.1}})
	l := all[len(all)-1]
	if got := l.WithoutBadOfStable().excess(); got != l.Canary.Bad {
		t.Errorf("without stable's bad requests the candidate has cost %v, want all of its %v", got, l.Canary.Bad)
	}
	l.Ended = ended{}
	if got := l.excess(); got > 20 {
		t.Errorf("a ledger without stages has cost %v bad requests, want about none", got)
	}
}
