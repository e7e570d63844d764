package analysis

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Polls after a change of weight that do not suffice for a verdict must not hide which scrapes
// are of before stable's last one from before it: both versions have the same ratio at every
// second. The incident is in a scrape of the candidate's that only a skipped poll has seen.
func TestPollsThatAreSkippedAfterAChangeOfWeight(t *testing.T) {
	of := func(before, after float64) []pace {
		return []pace{{0, before, 0}, {600, before, 1}, {raisedAt, after, 1}, {612, after, 0.005}}
	}
	for name, until := range map[string]int{"none": 600, "the first": 615, "the first two": 630, "for longer than a sample is fresh": 690} {
		t.Run(name, func(t *testing.T) {
			var s, seen RegressionState
			for _, l := range raisedOnePod(of(500, 950), of(500, 50)) {
				r, now := atWeight(l, 50, 95), l.EvaluatedAt
				seen = r.Observe(seen, l)
				if now.After(at(raisedAt)) && !now.After(at(until)) {
					s = r.Skip(r.Skip(s, l), l)
					continue
				}
				s = r.Observe(s, l)
				if e, enough := s.Relative.LogE(), r.threshold(); e >= enough {
					t.Fatalf("at %s the relative evidence is e^%.1f for a candidate that is never worse than stable, %.1f is sufficient", now, e, enough)
				}
				if diff := cmp.Diff(s.Evidence, s.Trail.Recompute()); diff != "" {
					t.Fatalf("at %s the trail gives another evidence (-kept +computed):\n%s", now, diff)
				}
			}
			// Looks that there were not have settled nothing.
			seen.Shift.Least, seen.Shift.LeastAt, s.Shift.Least, s.Shift.LeastAt = nil, 0, nil, 0
			if diff := cmp.Diff(seen.Shift, s.Shift); diff != "" {
				t.Errorf("the shift is another one than without skipped polls (-without +with):\n%s", diff)
			}
			if s.Relative.Canary != seen.Relative.Canary || s.Relative.Stable != seen.Relative.Stable {
				t.Errorf("compared are %v and %v, without skipped polls %v and %v", s.Relative.Canary, s.Relative.Stable, seen.Relative.Canary, seen.Relative.Stable)
			}
		})
	}
}

// When the weight changes twice before a look, what the second change leaves out contains what
// the first one does: nothing is left out twice.
func TestTwoChangesOfWeightBeforeALook(t *testing.T) {
	paces := []pace{{0, 100, 0.01}}
	var s RegressionState
	var l Ledger
	for now := 15; now <= 660; now += 15 {
		weight, from := 50, start
		switch {
		case now > 636:
			weight, from = 99, at(636)
		case now > raisedAt:
			weight, from = 90, at(raisedAt)
		}
		l = l.Advance(Poll{EvaluatedAt: at(now), Canary: []PodCounter{sampled("c", paces, now, 7)}, Stable: []PodCounter{sampled("s", paces, now, 13)}}, from)
		if now <= raisedAt {
			s = grown(weight).Observe(s, l)
			continue
		}
		s = grown(weight).Skip(s, l)
		if diff := cmp.Diff(s.Evidence, s.Trail.Recompute()); diff != "" {
			t.Fatalf("at %d s the trail gives another evidence (-kept +computed):\n%s", now, diff)
		}
	}
	// The newest scrape of before the second change ended 7 s after 630 s.
	canary, _ := s.Trail.counted()
	if want := l.Canary.minus(canary).minus(l.Stage).Add(s.Shift.late(l)); s.Unobserved.Apart != want {
		t.Errorf("%v of the candidate's are compared with nothing, want %v of %v", s.Unobserved.Apart, want, s.Unobserved.Counts)
	}
}
