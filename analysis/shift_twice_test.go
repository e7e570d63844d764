package analysis

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two changes of weight 25 s apart, and an incident of both versions that ends between them. One
// of the candidate's scrapes has it, and no scrape of stable's that the second change leaves in.
// The look with that scrape was settled because of the first change; the second one must lower
// its evidence all the same.
func TestASecondChangeOfWeightLowersWhatTheFirstHasSettled(t *testing.T) {
	const second = 631
	paces := func(before, between, after float64) []pace {
		return []pace{{0, before, 0}, {600, between, 0}, {621, between, 1}, {628, between, 0.005}, {second, after, 0.005}}
	}
	canary, stable := paces(25, 450, 490), paces(25, 50, 10)
	var s RegressionState
	var l Ledger
	var settled, lowered float64
	for now := 15; now <= 900; now += 15 {
		weight, from := 50, start
		switch {
		case now > second:
			weight, from = 98, at(second)
		case now > 600:
			weight, from = 90, at(600)
		}
		l = l.Advance(Poll{
			EvaluatedAt: at(now),
			Canary:      []PodCounter{sampled("a", canary, now, 3), sampled("b", canary, now, 12)},
			Stable:      []PodCounter{sampled("s", stable, now, 9), sampled("t", stable, now, 6)},
		}, from)
		before := s.Relative.LogE()
		s = grown(weight).Observe(s, l)
		switch now {
		case 630:
			settled, lowered = s.Relative.LogE(), before
		case 645:
			if e := s.Relative.LogE(); e > lowered+0.1 {
				t.Errorf("after the second change the relative evidence is e^%.1f, it was e^%.1f before the look that has the incident", e, lowered)
			}
		}
		if diff := cmp.Diff(s.Evidence, s.Trail.Recompute()); diff != "" {
			t.Fatalf("at %d s the trail gives another evidence (-kept +computed):\n%s", now, diff)
		}
		if e, enough := s.Relative.LogE(), grown(weight).threshold(); now > second && e >= enough {
			t.Fatalf("at %d s the relative evidence is e^%.1f for a candidate that is never worse than stable, %.1f is sufficient", now, e, enough)
		}
	}
	if settled < lowered+5 {
		t.Errorf("the look with the incident changes the relative evidence from e^%.1f to e^%.1f: the test needs more", lowered, settled)
	}
}
