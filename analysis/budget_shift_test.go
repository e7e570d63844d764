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
