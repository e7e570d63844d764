package analysis

import (
	"strings"
	"testing"
	"time"
)

// TestPower: docs/analysis.md has the requests that exclude 0.4 %: about 1,830 without bad
// ones. At 20 requests/s a step of 5 % gives one a second.
func TestPower(t *testing.T) {
	steps := func(weight int, hold time.Duration) []PlannedStep {
		return []PlannedStep{{0, time.Hour}, {weight, hold}, {50, time.Hour}, {100, time.Hour}}
	}
	for name, tc := range map[string]struct {
		p    Power
		want Shortfall
		says string
	}{
		"long enough":             {Power{Steps: steps(5, 33*time.Minute), Rate: 20, Deadline: time.Hour}, "", ""},
		"too short":               {Power{Steps: steps(5, 30*time.Minute), Rate: 20, Deadline: time.Hour}, HoldTooShort, "at about 20 requests/s step 2 of 3 (5 % for 30m0s) gives the candidate about 1740 after its warm-up of 1m0s, and to exclude more than 0.4 % errors takes about 18"},
		"so long":                 {Power{Steps: steps(5, 30*time.Minute), Rate: 20, Deadline: time.Hour}, HoldTooShort, "; it will hold for about 32m: let it hold as long"},
		"beyond the deadline":     {Power{Steps: steps(5, 20*time.Minute), Rate: 20, Deadline: 30 * time.Minute}, DeadlineTooShort, "it will hold for about 32m, beyond stepDeadline 30m0s"},
		"more weight":             {Power{Steps: steps(50, 5*time.Minute), Rate: 20, Deadline: time.Hour}, "", ""},
		"of errors takes longer":  {Power{Steps: steps(5, 33*time.Minute), Rate: 20, Ratio: 0.001}, HoldTooShort, ""},
		"no step before the bake": {Power{Steps: []PlannedStep{{0, time.Hour}, {100, time.Minute}}, Rate: 1}, HoldTooShort, "the bake (100 % for 1m0s) gives the candidate about 0 "},
		"no traffic":              {Power{Steps: steps(5, time.Hour)}, NoRequests, "the service gets no requests"},
		"stable is worse":         {Power{Steps: steps(5, time.Hour), Rate: 20, Ratio: 0.005}, StableTooBad, "stable has 0.5 % errors, so no number of requests excludes more than 0.4 % errors"},
	} {
		tc.p.Target, tc.p.Confidence, tc.p.WarmUp = 0.004, 0.95, time.Minute
		got, message := tc.p.Judge()
		if got != tc.want || !strings.Contains(message, tc.says) {
			t.Errorf("%s: %q: %s", name, got, message)
		}
	}
}
