package analysis

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readied is a counter of a pod that is ready since a second.
func readied(ready int, c PodCounter) PodCounter {
	c.ReadyAt = at(ready)
	return c
}

// lost is a counter of a pod that is not ready since a second.
func lost(unready int, c PodCounter) PodCounter {
	c.UnreadyAt = at(unready)
	return c
}

// started is a counter of a pod whose containers run since a second.
func started(second int, c PodCounter) PodCounter {
	c.StartedAt = at(second)
	return c
}

func TestLedgerHandsOutFreshScrapes(t *testing.T) {
	l := replay(
		both(5, pod("c", 4, 10, 1), pod("s", 4, 1000, 1)),
		both(20, pod("c", 19, 30, 3), pod("s", 19, 1500, 9)),
	)
	ms := func(second int) int64 { return at(second).UnixMilli() }
	want := []Scrape{{"c", ms(4), ms(19), ms(0), Counts{20, 2}}}
	if diff := cmp.Diff(want, l.Fresh); diff != "" {
		t.Errorf("fresh scrapes (-want +got):\n%s", diff)
	}
	next := both(35, pod("c", 34, 50, 3), pod("s", 34, 1600, 10))
	next.Canary = append(next.Canary, pod("new", 34, 7, 0))
	l = l.Advance(next, start)
	want = []Scrape{{"c", ms(19), ms(34), ms(0), Counts{20, 0}}}
	if diff := cmp.Diff(want, l.Fresh); diff != "" {
		t.Errorf("scrapes without bad requests, and one of a new pod (-want +got):\n%s", diff)
	}
	if l = l.Advance(both(50, pod("c", 49, 50, 3), pod("s", 49, 1700, 10)), start); len(l.Fresh) != 0 {
		t.Errorf("fresh scrapes without requests: %v, want none", l.Fresh)
	}
}

// Probes of a starting container answered with 503, and requests of users once it
// is ready.
func TestAPodCountsSinceItIsReady(t *testing.T) {
	cases := map[string]struct {
		pods      []PodCounter
		want      Counts
		wantReady int
	}{
		"what it counted before is not its users'": {
			[]PodCounter{lost(0, pod("c", 14, 5, 5)), lost(0, pod("c", 29, 20, 20)), readied(40, pod("c", 44, 40, 30)), readied(40, pod("c", 59, 90, 31))},
			Counts{50, 1}, 40,
		},
		"a sample from before its readiness is no baseline": {
			[]PodCounter{readied(40, pod("c", 14, 5, 5)), readied(40, pod("c", 39, 20, 20)), readied(40, pod("c", 54, 40, 30)), readied(40, pod("c", 69, 90, 31))},
			Counts{50, 1}, 40,
		},
		"not known since when": {[]PodCounter{pod("c", 14, 5, 5), pod("c", 29, 30, 6)}, Counts{25, 1}, 14},
		"what made a pod lose its readiness, and not its probes after that": {
			[]PodCounter{readied(0, pod("c", 14, 0, 0)), readied(0, pod("c", 29, 50, 2)), lost(40, pod("c", 38, 80, 5)), lost(40, pod("c", 44, 99, 9)), lost(40, pod("c", 59, 120, 20))},
			Counts{99, 9}, 0,
		},
		"nor its probes after it has ended": {
			[]PodCounter{readied(0, pod("c", 14, 0, 0)), lost(20, pod("c", 29, 50, 9)), lost(20, pod("c", 44, 80, 39)), pod("c", 59, 99, 58)},
			Counts{50, 9}, 0,
		},
		"a pod that is ready again has a new baseline": {
			[]PodCounter{readied(0, pod("c", 14, 0, 0)), readied(0, pod("c", 29, 50, 2)), lost(40, pod("c", 44, 80, 20)), readied(50, pod("c", 59, 100, 30)), readied(50, pod("c", 74, 140, 31))},
			Counts{120, 21}, 0,
		},
		"unless it was ready when its last sample was taken": {
			[]PodCounter{readied(0, pod("c", 14, 0, 0)), readied(0, pod("c", 29, 50, 2)), readied(40, pod("c", 44, 100, 30)), readied(40, pod("c", 59, 140, 31))},
			Counts{140, 31}, 0,
		},
		"a pod that was never ready, and is not any more": {
			[]PodCounter{readied(40, pod("c", 14, 5, 5)), lost(50, pod("c", 54, 40, 30)), lost(50, pod("c", 69, 60, 50))},
			Counts{}, 40,
		},
		"a container that restarted, and is not ready yet": {
			[]PodCounter{readied(0, pod("c", 14, 0, 0)), readied(0, pod("c", 29, 50, 2)), started(42, lost(40, pod("c", 44, 9, 9))), started(42, readied(50, pod("c", 59, 20, 9))), started(42, readied(50, pod("c", 74, 50, 10)))},
			Counts{80, 3}, 50,
		},
		"a container that is known to have restarted": {
			[]PodCounter{readied(0, pod("c", 14, 0, 0)), readied(0, pod("c", 29, 50, 2)), started(35, readied(40, pod("c", 44, 60, 9))), started(35, readied(40, pod("c", 59, 90, 10)))},
			Counts{80, 3}, 40,
		},
		"a container that has not restarted since": {
			[]PodCounter{started(-9, readied(0, pod("c", 14, 0, 0))), started(-9, readied(0, pod("c", 29, 50, 2))), started(-9, readied(40, pod("c", 44, 60, 9))), started(-9, readied(40, pod("c", 59, 90, 10)))},
			Counts{90, 10}, 0,
		},
		"a container whose counter fell": {
			[]PodCounter{readied(0, pod("c", 14, 0, 0)), readied(0, pod("c", 29, 50, 2)), readied(40, pod("c", 44, 10, 9)), readied(40, pod("c", 59, 40, 10))},
			Counts{80, 3}, 40,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for side := range 2 {
				var l Ledger
				var sum Counts
				for _, sample := range c.pods {
					p := Poll{EvaluatedAt: sample.SampledAt.Add(time.Second)}
					if side == 0 {
						p.Canary = []PodCounter{sample}
					} else {
						p.Stable = []PodCounter{sample}
					}
					l = restored(t, l).Advance(p, start)
					for _, s := range l.Fresh {
						sum = sum.Add(s.Counts)
						if s.ReadyAt > s.From {
							t.Errorf("a scrape from %d, before the pod was ready at %d", s.From, s.ReadyAt)
						}
					}
				}
				got := []Counts{l.Canary, l.Stable}[side]
				if got != c.want || side == 0 && sum != c.want {
					t.Errorf("counted %v, fresh scrapes have %v, want %v", got, sum, c.want)
				}
				if last := l.Pods["c"]; last.ReadyAt != at(c.wantReady).UnixMilli() {
					t.Errorf("ready since %s, want %s", time.UnixMilli(last.ReadyAt), at(c.wantReady))
				}
			}
		})
	}
}

