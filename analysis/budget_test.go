package analysis

import (
	"math"
	"testing"
	"time"
)

func TestBudgetSpent(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	// 100 requests a second for 10 minutes, a tenth of them the candidate's; 30
	// days bring 259.2 million, of which 0.1 % may fail.
	ledger := func(bad float64) Ledger {
		return Ledger{
			Pods:  map[string]lastCounter{"s": {SampledAt: start.Add(10 * time.Minute).UnixMilli(), Stable: true}},
			Since: start, EvaluatedAt: start.Add(10 * time.Minute),
			Canary: Counts{Total: 6000, Bad: bad}, Stable: Counts{Total: 54000, Bad: 54}, Stage: Counts{Total: 6000, Bad: bad},
		}
	}
	rule := BudgetSpent{Budget: 0.001, Period: 30 * 24 * time.Hour, Limit: 0.001, MinimumSamples: 200, Quality: Quality{Weight: 10}}
	tests := map[string]struct {
		rule   BudgetSpent
		ledger Ledger
		want   Reason
		spent  float64
	}{
		"no worse than stable":   {rule, ledger(6), Healthy, 0},
		"below the limit":        {rule, ledger(258), Healthy, 252 / 259200.0},
		"above the limit":        {rule, ledger(266), BudgetExceeded, 260 / 259200.0},
		"nothing at this weight": {rule, Ledger{Since: start, EvaluatedAt: start.Add(time.Minute)}, NoTraffic, 0},
		"too few requests":       {BudgetSpent{Budget: 0.001, Period: time.Hour, Limit: 1, MinimumSamples: 7000}, ledger(0), BelowMinSamples, 0},
		"a limit of nothing":     {BudgetSpent{Budget: 0.001, Period: time.Hour}, ledger(0), BadQuery, math.NaN()},
		"two bad requests":       {BudgetSpent{Budget: 0.001, Period: time.Minute, Limit: 0.001, Quality: Quality{Weight: 100}}, Ledger{Since: start, EvaluatedAt: start.Add(time.Minute), Canary: Counts{Total: 100, Bad: 2}, Stage: Counts{Total: 100, Bad: 2}}, Healthy, 20},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := tc.rule.Judge(tc.ledger)
			if v.Reason != tc.want {
				t.Errorf("reason %s, want %s: %s", v.Reason, tc.want, v.Message)
			}
			if !math.IsNaN(tc.spent) && math.Abs(v.Statistics[0].Value-tc.spent) > 1e-9 {
				t.Errorf("spent %v, want %v", v.Statistics[0].Value, tc.spent)
			}
		})
	}
}
