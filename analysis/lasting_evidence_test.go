package analysis

import (
	"math"
	"testing"
	"time"
)

// The candidate has ten times its budget in errors from its first request on, stable half of its
// budget. There are so few requests that it takes hours. While the evidence is sufficient no look
// is a pass, and it is sustained in the end: no cause explains much of a long run.
func TestEvidenceThatLastsIsARegression(t *testing.T) {
	cases := map[string]struct {
		rps, ratio float64
		every      int
	}{
		"1 % of 0.2 requests a second":  {0.2, 0.01, 5},
		"2 % of 0.05 requests a second": {0.05, 0.02, 5},
		"5 % of 0.02 requests a second": {0.02, 0.05, 15},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := Default(0.001, 1, 100)
			r.Given(Quality{ScrapeInterval: time.Duration(c.every) * time.Second, ReadyPods: 2, Weight: 5}, 0, "")
			var s RegressionState
			var l Ledger
			for now := 0; now <= 3*3600; now += c.every {
				n := math.Floor(float64(now) * c.rps / 2)
				l = l.Advance(Poll{
					EvaluatedAt: at(now), ScrapeInterval: time.Duration(c.every) * time.Second, WarmUps: []time.Duration{time.Minute},
					Canary: []PodCounter{pod("c", now, n, math.Floor(n*c.ratio)), pod("d", now, n, math.Floor(n*c.ratio+0.5))},
					Stable: []PodCounter{pod("s", now, 38*n, math.Floor(38*n*0.0005))},
				}, start)
				s = r.Observe(s, l)
				if now%60 != 0 || !r.compared(s.Evidence) {
					continue
				}
				switch v := r.Judge(s, l); v.Outcome() {
				case Fail:
					return
				case Pass:
					t.Fatalf("passes at %d s with evidence e^%.0f and e^%.0f: %s", now, s.Relative.LogE(), s.Absolute.LogE(), v.Message)
				}
			}
			t.Errorf("not rolled back in three hours; sustained is %.1f of %.0f", r.Sustained(s), r.Bar)
		})
	}
}

// Four minutes after the first request of a candidate with 3 % errors all the time, a step of this
// length ends: the evidence is sufficient, and no burst explains it.
func TestSufficientEvidenceIsNoPass(t *testing.T) {
	r := Default(0.001, 1, 100)
	r.Given(Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1, Weight: 5}, 0, "")
	var s RegressionState
	var l Ledger
	for now := 0; now <= 225; now += 15 {
		n := float64(now)
		l = l.Advance(Poll{
			EvaluatedAt: at(now), ScrapeInterval: 15 * time.Second, WarmUps: []time.Duration{time.Minute},
			Canary: []PodCounter{pod("c", now, n, math.Floor(n*0.03))},
			Stable: []PodCounter{pod("s", now, 19*n, math.Floor(19*n*0.0005))},
		}, start)
		s = r.Observe(s, l)
		if v := r.Judge(s, l); r.compared(s.Evidence) && v.Outcome() == Pass {
			t.Errorf("passes at %d s with evidence e^%.1f and e^%.1f, of which e^%.1f is sufficient: %s", now, s.Relative.LogE(), s.Absolute.LogE(), r.threshold(), v.Message)
		}
	}
}
