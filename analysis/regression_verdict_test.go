package analysis

import (
	"strings"
	"testing"
	"time"
)

// While what fails may be a cold start, no message speaks of an incident or of one burst.
func TestAColdStartIsCalledOne(t *testing.T) {
	// Each pod has 3 requests a second, too few for enough evidence against stable's ratio.
	good, cold := Counts{45, 0}, Counts{45, 3}
	quiet, sick := repeat(Counts{20, 0}, 12), repeat(Counts{20, 1}, 12)
	const (
		isCold     = "the error budget burns, by requests of pods within their warm-up of 1m0s, until 12:01:00 UTC: a cold start may be the cause, and what fails later decides"
		isHeld     = "enough evidence to roll back, but the pods with bad requests are within their warm-up of 1m0s: held back until 12:01:00 UTC"
		isIncident = "the error budget burns, but the candidate is not shown to be worse than stable"
	)
	cases := map[string]struct {
		counts, stable []Counts
		// polls has what the message says at some of them, empty for nothing of the three.
		polls map[int]string
	}{
		"a cold start":                             {series(repeat(cold, 3), repeat(good, 9)), quiet, map[int]string{3: isCold, 4: isCold, 5: isCold, 6: isCold, 10: ""}},
		"a cold start with enough evidence":        {series(repeat(Counts{450, 12}, 2), repeat(Counts{450, 0}, 10)), repeat(Counts{8000, 4}, 12), map[int]string{3: isHeld, 4: isCold, 5: isCold, 10: ""}},
		"errors that stay":                         {repeat(cold, 12), quiet, map[int]string{3: isCold, 7: isIncident}},
		"stable fails as well":                     {series(repeat(cold, 3), repeat(good, 9)), sick, map[int]string{3: isIncident, 4: isIncident}},
		"errors of pods that are past their youth": {series(repeat(good, 5), repeat(cold, 3), repeat(good, 4)), quiet, map[int]string{8: isIncident}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := grown(50)
			r.WarmUp = time.Minute
			var s RegressionState
			for i, l := range twoPods(c.counts, c.stable) {
				s = r.Observe(s, l)
				v := r.Judge(s, l)
				want, asked := c.polls[i]
				said := strings.Contains(v.Message, "the error budget burns") || strings.Contains(v.Message, "enough evidence")
				if asked && (said != (want != "") || !strings.Contains(v.Message, want)) {
					t.Errorf("poll %d: %s %s\nwant %q", i, v.Reason, v.Message, want)
				}
				if asked && want != "" && (v.Reason == EnvironmentIncident) != (want == isIncident) {
					t.Errorf("poll %d: %s, with %q", i, v.Reason, want)
				}
			}
		})
	}
}
