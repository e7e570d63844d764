package analysis

import (
	"math"
	"testing"
	"time"
)

// The candidate has had ten times its budget in errors from its first request on, for six hours,
// stable half of its budget. The evidence of both hypotheses is far beyond what is sufficient. With
// so few requests it is not sustained, so nothing is rolled back, and no look is a pass.
func TestEvidenceThatLastsIsNoPass(t *testing.T) {
	const rps, ratio, every = 0.2, 0.01, 5
	r := Default(0.001, 1, 100)
	r.Given(Quality{ScrapeInterval: every * time.Second, ReadyPods: 2, Weight: 5}, 0, "")
	var s RegressionState
	var l Ledger
	judged, passes, said := 0, 0, ""
	for now := 0; now <= 6*3600; now += every {
		n := math.Floor(float64(now) * rps / 2)
		l = l.Advance(Poll{
			EvaluatedAt: at(now), ScrapeInterval: every * time.Second, WarmUps: []time.Duration{time.Minute},
			Canary: []PodCounter{pod("c", now, n, math.Floor(n*ratio)), pod("d", now, n, math.Floor(n*ratio+0.5))},
			Stable: []PodCounter{pod("s", now, 38*n, math.Floor(38*n*0.0005))},
		}, start)
		s = r.Observe(s, l)
		if now%60 != 0 || !r.compared(s.Evidence) {
			continue
		}
		judged++
		if v := r.Judge(s, l); v.Outcome() == Pass {
			passes, said = passes+1, v.Message
		}
	}
	if judged == 0 || passes > 0 {
		t.Errorf("%d of %d looks with sufficient evidence, e^%.0f and e^%.0f at last, are passes: %s", passes, judged, s.Relative.LogE(), s.Absolute.LogE(), said)
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
