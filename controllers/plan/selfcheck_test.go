package plan_test

import (
	"testing"

	"belay.dev/belay/controllers/plan"
)

func TestSelfCheck(t *testing.T) {
	tests := map[string]struct {
		in     plan.Input
		broken bool
	}{
		"serving":                      {given(), false},
		"step at its weight":           {given(stepAt(0)), false},
		"step above its weight":        {given(stepAt(0), split(50)), true},
		"routes disagree":              {given(stepAt(0), mixed(50)), false},
		"requests for no ready pod":    {given(stepAt(0), canaryReady(0)), true},
		"the same in a handover":       {given(handingOver, canaryReady(0)), true},
		"canary at zero without a pod": {given(stepAt(0), split(0), noCanary), false},
		"share outside of a run":       {given(split(10), canaryPods(1)), true},
		"requests for no stable pod":   {given(stepAt(0), stableReady(0)), true},
		"promotion gives all":          {given(promoting), false},
		"handover":                     {given(handed), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plan.SelfCheck(test.in); (got != "") != test.broken {
				t.Errorf("self-check says %q", got)
			}
		})
	}
}
