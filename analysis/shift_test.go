package analysis

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pace is what one pod serves from a second on, until the next one.
type pace struct{ from, rps, ratio float64 }

// countersAt are a pod's counters at a second.
func countersAt(paces []pace, second float64) Counts {
	var c Counts
	for i, p := range paces {
		until := second
		if i+1 < len(paces) {
			until = min(second, paces[i+1].from)
		}
		requests := p.rps * max(0, until-p.from)
		c = c.Add(Counts{requests, requests * p.ratio})
	}
	return Counts{math.Floor(c.Total), math.Floor(c.Bad)}
}

// sampled is a pod at a poll that is scraped every 15 s, at an offset.
func sampled(name string, paces []pace, now, offset int) PodCounter {
	second := offset + (now-offset)/15*15
	c := countersAt(paces, float64(second))
	return pod(name, second, c.Total, c.Bad)
}

// raisedAt is the second at which the weight changes in these tests, 9 s before a poll.
const raisedAt = 606

// raised are the ledgers of polls every 15 s of two canary and two stable pods, scraped at
// seconds 5, 10, 8 and 1 of each interval.
func raised(canary, stable []pace) []Ledger {
	return raisedOf(func(now int) Poll {
		return Poll{
			Canary: []PodCounter{sampled("a", canary, now, 5), sampled("b", canary, now, 10)},
			Stable: []PodCounter{sampled("s", stable, now, 8), sampled("t", stable, now, 1)},
		}
	})
}

// raisedOnePod is raised for one pod of each version, scraped at seconds 7 and 13 of each interval:
// stable's last scrape from before the change ends when the candidate's first from after it lasts.
func raisedOnePod(canary, stable []pace) []Ledger {
	return raisedOf(func(now int) Poll {
		return Poll{Canary: []PodCounter{sampled("c", canary, now, 7)}, Stable: []PodCounter{sampled("s", stable, now, 13)}}
	})
}

func raisedOf(poll func(now int) Poll) []Ledger {
	out := []Ledger{{}}
	for now := 15; now <= 900; now += 15 {
		from := start
		if now > raisedAt {
			from = at(raisedAt)
		}
		p := poll(now)
		p.EvaluatedAt = at(now)
		out = append(out, out[len(out)-1].Advance(p, from))
	}
	return out[1:]
}

// atWeight is the rule at a ledger of raised, with the weights before and after the change.
func atWeight(l Ledger, before, after int) Regression {
	if l.EvaluatedAt.After(at(raisedAt)) {
		return grown(after)
	}
	return grown(before)
}

// With 100 requests/s, of which the candidate gets 5 % at first, an incident of both versions
// that begins with the change is no regression, whatever the change leaves stable.
func TestAFaultThatBeginsWithAChangeOfWeight(t *testing.T) {
	const ends = raisedAt + 30
	incident := func(rps float64) []pace { return []pace{{0, 2.5, 0}, {raisedAt, rps, 0.05}, {ends, rps, 0}} }
	regression := func(rps float64) []pace { return []pace{{0, 2.5, 0}, {raisedAt, rps, 0.05}} }
	beside := func(rps, ratio float64) []pace {
		return []pace{{0, 47.5, 0.0005}, {raisedAt, rps, ratio}, {ends, rps, 0.0005}}
	}
	cases := map[string]struct {
		canary, stable []pace
		weight         int
		// wantAfter is how many seconds after the change it fails, 0 for never.
		wantAfter int
	}{
		"an incident, at weight 100":                                  {incident(50), beside(0, 0.05), 100, 0},
		"an incident, and callers that bypass the routes":             {incident(49), beside(1, 0.05), 100, 0},
		"an incident, at a weight that leaves stable little":          {incident(49.5), beside(0.5, 0.05), 99, 0},
		"a regression at weight 100":                                  {regression(50), beside(0, 0), 100, 69},
		"a regression at a weight that leaves stable little":          {regression(45), beside(5, 0.0005), 90, 69},
		"a regression at a weight that leaves stable as much as this": {regression(25), beside(25, 0.0005), 50, 24},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var s RegressionState
			var v Verdict
			after := 0
			for _, l := range raised(c.canary, c.stable) {
				r := atWeight(l, 5, c.weight)
				s = r.Observe(s, l)
				if v = r.Judge(s, l); v.Outcome() == Fail {
					after = int(l.EvaluatedAt.Sub(at(raisedAt)).Seconds())
					break
				}
			}
			if after != c.wantAfter {
				t.Errorf("fails %d s after the change, want %d (0 is never): %s %s", after, c.wantAfter, v.Reason, v.Message)
			}
		})
	}
}

// What stable served in scrapes that began before a shift is left out once, and for good.
func TestWhatAShiftLeavesOut(t *testing.T) {
	all := raised([]pace{{0, 1, 0}}, []pace{{0, 40, 0.01}, {raisedAt, 4, 0.01}})
	first := raisedAt/15 + 1 // The first poll after the change.
	var kept Counts
	for _, l := range all[:first-1] {
		kept = l.Stable
	}
	last := all[len(all)-1]
	// Of stable's pods, one is scraped 2 s after the change, the other 5 s before it, which the
	// poll before the change has not seen, and 10 s after it.
	straddling := Counts{13*40 + 2*4 + 15*40 + 5*40 + 10*4, 13}
	cases := map[string]struct {
		before, after int
		left          Counts
	}{
		"most of stable's requests are gone": {5, 90, straddling},
		"all of them":                        {5, 100, straddling},
		"half of them":                       {5, 50, Counts{}},
		"stable gets more":                   {50, 5, Counts{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var s RegressionState
			observe := func(l Ledger, weight int) {
				s = restored(t, grown(weight).Observe(s, l))
			}
			for i, l := range all {
				weight := c.before
				if i >= first-1 {
					weight = c.after
				}
				observe(l, weight)
			}
			_, counted := s.Trail.counted()
			if diff := cmp.Diff(c.left, s.Shift.Left); diff != "" || counted != last.Stable.minus(c.left) || !(kept.Total < counted.Total) {
				t.Errorf("left out (-want +got):\n%s\nstable's looks have %v of %v", diff, counted, last.Stable)
			}
			// Another change, by which stable loses little, brings nothing back.
			next := last
			next.EvaluatedAt, next.StageFrom = last.EvaluatedAt.Add(15e9), last.EvaluatedAt.Add(1e9)
			next.Stable, next.StageStable = last.Stable.Add(Counts{60, 1}), Counts{}
			observe(next, c.after)
			if got := s.Trail.Looks[len(s.Trail.Looks)-1].Stable; got != (Counts{60, 1}) {
				t.Errorf("the look after the next change has %v of stable's, want 60 requests and 1 bad one", got)
			}
			// A ledger that begins anew has counted nothing of what was left out.
			fresh := all[1]
			fresh.EvaluatedAt = next.EvaluatedAt.Add(15e9)
			if observe(fresh, c.after); s.Shift.Left != (Counts{}) {
				t.Errorf("a new ledger leaves out %v", s.Shift.Left)
			}
		})
	}
}
