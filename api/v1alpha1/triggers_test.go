package v1alpha1

import (
	"strings"
	"testing"
)

// TestMistake: the limits of the API's own rules, and numbers that older rules let pass.
func TestMistake(t *testing.T) {
	for name, tc := range map[string]struct {
		objective string
		trigger   Trigger
		says      string
	}{
		"default trigger":      {"99.9", Trigger{}, ""},
		"as low as it may be":  {"55.1", Trigger{}, ""},
		"one that is too low":  {"55", Trigger{}, "regression.burn 2 times that is not below 90 %"},
		"a ratio":              {"0.999", Trigger{}, "leaves a budget of 99 %"},
		"not a number":         {"many", Trigger{}, `the objective "many" is not a percentage`},
		"burn.rate that fits":  {"93.1", Trigger{Burn: &BurnTrigger{Rate: "14.4"}}, ""},
		"burn.rate too high":   {"93", Trigger{Burn: &BurnTrigger{Rate: "14.4"}}, "burn.rate 14.4 times that is not below 100 %: lower burn.rate of trigger t"},
		"burn.rate of nothing": {"99", Trigger{Burn: &BurnTrigger{Rate: "0"}}, `burn.rate "0" is not a number above 0`},
		"budgetSpent":          {"50", Trigger{BudgetSpent: "2"}, ""},
	} {
		spec := GuardrailSpec{SLOs: []SLO{{Name: "median", Objective: tc.objective}}}
		if tc.trigger.Burn != nil || tc.trigger.BudgetSpent != "" {
			tc.trigger.Name, tc.trigger.SLO = "t", "median"
			spec.Triggers = []Trigger{tc.trigger}
		}
		if got := spec.Mistake(); (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
