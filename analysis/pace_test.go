package analysis

import (
	"strings"
	"testing"
	"time"
)

// TestAStepSaysWhatItStillNeeds: how many requests, and about how long at its own pace.
func TestAStepSaysWhatItStillNeeds(t *testing.T) {
	from := time.Unix(1_800_000_000, 0)
	for name, tc := range map[string]struct {
		served  float64
		elapsed time.Duration
		want    string
	}{
		"two minutes more":   {140, 280 * time.Second, "140 of 200 requests needed at this weight, 60 missing, about 2m at the present rate"},
		"seconds":            {190, 190 * time.Second, "10 missing, about 10s at the present rate"},
		"rounded up":         {190, 228 * time.Second, "about 15s"},
		"hours":              {2, 2 * time.Minute, "198 missing, about 4h"},
		"days":               {1, 24 * time.Hour, "199 missing, more than 2 days at"},
		"a fraction":         {199.5, time.Minute, "1 missing, about 5s"},
		"no time has passed": {10, 0, "190 missing"},
	} {
		l := Ledger{StageFrom: from, EvaluatedAt: from.Add(tc.elapsed), Stage: Counts{Total: tc.served}}
		got := l.fewer(200, words("canary well"))()
		if !strings.Contains(got, tc.want) || !strings.HasSuffix(got, "; canary well") {
			t.Errorf("%s: %q", name, got)
		}
		if hasPace := strings.Contains(got, "at the present rate"); hasPace != (tc.elapsed > 0) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := (Ledger{EvaluatedAt: from, Stage: Counts{Total: 10}}).missing(200); strings.Contains(got, "rate") {
		t.Errorf("without a beginning of the stage: %q", got)
	}
}
