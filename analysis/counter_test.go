package analysis

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Faults of a source, not of the pods: each pod serves 1200 requests and 1 bad one in each
// of 20 intervals of 15 s, after weeks of others.
func TestHistoryIsNeverCounted(t *testing.T) {
	const intervals = 20
	weeks := Counts{1e8, 1e6}
	legacy := Counts{5000, 40}
	cases := map[string]struct {
		// seen is what the source shows of the true counters after so many intervals.
		seen func(interval int, now Counts) Counts
		want Counts
	}{
		"none": {func(_ int, now Counts) Counts { return now }, Counts{24000, 20}},
		// A collector drops a series that nobody increases, a reload drops all that was.
		"a label set expires for good": {
			func(i int, now Counts) Counts {
				if i >= 3 {
					return now.minus(legacy)
				}
				return now
			}, Counts{19 * 1200, 19},
		},
		"a label set expires and comes back": {
			func(i int, now Counts) Counts {
				if i >= 3 && i < 12 {
					return now.minus(legacy)
				}
				return now
			}, Counts{24000, 20},
		},
		"two label sets expire one by one, and so come back": {
			func(i int, now Counts) Counts {
				if i >= 3 && i < 12 {
					now = now.minus(legacy)
				}
				if i >= 5 && i < 9 {
					now = now.minus(Counts{8000, 300})
				}
				return now
			}, Counts{24000, 20},
		},
		"one of two replicas is lost": {
			func(i int, now Counts) Counts {
				if i >= 3 {
					return now
				}
				return now.Add(now)
			}, Counts{2*2400 + 17*1200, 2*2 + 17},
		},
		"one of two replicas is away for a while": {
			func(i int, now Counts) Counts {
				if i >= 3 && i < 12 {
					return now
				}
				return now.Add(now)
			}, Counts{48000, 40},
		},
		"a second replica joins": {
			func(i int, now Counts) Counts {
				if i >= 3 {
					return now.Add(now)
				}
				return now
			}, Counts{2*1200 + 17*2400, 2 + 17*2},
		},
		"only bad is missing": {
			func(i int, now Counts) Counts {
				if i >= 3 && i < 12 {
					return Counts{now.Total, 0}
				}
				return now
			}, Counts{24000, 20},
		},
		"rounding, as in count * (1 - fraction) of a native histogram": {
			func(i int, now Counts) Counts {
				now.Bad = weeks.Bad + 7
				if i%2 == 1 {
					now.Bad -= 1e-9
				}
				return now
			}, Counts{24000, 0},
		},
		"the pod's counts after a crash that nobody saw": {
			func(i int, now Counts) Counts {
				if i >= 3 {
					return now.minus(weeks).minus(Counts{2 * 1200, 2})
				}
				return now
			}, Counts{19 * 1200, 19},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var l Ledger
			for i := range intervals + 1 {
				now := c.seen(i, weeks.Add(Counts{1200 * float64(i), float64(i)}))
				s := readied(-1000, pod("s", 15*i, now.Total, now.Bad))
				l = l.Advance(Poll{EvaluatedAt: at(15 * i), Stable: []PodCounter{s}}, start)
				l = restored(t, l)
			}
			if diff := cmp.Diff(c.want, l.Stable); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
		})
	}
}

// total counts requests when they begin, bad when they end: traffic pauses, and the last
// ones fail late.
func TestErrorsOfEarlierRequestsCount(t *testing.T) {
	var l Ledger
	now := Counts{}
	for i := range 21 {
		switch {
		case i < 10:
			now = now.Add(Counts{300, 1})
		case i == 12:
			now.Bad += 5
		}
		l = l.Advance(both(15*i, pod("c", 15*i, now.Total, now.Bad), pod("s", 15*i, 1e6, 0)), start)
		if i == 12 {
			want := []Scrape{{"c", at(165).UnixMilli(), at(180).UnixMilli(), at(0).UnixMilli(), Counts{0, 5}}}
			if diff := cmp.Diff(want, l.Fresh); diff != "" {
				t.Errorf("late errors (-want +got):\n%s", diff)
			}
		}
	}
	if want := (Counts{2700, 14}); l.Canary != want {
		t.Errorf("counted %v, want %v", l.Canary, want)
	}
	// All of them are of requests from before the baseline: not more fail than are counted.
	l = Ledger{}.Advance(both(0, pod("c", 0, 1000, 0), pod("s", 0, 1e6, 0)), start)
	l = l.Advance(both(15, pod("c", 15, 1003, 9), pod("s", 15, 1e6, 0)), start)
	if want := (Counts{3, 3}); l.Canary != want || l.Stage != want {
		t.Errorf("counted %v, in the stage %v, want %v", l.Canary, l.Stage, want)
	}
}

// What a run has cost is compared with stable's counts, of which some are missing since the
// third interval.
func TestMissingHistoryDoesNotSilenceTheBudget(t *testing.T) {
	rule := BudgetSpent{Budget: 0.001, Period: budgetPeriod, Limit: 0.0002, MinimumSamples: 200, Quality: Quality{ScrapeInterval: slowestScrape, ReadyPods: 1, Weight: 20}}
	var l Ledger
	c, s := Counts{}, Counts{1e8, 1e6}
	for i := range 41 {
		seen := s
		if i >= 3 {
			seen = s.minus(Counts{5000, 0})
		}
		l = l.Advance(both(15*i, pod("c", 15*i, c.Total, c.Bad), pod("s", 15*i, seen.Total, seen.Bad)), start)
		c, s = c.Add(Counts{300, 3}), s.Add(Counts{1200, 0})
	}
	if v := rule.Judge(l); v.Reason != BudgetExceeded {
		t.Errorf("%s: %s", v.Reason, v.Message)
	}
}

func TestRoundingIsNoDecrease(t *testing.T) {
	var l Ledger
	q := Quality{ScrapeInterval: slowestScrape, ReadyPods: 1, Weight: 20}
	for i := range 21 {
		bad := 7.0
		if i%2 == 1 {
			bad -= 1e-12
		}
		l = l.Advance(canary(15*i, pod("c", 15*i, 300*float64(i+1), bad)), start)
		if n := q.doubtful(l); n > 0 {
			t.Fatalf("poll %d: %d pods are in doubt", i, n)
		}
	}
	if want := (Counts{6000, 0}); l.Canary != want {
		t.Errorf("counted %v, want %v", l.Canary, want)
	}
}

// A collector that drops and keeps what it likes.
func TestWhatIsMissingIsBounded(t *testing.T) {
	var l Ledger
	total := 1e6
	for i := range 20 {
		total -= float64(1000 - 10*i)
		l = l.Advance(canary(15*i, pod("c", 15*i, total, 0)), start)
		l = restored(t, l)
	}
	want := []Counts{{840, 0}, {830, 0}, {820, 0}, {810, 0}}
	if diff := cmp.Diff(want, l.Pods["c"].Missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}
