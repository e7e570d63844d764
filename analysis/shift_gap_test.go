package analysis

import (
	"testing"
	"time"
)

// Between two steps a run's weight is 0 and its stage has no beginning (weightOf in
// controllers/judge, StageStart in api/v1alpha1) until the gateway acknowledges the next weight.
// Whether a poll falls into that time must not decide what is compared with stable: from 60 to
// 80 % stable keeps half of its weight.
func TestAPollBeforeTheGatewayAcknowledgesIsNoChangeOfWeight(t *testing.T) {
	for name, polled := range map[string]bool{"no poll in between": false, "a poll in between": true} {
		t.Run(name, func(t *testing.T) {
			var s RegressionState
			var l Ledger
			for now := 15; now <= 900; now += 15 {
				weight, from := 60, start
				switch {
				case now > 600 && now <= 615 && polled:
					weight, from = 0, time.Time{}
				case now > 600 && now <= 615:
					continue
				case now > 615:
					weight, from = 80, at(616)
				}
				n := float64(now)
				l = l.Advance(Poll{EvaluatedAt: at(now), Canary: []PodCounter{pod("c", now-3, 60*n, 0)}, Stable: []PodCounter{pod("s", now-7, 40*n, 0)}}, from)
				s = grown(weight).Observe(s, l)
			}
			if s.Shift.Before != nil || s.Shift.Left != (Counts{}) {
				t.Errorf("%v of stable's requests are compared with nothing", s.Shift.Left)
			}
		})
	}
}
