package analysis

import (
	"testing"
	"time"

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

// A change of the rule settles looks too, such as that of a guardrail that is edited. A change of
// weight soon after must lower their evidence all the same: here with scrapes every 60 s, of which
// the candidate's have an incident of both versions, and stable's are of after the change.
func TestAChangeOfWeightLowersWhatAnotherRuleHasSettled(t *testing.T) {
	const edited, raised = 630, 640
	paces := func(rps, after float64) []pace {
		return []pace{{0, rps, 0}, {591, rps, 1}, {600, rps, 0}, {raised, after, 0}}
	}
	canary, stable := paces(50, 98), paces(50, 2)
	scraped := func(name string, paces []pace, now, offset int) PodCounter {
		second := offset + (now-offset)/60*60
		c := countersAt(paces, float64(second))
		return pod(name, second, c.Total, c.Bad)
	}
	var s RegressionState
	var l Ledger
	var before, settled float64
	for now := 75; now <= 690; now += 15 {
		weight, from := 50, start
		if now > raised {
			weight, from = 98, at(raised)
		}
		l = l.Advance(Poll{
			EvaluatedAt: at(now),
			Canary:      []PodCounter{scraped("a", canary, now, 1), scraped("b", canary, now, 4)},
			Stable:      []PodCounter{scraped("s", stable, now, 50), scraped("t", stable, now, 55)},
		}, from)
		r := grown(weight)
		r.Quality.ScrapeInterval = time.Minute
		if now >= edited {
			r.Triggers = 2
		}
		was := s.Relative.LogE()
		s = r.Observe(s, l)
		switch now {
		case 615:
			before, settled = was, s.Relative.LogE()
		case 645:
			if e := s.Relative.LogE(); e > before+0.1 {
				t.Errorf("after the change of weight the relative evidence is e^%.1f, it was e^%.1f before the look that has the incident", e, before)
			}
		}
		if diff := cmp.Diff(s.Evidence, s.Trail.Recompute()); diff != "" {
			t.Fatalf("at %d s the trail gives another evidence (-kept +computed):\n%s", now, diff)
		}
	}
	if settled < before+5 {
		t.Errorf("the look with the incident changes the relative evidence from e^%.1f to e^%.1f: the test needs more", before, settled)
	}
}
