package invariants

import (
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestARunStartsWithItsGatesOpen: a run with steps with all of them, a revert with
// those that do not speak of the candidate.
func TestARunStartsWithItsGatesOpen(t *testing.T) {
	const steps, revert = v1alpha1.PhaseStepping, v1alpha1.PhasePromoting
	says := func(name plan.GateName, outcome plan.GateOutcome) func(*plan.Input) {
		return func(in *plan.Input) { in.Gates = append(in.Gates, plan.Gate{Name: name, Outcome: outcome}) }
	}
	passed := func(in *plan.Input) {
		in.Status.Preflight = &v1alpha1.PreflightStatus{Outcome: v1alpha1.VerdictPass}
		says(plan.GatePreflight, plan.Open)(in)
	}
	guard := func(gates ...plan.Gate) func(*plan.Input) { return func(in *plan.Input) { in.Gates = gates } }
	const unaffordable = "a run starts although the pre-flight check does not pass"
	for _, c := range []struct {
		name   string
		to     v1alpha1.Phase
		change func(*plan.Input)
		says   string
	}{
		{"guarded", steps, func(*plan.Input) {}, ""},
		{"no guard", steps, guard(), "a run starts while the guard is not proven"},
		{"guard unknown", revert, guard(plan.Gate{Name: plan.GateGuard, Outcome: plan.Unknown}), "a run starts while the guard is not proven"},
		{"claimed", revert, says(plan.GateClaim, plan.Closed), `gate "claim" is Closed`},
		{"guardrail missing", revert, says(plan.GateGuardrails, plan.Closed), `gate "guardrails" is Closed`},
		{"pre-flight passed", steps, passed, ""},
		{"pre-flight unknown", steps, says(plan.GatePreflight, plan.Unknown), unaffordable},
		{"pre-flight open without an answer", steps, says(plan.GatePreflight, plan.Open), unaffordable},
		{"pre-flight failed, and a revert", revert, says(plan.GatePreflight, plan.Closed), ""},
		{"a later gate closed", steps, says("later", plan.Closed), `gate "later" is Closed`},
		{"a later gate closed, and a revert", revert, says("later", plan.Closed), ""},
		{"frozen", steps, says(plan.GateFreeze, plan.Closed), "a run starts while a freeze holds it"},
		{"frozen, and a revert", revert, says(plan.GateFreeze, plan.Closed), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			starts := func(in *plan.Input) {
				in.Status.Phase, in.Canary, in.Route.Split = v1alpha1.PhaseGating, plan.Canary{}, nil
				in.Workload.Active[0].Revision = serving
				in.Status.Previous = []v1alpha1.PreviousRevision{{Revision: tried}}
			}
			in := given(starts, c.change)
			wrong := Of(in, entering(c.to)(in))
			if c.says == "" && len(wrong) > 0 || c.says != "" && (len(wrong) != 1 || !strings.Contains(wrong[0].Message, c.says)) {
				t.Errorf("%+v, want %q", wrong, c.says)
			}
		})
	}
}
