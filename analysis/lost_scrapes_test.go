package analysis

import (
	"strings"
	"testing"
	"time"
)

// Of nine canary pods, a different one misses its scrape in two of three polls. Those polls lack
// coverage, so they are skipped, as in triggers.Judge. The candidate has 5 % errors from 300 s on,
// its pods are then minutes past their warm-up: it is rolled back, and no message says that they
// are within it.
func TestARegressionIsFoundAlthoughScrapesFail(t *testing.T) {
	const pods, rps, onset, until = 9, 2, 300, 900
	r := grown(20)
	r.WarmUp = time.Minute
	r.Quality.ReadyPods = pods
	var s RegressionState
	var l Ledger
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	for now := 15; now <= until; now += 15 {
		p := Poll{EvaluatedAt: at(now), ScrapeInterval: 15 * time.Second}
		for i, name := range names {
			if poll := now / 15; poll%3 != 0 && poll%pods == i {
				// Prometheus marks the series of a failed scrape as stale.
				continue
			}
			c := countersAt([]pace{{0, rps, 0}, {onset, rps, 0.05}}, float64(now))
			p.Canary = append(p.Canary, PodCounter{Pod: name, Counts: c, SampledAt: at(now), ReadyAt: start})
		}
		p.Stable = []PodCounter{pod("s", now, float64(72*now), float64(now/30))}
		l = l.Advance(p, start)
		if _, ok := r.Quality.Judge(p); !ok {
			s = r.Skip(s, l)
			continue
		}
		s = r.Observe(s, l)
		v := r.Judge(s, l)
		if v.Outcome() == Fail {
			return
		}
		if now > onset+60 && strings.Contains(v.Message, "within their warm-up") {
			t.Errorf("at %d s, of pods that are ready since 0 s: %s", now, v.Message)
		}
	}
	t.Errorf("not rolled back in %d s of 5 %% errors", until-onset)
}
