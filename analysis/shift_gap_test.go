package analysis

import (
	"testing"
	"time"
)

// Between two steps a run's weight is 0 or 100 and its stage has no beginning (weightOf in
// controllers/judge, StageStart in api/v1alpha1) until the gateway acknowledges the next weight.
// Whether a poll falls into that time must not decide what is compared with stable: from 60 to
// 80 % stable keeps half of its weight, and from 60 to 100 % nothing of it.
func TestAPollBeforeTheGatewayAcknowledgesChangesNothing(t *testing.T) {
	cases := map[string]struct {
		// between is the weight of a poll in between, -1 for no poll.
		between, next int
		left          Counts
	}{
		"no poll in between":                       {-1, 80, Counts{}},
		"a poll in between":                        {0, 80, Counts{}},
		"no poll before the promotion":             {-1, 100, Counts{Total: 1200}},
		"a poll before the promotion":              {100, 100, Counts{Total: 600}},
		"a poll in between, to a weight of nearly": {0, 99, Counts{Total: 600}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var s RegressionState
			var l Ledger
			for now := 15; now <= 900; now += 15 {
				weight, from := 60, start
				switch {
				case now > 600 && now <= 615 && c.between >= 0:
					weight, from = c.between, time.Time{}
				case now > 600 && now <= 615:
					continue
				case now > 615:
					weight, from = c.next, at(616)
				}
				n := float64(now)
				l = l.Advance(Poll{EvaluatedAt: at(now), Canary: []PodCounter{pod("c", now-3, 60*n, 0)}, Stable: []PodCounter{pod("s", now-7, 40*n, 0)}}, from)
				s = grown(weight).Observe(s, l)
				if now == 615 && s.Trail.weight() != 60 {
					t.Errorf("the look before the next weight is acknowledged has weight %d, want the last one, 60", s.Trail.weight())
				}
			}
			if s.Shift.Left != c.left {
				t.Errorf("%v of stable's requests are compared with nothing, want %v", s.Shift.Left, c.left)
			}
		})
	}
}
