package judge

import (
	"testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// TestObserversDoNotWeakenAClusterGuardrail: triggers that only observe roll nothing back, so
// they cannot share the bound on false rollbacks with those that do.
func TestObserversDoNotWeakenAClusterGuardrail(t *testing.T) {
	regression := func(mode v1alpha1.Mode) v1alpha1.Trigger {
		return v1alpha1.Trigger{Name: "r", SLO: "s", Mode: mode, Regression: &v1alpha1.RegressionTrigger{}}
	}
	all := []v1alpha1.PinnedGuardrail{{Kind: "ClusterGuardrail", Name: "sre", Spec: v1alpha1.GuardrailSpec{Triggers: []v1alpha1.Trigger{regression(v1alpha1.ModeEnforce)}}}}
	for range 16 {
		g := v1alpha1.PinnedGuardrail{Kind: "Guardrail", Name: "mine"}
		for range 16 {
			g.Spec.Triggers = append(g.Spec.Triggers, regression(v1alpha1.ModeObserve))
		}
		all = append(all, g)
	}
	e := &evaluation{guardrails: all}
	if n := e.regressions(); n != 1 {
		alone, shared := analysis.Default(0.001, 1, 20), analysis.Default(0.001, n, 20)
		t.Errorf("the ClusterGuardrail's trigger shares its bound with %d: alone %+v, now %+v", n-1, alone, shared)
	}
}