// It works for 38 s and hangs for 22 s, in a circle, and its readiness probe notices after
// 10 s: its errors are in the scrapes in which it loses its readiness.
func TestACandidateThatLosesItsReadinessByErrorsFails(t *testing.T) {
	var l Ledger
	var s RegressionState
	r := grown(20)
	r.Quality.ReadyPods = 1
	served, bad := Counts{}, 0.0
	readyAt, unreadyAt := at(-60), time.Time{}
	for second := range 1200 {
		switch phase := second % 60; {
		case phase < 38:
			served = served.Add(Counts{10, 0})
		case phase < 48:
			served, bad = served.Add(Counts{10, 10}), bad+10
		case phase == 48:
			readyAt, unreadyAt = time.Time{}, at(second)
		case phase == 59:
			readyAt, unreadyAt = at(second), time.Time{}
		}
		if second%15 != 7 {
			continue
		}
		c, stable := pod("a", second, served.Total, served.Bad), pod("s", second, float64(40*second), 0)
		c.ReadyAt, c.UnreadyAt = readyAt, unreadyAt
		l = l.Advance(Poll{EvaluatedAt: at(second + 1), Canary: []PodCounter{c}, Stable: []PodCounter{stable}, ScrapeInterval: 15 * time.Second}, start)
		s = r.Observe(s, l)
		if l.Canary.Bad < bad*0.9 {
			t.Fatalf("%d s: %.0f bad requests are counted of %.0f", second, l.Canary.Bad, bad)
		}
		if v := r.Judge(s, l); v.Outcome() == Fail {
			return
		}
	}
	t.Error("a sixth of its requests are bad in every minute, and it does not fail")
}

// restored is a state or a ledger as another process reads it.
func restored[T any](t *testing.T, kept T) (out T) {
	t.Helper()
	raw, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAScrapeIsYoungUntilThePodIsWarm(t *testing.T) {
	s := Scrape{From: 60_000, To: 75_000, ReadyAt: 10_000}
	for warmUp, want := range map[time.Duration]bool{0: false, 50 * time.Second: false, 51 * time.Second: true, time.Minute: true} {
		if s.Young(warmUp) != want {
			t.Errorf("warm-up %s: young is %v, want %v", warmUp, !want, want)
		}
	}
}
