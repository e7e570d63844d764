package analysis

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Both versions have the same ratio at every second: an incident that ends with the change of
// weight must not become evidence that the candidate is worse. The bound on the relative
// evidence is the one that docs/analysis.md proves.
func TestAnIncidentThatEndsWithAChangeOfWeightIsNoEvidence(t *testing.T) {
	const begins = raisedAt - 10
	of := func(before, after float64) []pace {
		return []pace{{0, before, 0}, {begins, before, 1}, {raisedAt, after, 0}}
	}
	var s RegressionState
	most := 0.0
	for _, l := range raised(of(25, 45), of(25, 5)) {
		s = atWeight(l, 50, 90).Observe(s, l)
		most = max(most, s.Relative.LogE())
	}
	if threshold := grown(90).threshold(); most >= threshold {
		t.Errorf("relative evidence reaches e^%.1f for a candidate that is never worse than stable, %.1f is sufficient", most, threshold)
	}
}

// The first weight is a change from 0: what stable served before it, while the candidate served
// nothing, is compared with nothing when it takes most of stable's requests away.
func TestTheFirstWeightIsAChange(t *testing.T) {
	for weight, shift := range map[int]bool{5: false, 75: false, 76: true, 99: true, 100: true} {
		var l Ledger
		for now := 0; now <= 600; now += 15 {
			l = l.Advance(Poll{EvaluatedAt: at(now), Stable: []PodCounter{pod("s", now-7, 40*float64(now), 0)}}, start)
		}
		l = l.Advance(Poll{EvaluatedAt: at(615), Canary: []PodCounter{pod("c", 612, 0, 0)}, Stable: []PodCounter{pod("s", 608, 40*615, 0)}}, at(606))
		s := grown(weight).Observe(RegressionState{}, l)
		if got := s.Shift.Before != nil; got != shift {
			t.Errorf("weight %d: a shift is %v, want %v", weight, got, shift)
		}
		if _, stable := s.Trail.counted(); (stable == Counts{}) != shift {
			t.Errorf("weight %d: %v of stable's requests from before are compared", weight, stable)
		}
	}
}

// At a shift the candidate's scrapes that began before it are in the looks and in the absolute
// evidence, but not in the relative evidence, which never increases by the shift.
func TestWhatOfTheCandidateAShiftLeavesOut(t *testing.T) {
	all := raised([]pace{{0, 5, 0.01}, {590, 5, 0.5}, {raisedAt, 90, 0.001}}, []pace{{0, 95, 0.001}, {raisedAt, 10, 0.001}})
	var s RegressionState
	var before EProcess
	for _, l := range all {
		was := s.Relative
		s = atWeight(l, 5, 90).Observe(s, l)
		if l.EvaluatedAt.Equal(at(615)) {
			before = was
			if got, high := s.Relative.LogE(), was.LogE(); got >= high-5 {
				t.Errorf("the relative evidence is e^%.1f at the shift and was e^%.1f: what was counted just before it is in it", got, high)
			}
		}
		if diff := cmp.Diff(s.Evidence, s.Trail.Recompute()); diff != "" {
			t.Fatalf("at %s the trail gives another evidence (-kept +computed):\n%s", l.EvaluatedAt, diff)
		}
		if !s.continues() || !s.together() {
			t.Fatalf("at %s: continues %v, together %v", l.EvaluatedAt, s.continues(), s.together())
		}
	}
	// One pod is scraped 1 s before the change, which the poll before it has not seen, and 14 s
	// after it, the other 4 s after it.
	if want := float64(15*5 + 1*5 + 14*90 + 11*5 + 4*90); math.Abs(s.Shift.Apart.Total-want) > 2 || s.Shift.Apart.Bad == 0 {
		t.Errorf("left out of the relative evidence: %v, want %v requests", s.Shift.Apart, want)
	}
	if canary, _ := s.Trail.counted(); canary != all[len(all)-1].Canary || s.Absolute.Canary != canary {
		t.Errorf("the absolute evidence has %v of %v", s.Absolute.Canary, canary)
	}
	if len(before.LogBets) == 0 {
		t.Error("there was no evidence before the shift")
	}
}

// An incident that ends between the first scrapes after the change is in a scrape of the
// candidate's that began after the change, but in none of stable's.
func TestAnIncidentThatEndsShortlyAfterAChangeOfWeightIsNoEvidence(t *testing.T) {
	of := func(before, after float64) []pace {
		return []pace{{0, before, 0}, {600, before, 1}, {raisedAt, after, 1}, {612, after, 0.005}}
	}
	var s RegressionState
	for _, l := range raisedOnePod(of(500, 950), of(500, 50)) {
		r := atWeight(l, 50, 95)
		s = r.Observe(s, l)
		if e, enough := s.Relative.LogE(), r.threshold(); e >= enough {
			t.Fatalf("at %s the relative evidence is e^%.1f for a candidate that is never worse than stable, %.1f is sufficient", l.EvaluatedAt, e, enough)
		}
	}
	if want := at(613).UnixMilli(); s.Shift.Until != want {
		t.Errorf("stable's last scrape from before the change is taken to end at %d, want %d", s.Shift.Until, want)
	}
}
