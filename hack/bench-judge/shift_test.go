package main

import "testing"

// Both versions have the same ratio of errors at every second. A change of weight must not make a
// regression of it.
func TestSharedErrorsAroundAChangeOfWeight(t *testing.T) {
	const runs = 60
	loads := map[string]load{
		"change-95-10s-100pct":    {1000, 0.5},
		"change-95-10s-50pct":     {1000, 0.5},
		"change-90-10s-100pct":    {100, 0.5},
		"change-first":            {100, 0.99},
		"change-twice-around-10s": {1000, 0.05},
	}
	tried := 0
	for _, r := range changeNulls() {
		l, ok := loads[r.name]
		if !ok {
			continue
		}
		tried++
		r.scrape = scrapeUsual
		// Beyond 1 % of 60 runs, by 4 of them, comes in less than one of 250 cases.
		if got := measure(&r, l, []column{{name: belayName, judge: belay(startDefault)}}, 20261126, runs)[0]; got.Runs != runs || got.RolledBack > 100*3.0/runs {
			t.Errorf("%s: %.1f %% of %d healthy candidates are rolled back", r.says, got.RolledBack, got.Runs)
		}
	}
	if tried != len(loads) {
		t.Errorf("%d of %d rows are tried", tried, len(loads))
	}
}
