package analysis

import (
	"testing"
	"time"
)

// The trigger cpu-throttling of docs/guide.md, with steps of the default hold of a minute that end
// with the first pass after it. Stable is throttled in 5 % of its periods at every weight, the
// candidate too, and in 90 % once it serves everything: more than both bounds allow.
func TestARateIsComparedAtWeight100AfterStepsOfAMinute(t *testing.T) {
	highest := 0.25
	rule := Saturation{WorseThan: 1.5, Max: &highest, For: 5 * time.Minute, WarmUp: time.Minute, Window: time.Minute, ScrapeInterval: 15 * time.Second}
	state, now := SaturationState{}, saturationStart
	look := func(from time.Time, weight int, canary float64) (v Verdict) {
		now = now.Add(15 * time.Second)
		state, v = rule.Judge(state, Loads{EvaluatedAt: now, StageFrom: from, Weight: weight, Canary: using("c", now, canary), Stable: using("s", now, 0.05)})
		return v
	}
	for _, weight := range []int{10, 25, 50} {
		from := now
		for v := (Verdict{}); v.Outcome() != Pass || now.Sub(from) < time.Minute; {
			v = look(from, weight, 0.05)
		}
		longest := time.Minute
		if weight == 10 {
			// The first step waits for one more scrape of stable's.
			longest += 15 * time.Second
		}
		if d := now.Sub(from); d > longest {
			t.Errorf("the step of %d %% lasts %s, want %s", weight, d, longest)
		}
	}
	if state.Stable.Value != 0.05 {
		t.Errorf("stable is remembered at %v, want 0.05", state.Stable.Value)
	}
	var v Verdict
	for from := now; now.Sub(from) < 30*time.Minute; {
		if v = look(from, 100, 0.9); v.Outcome() == Fail {
			return
		}
	}
	t.Errorf("half an hour at weight 100: %s %s: %s", v.Outcome(), v.Reason, v.Message)
}
