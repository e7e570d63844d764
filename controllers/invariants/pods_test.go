package invariants

import (
	"fmt"
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// byPods is a run without traffic, in its first step with the one pod that it allows.
func byPods(in *plan.Input) {
	in.Spec.Traffic = nil
	in.Route.Split = nil
	if in.Status.Phase == v1alpha1.PhaseStepping {
		size(1)(in)
	}
}

// size is the canary's, with all of its pods ready.
func size(n int32) func(*plan.Input) {
	return func(in *plan.Input) {
		c := &in.Canary
		c.Desired, c.Pods, c.Ready, c.Available = n, n, n, n
		in.Route.CanaryEndpoints, in.Route.ServiceEndpoints = n, n+4
	}
}

func TestPodsThatAreInOrder(t *testing.T) {
	lost := func(in *plan.Input) { in.Route.StableEndpoints, in.Workload.Stable.Ready = 0, 0 }
	for _, c := range []struct {
		name string
		in   plan.Input
		do   func(plan.Input) plan.Decision
	}{
		{"a wait", given(byPods), doing(nil)},
		{"what the step allows", given(byPods, size(0)), doing(plan.ScaleCanary{Replicas: 1})},
		{"a canary that is too large", given(byPods, size(4)), doing(plan.ScaleCanary{Replicas: 1})},
		{"too large beside a stable side without pods", given(byPods, size(4), lost), doing(nil)},
		{"taking it all back", given(in(v1alpha1.PhaseRollingBack), byPods, size(4)), doing(plan.ScaleCanary{})},
		{"removing it in a deletion", given(byPods, func(in *plan.Input) { in.Deleting = &now }), doing(plan.RemoveCanary{})},
		{"to the promotion", given(in(v1alpha1.PhasePromoting), byPods, size(3)), doing(plan.ScaleCanary{Replicas: 4})},
		{"the bake", given(in(v1alpha1.PhasePromoting), byPods), entering(v1alpha1.PhaseBaking)},
		{"the next step", given(byPods), nextStep},
		{"handing over", given(in(v1alpha1.PhaseHandingOver), byPods), doing(plan.HandOver{Replicas: 4})},
	} {
		if wrong := Of(c.in, c.do(c.in)); len(wrong) > 0 {
			t.Errorf("%s: %v", c.name, wrong)
		}
	}
}

func nextStep(in plan.Input) plan.Decision {
	d := doing(nil)(in)
	d.Status.Step = &v1alpha1.StepStatus{Index: 1, EnteredAt: past}
	return d
}

func TestPodsThatAreNot(t *testing.T) {
	rollback := func(in *plan.Input) { in.Workload.Declared.Revision = serving }
	none := func(in *plan.Input) { in.Route.StableEndpoints = 0 }
	for _, c := range []struct {
		name string
		in   plan.Input
		do   func(plan.Input) plan.Decision
		says string
	}{
		{"more than the step allows", given(byPods), doing(plan.ScaleCanary{Replicas: 2}), "gives the canary 2 pods, the step allows 1"},
		{"more than the step has, left so", given(byPods, size(2)), doing(nil), "leaves the canary 2 pods, the step allows 1"},
		{"more while a trigger fires", given(in(v1alpha1.PhasePromoting), byPods, size(3), because(true)), doing(plan.ScaleCanary{Replicas: 4}), "increases the weight while a trigger fires"},
		{"more while paused", given(byPods, size(0), func(in *plan.Input) { in.Spec.Paused, in.Status.Step.AcknowledgedAt = true, nil }), doing(plan.ScaleCanary{Replicas: 1}), "increases the weight while paused"},
		{"a share", given(byPods), doing(plan.SetSplit{}), "although no Service and no route is named"},
		{"a release", given(byPods), doing(plan.ReleaseRoute{}), "although no Service and no route is named"},
		{"a pair", given(byPods), doing(plan.PointServices{}), "although no Service and no route is named"},
		{"a narrowed Service", given(byPods), doing(plan.NarrowService{Hash: "a"}), "narrows a Service that is to reach any version"},
		{"less than the step needs", given(byPods), doing(plan.ScaleCanary{}), "below the 1 pods that are ready"},
		{"a rollback to some", given(in(v1alpha1.PhaseRollingBack), byPods), doing(plan.ScaleCanary{Replicas: 1}), "scales the canary to 1"},
		{"a rollback to more", given(in(v1alpha1.PhaseRollingBack), byPods), doing(plan.ScaleCanary{Replicas: 5}), "being rolled back"},
		{"taking all that serves", given(in(v1alpha1.PhaseRollingBack), byPods, none), doing(plan.ScaleCanary{}), "stable has 0 endpoints"},
		{"advancing with another size", given(byPods, size(2)), nextStep, "is not acknowledged"},
		{"baking without all pods", given(in(v1alpha1.PhasePromoting), byPods, size(3)), entering(v1alpha1.PhaseBaking), "before the candidate has weight 100 %"},
		{"unpausing beside the canary", given(in(v1alpha1.PhaseRollingBack), byPods, rollback), doing(plan.Unpause{Revision: serving}), "while 4 canary pods take requests"},
	} {
		if wrong := fmt.Sprint(Of(c.in, c.do(c.in))); !strings.Contains(wrong, c.says) {
			t.Errorf("%s: nobody said %q; said was %q", c.name, c.says, wrong)
		}
	}
}
