package analysis

import (
	"math"
	"testing"
)

func TestPreflight(t *testing.T) {
	rule := Preflight{Budget: 0.001, Remaining: 0.1}
	tests := map[string]struct {
		rule   Preflight
		shares Shares
		want   Reason
	}{
		"nothing spent":              {rule, Shares{}, Healthy},
		"a tenth is left":            {rule, Shares{Period: 0.0009}, Healthy},
		"less than a tenth is left":  {rule, Shares{Period: 0.00091}, BudgetLow},
		"overspent":                  {rule, Shares{Period: 0.5}, BudgetLow},
		"the alert fires":            {rule, Shares{Long: 0.015, Short: 0.015}, AlertFiring},
		"the alert has ended":        {rule, Shares{Long: 0.015, Short: 0.001}, Healthy},
		"the alert has just begun":   {rule, Shares{Long: 0.001, Short: 0.5}, Healthy},
		"not a share":                {rule, Shares{Period: 1.5}, Malformed},
		"not a number":               {rule, Shares{Long: math.NaN()}, Malformed},
		"a budget of nothing":        {Preflight{}, Shares{}, BadQuery},
		"a budget that may be spent": {Preflight{Budget: 0.001}, Shares{Period: 0.001}, Healthy},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if v := tc.rule.Judge(tc.shares); v.Reason != tc.want {
				t.Errorf("%s, want %s: %s", v.Reason, tc.want, v.Message)
			}
		})
	}
}

func TestPreflightOnRecordedNumbers(t *testing.T) {
	rule := Preflight{Budget: 0.001, Remaining: 0.1}
	for name, tc := range map[string]struct {
		recorded Recorded
		want     Reason
	}{
		"nothing spent":             {Recorded{1, 0}, Healthy},
		"a tenth is left":           {Recorded{0.1, 14.4}, Healthy},
		"less than a tenth is left": {Recorded{0.09, 0}, BudgetLow},
		"overspent":                 {Recorded{-3, 0}, BudgetLow},
		"the alert fires":           {Recorded{1, 14.5}, AlertFiring},
		"percent":                   {Recorded{100, 0}, Malformed},
		"not a number":              {Recorded{math.NaN(), 0}, Malformed},
		"burns backwards":           {Recorded{1, -1}, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			if v := rule.JudgeRecorded(tc.recorded); v.Reason != tc.want {
				t.Errorf("%s, want %s: %s", v.Reason, tc.want, v.Message)
			}
		})
	}
}
