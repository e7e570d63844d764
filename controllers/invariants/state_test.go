package invariants

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func atRest(in *plan.Input) {
	in.Status.Phase, in.Status.Step, in.Status.Candidate, in.Route.Split, in.Canary = v1alpha1.PhaseStable, nil, nil, nil, plan.Canary{}
}

// TestObserved: each invariant of a state, where it is violated and where one of its
// exceptions holds.
func TestObserved(t *testing.T) {
	other := plan.Set{Name: "shop-x", Revision: tried, Desired: 2, Ready: 2}
	runs := func(s plan.Set) func(*plan.Input) {
		return func(in *plan.Input) { in.Workload.Active = append([]plan.Set{}, in.Workload.Active[0], s) }
	}
	rejects := func(in *plan.Input) { in.Status.Rejected = []v1alpha1.RejectedRevision{{Revision: tried}} }
	split := func(weight int32) func(*plan.Input) { return func(in *plan.Input) { in.Route.Split = at(weight) } }
	for name, c := range map[string]struct {
		in   plan.Input
		says string
	}{
		"a step at its weight":       {given(), ""},
		"a step above its weight":    {given(split(50)), "WeightWithinStep: the canary has 50 % of the requests, the step allows 10 %"},
		"routes that disagree":       {given(split(50), func(in *plan.Input) { in.Route.Mixed = true }), ""},
		"a canary without endpoints": {given(func(in *plan.Input) { in.Route.CanaryEndpoints = 0 }), "SideHasEndpoints: the canary has 10 %"},
		"that nobody acknowledged":   {given(func(in *plan.Input) { in.Route.CanaryEndpoints, in.Route.Acknowledged = 0, false }), ""},
		"that takes nothing":         {given(split(0), func(in *plan.Input) { in.Route.CanaryEndpoints = 0 }), ""},
		"nothing has endpoints": {given(func(in *plan.Input) {
			in.Route.CanaryEndpoints, in.Route.StableEndpoints, in.Route.ServiceEndpoints = 0, 0, 0
		}), ""},
		"the step's testers":            {given(asks("x-canary"), reach("x-canary")), ""},
		"testers of no step":            {given(asks("x-canary"), reach("x-other")), "WeightWithinStep: testers (header x-other: 1) reach the canary, which neither the step names nor the one before"},
		"testers of the step before":    {given(reach("x-canary"), func(in *plan.Input) { asks("x-canary")(in); in.Spec.Steps[1].Match, in.Status.Step.Index = nil, 1 }), ""},
		"testers without endpoints":     {given(asks("x-canary"), reach("x-canary"), split(0), func(in *plan.Input) { in.Route.CanaryEndpoints = 0 }), "SideHasEndpoints: testers (header x-canary: 1) reach the canary"},
		"stable without endpoints":      {given(func(in *plan.Input) { in.Route.StableEndpoints = 0 }), "SideHasEndpoints: stable has 90 %"},
		"at zero replicas":              {given(func(in *plan.Input) { in.Route.StableEndpoints, in.Workload.Replicas = 0, 0 }), ""},
		"a bake":                        {given(in(v1alpha1.PhaseBaking)), ""},
		"at rest":                       {given(atRest), ""},
		"shared routes at rest":         {given(atRest, split(0)), "RoutesAtRest: no run is in progress, and the routes give the canary 0 %"},
		"a narrowed Service at rest":    {given(atRest, func(in *plan.Input) { in.Route.Narrowed = "a" }), "RoutesAtRest: no run is in progress, and Service shop selects pods with hash a alone"},
		"narrowed by somebody else":     {given(atRest, func(in *plan.Input) { in.Route.Narrowed, in.Route.Fault.Reason = "a", v1alpha1.ReasonServiceUnusable }), ""},
		"while being deleted":           {given(atRest, split(0), func(in *plan.Input) { in.Deleting = &now }), ""},
		"another version at rest":       {given(atRest, runs(other)), "OnlyStableIsActive: ReplicaSet shop-x has 2 pods of revision bbbbbbbbbb"},
		"while it rolls back by itself": {given(atRest, runs(other), func(in *plan.Input) { in.Workload.Paused = false }), ""},
		"in a handover":                 {given(in(v1alpha1.PhaseHandingOver), runs(other)), ""},
		"an adopted canary":             {given(runs(other), func(in *plan.Input) { in.Canary.Adopted = "shop-x" }), ""},
		"a rejected version serves":     {given(atRest, rejects, runs(other)), "RejectedNeverServes: 2 ready pods of ReplicaSet shop-x run the rejected revision bbbbbbbbbb"},
		"it has no ready pod":           {given(atRest, rejects, runs(plan.Set{Name: "shop-x", Revision: tried, Desired: 2})), "OnlyStableIsActive"},
		"by a bypass":                   {given(in(v1alpha1.PhaseHandingOver), rejects, runs(other)), ""},
		"without a Deployment":          {given(split(50), func(in *plan.Input) { in.Workload.Found = false }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			for _, v := range Observed(c.in) {
				said = append(said, v.Name+": "+v.Message)
			}
			if text := strings.Join(said, "\n"); c.says == "" && text != "" || !strings.Contains(text, c.says) {
				t.Errorf("said %q, want %q", text, c.says)
			}
		})
	}
}

// TestFreeze: a violation holds back what would give the candidate more, and
// nothing else.
func TestFreeze(t *testing.T) {
	violated := func(in *plan.Input) {
		in.Status.Rejected = []v1alpha1.RejectedRevision{{Revision: "cccccccccc"}}
		in.Workload.Active = append([]plan.Set{}, in.Workload.Active[0], plan.Set{Name: "shop-x", Revision: "cccccccccc", Desired: 1, Ready: 1})
	}
	for name, c := range map[string]struct {
		in   plan.Input
		do   func(plan.Input) plan.Decision
		held bool
	}{
		"more weight":       {given(violated, func(in *plan.Input) { in.Route.Split = at(0) }), doing(plan.SetSplit{Weight: 10}), true},
		"less weight":       {given(violated), doing(plan.SetSplit{}), false},
		"more pods":         {given(violated, func(in *plan.Input) { in.Canary.Desired = 1 }), doing(plan.ScaleCanary{Replicas: 2}), true},
		"fewer pods":        {given(violated), doing(plan.ScaleCanary{Replicas: 3}), false},
		"a handover":        {given(violated, in(v1alpha1.PhaseHandingOver)), doing(plan.HandOver{Replicas: 4}), true},
		"a rollback":        {given(violated, because(true)), entering(v1alpha1.PhaseRollingBack), false},
		"the next stage":    {given(violated), entering(v1alpha1.PhasePromoting), true},
		"a wait":            {given(violated), doing(nil), false},
		"taking it out":     {given(violated), doing(plan.TakeOut{Name: "shop-x"}), false},
		"nothing is broken": {given(func(in *plan.Input) { in.Route.Split = at(0) }), doing(plan.SetSplit{Weight: 10}), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.do(c.in)
			violations := Check(c.in, d)
			t2 := Freeze(c.in, plan.Result{Decision: d, News: true, Record: &v1alpha1.DecisionRecord{}}, violations)
			held := len(t2.Effects) == 0 && t2.Record == nil && t2.Reason == v1alpha1.ReasonSelfCheckFailed
			if held != c.held || held && t2.Status.Phase != c.in.Status.Phase {
				t.Errorf("held back: %v (%s), want %v", held, t2.Why, c.held)
			}
			shown := meta.FindStatusCondition(t2.Status.Conditions, v1alpha1.ConditionInvariantViolated)
			if shown == nil || (shown.Status == metav1.ConditionTrue) != (len(violations) > 0) || len(violations) > 0 && !strings.Contains(shown.Message, violations[0].Name) {
				t.Errorf("%d violations are shown as %+v", len(violations), shown)
			}
			if (len(violations) > 0) == (name == "nothing is broken") {
				t.Errorf("the violations are %v", violations)
			}
		})
	}
}

// TestFreezeRefusesACommand that it holds back: it is not carried out later, unasked.
func TestFreezeRefusesACommand(t *testing.T) {
	in := given(asked(v1alpha1.ActionPromote, tried))
	got := Freeze(in, plan.Result{Decision: promotedByCommand(in)}, []Violation{{"WeightWithinStep", "the weight is 50 %"}})
	last := got.Status.LastHandledAction
	if got.Status.Phase != v1alpha1.PhaseStepping || last == nil || last.Token != "1" || !strings.Contains(last.Refused, "Promote refused: a self-check fails: WeightWithinStep: the weight is 50 %") {
		t.Errorf("phase %s, answered %+v", got.Status.Phase, last)
	}
}

// TestEveryViolationHasAName that its metric knows.
func TestEveryViolationHasAName(t *testing.T) {
	known := map[string]bool{}
	for _, name := range Names() {
		known[name] = true
	}
	bad := given(func(in *plan.Input) { in.Route.CanaryEndpoints = 0 })
	d := plan.Decision{Status: v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseRolledBack}}
	all := Check(bad, d)
	if len(all) < 5 {
		t.Errorf("only %d violations", len(all))
	}
	for _, v := range all {
		if !known[v.Name] {
			t.Errorf("%q is not listed", v.Name)
		}
	}
}
