package invariants

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

const (
	serving = "aaaaaaaaaa"
	tried   = "bbbbbbbbbb"
)

var (
	now  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	past = metav1.NewTime(now.Add(-10 * time.Minute))
)

func at(weight int32) *int32 { return &weight }

// given is a run whose first of two steps has stood for its hold and passes, with
// a full canary, changed by what a case is about.
func given(changes ...func(*plan.Input)) plan.Input {
	stable, canary := plan.Set{Name: "shop-a", Revision: serving, Hash: "a", Desired: 4, Pods: 4, Ready: 4, Available: 4}, plan.Set{Name: "shop-b", Revision: tried, Hash: "b", Desired: 4, Pods: 4, Ready: 4, Available: 4}
	in := plan.Input{
		Now: now, ReleaseTimeout: 2 * time.Minute, Watchdog: 10 * time.Second, SteadyFor: 15 * time.Second, Name: "shop",
		Spec: v1alpha1.RolloutSpec{
			Traffic: &v1alpha1.Traffic{Service: "shop", Drain: metav1.Duration{Duration: 5 * time.Second}},
			Steps:   []v1alpha1.Step{{Weight: 10, Hold: metav1.Duration{Duration: time.Minute}}, {Weight: 50, Hold: metav1.Duration{Duration: time.Minute}}},
		},
		Status: v1alpha1.RolloutStatus{
			Phase: v1alpha1.PhaseStepping, Epoch: 1, Run: "shop-1",
			Stable: &v1alpha1.Revision{Revision: serving}, Candidate: &v1alpha1.Revision{Revision: tried},
			Step: &v1alpha1.StepStatus{EnteredAt: past, AcknowledgedAt: &past},
		},
		Workload: plan.Workload{
			Found: true, Declared: v1alpha1.Revision{Revision: tried}, Paused: true, Replicas: 4, Observed: true,
			Stable: stable, Active: []plan.Set{stable}, Chosen: "shop-b",
		},
		Canary:  plan.Canary{Set: canary, Exists: true},
		Route:   plan.Route{Split: at(10), Acknowledged: true, PairCurrent: true, StableEndpoints: 4, CanaryEndpoints: 4, ServiceEndpoints: 8},
		Run:     plan.Run{Exists: true},
		Verdict: plan.Verdict{Outcome: v1alpha1.VerdictPass},
		Gates:   []plan.Gate{{Name: plan.GateGuard, Outcome: plan.Open}},
	}
	for _, change := range changes {
		change(&in)
	}
	return in
}

func in(phase v1alpha1.Phase) func(*plan.Input) {
	return func(in *plan.Input) {
		in.Status.Phase = phase
		switch phase {
		case v1alpha1.PhaseHandingOver, v1alpha1.PhaseBaking:
			size := int32(4)
			in.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: past, FullAt: &past, Size: &size, SizeSince: &past}
			in.Route.Split = at(100)
		case v1alpha1.PhaseRollingBack:
			in.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, StartedAt: past, ZeroAt: &past}
			in.Route.Split = at(0)
		}
	}
}

func previews(in *plan.Input) { in.Spec.Traffic.Preview = v1alpha1.PreviewEnabled }

// unseen is in the last step, a preview in which nobody sent a request.
func unseen(in *plan.Input) {
	previews(in)
	in.Spec.Steps = []v1alpha1.Step{{Hold: metav1.Duration{Duration: time.Minute}}}
	in.Route.Split, in.Verdict.Excused = at(0), []string{"shop/errors"}
	in.Verdict.References = []v1alpha1.VerdictReference{{Trigger: "shop/errors", Outcome: v1alpha1.VerdictInconclusive, Reason: "NoTraffic"}}
}

// doing is a decision that is in order but for its effect.
func doing(effect plan.Effect) func(plan.Input) plan.Decision {
	return func(in plan.Input) plan.Decision {
		d := plan.Decision{
			Rule: plan.Rules()[0], Why: "a test", Status: *in.Status.DeepCopy(), Recheck: time.Second,
			Progress: plan.Reconciling, Reason: v1alpha1.ReasonProgressing,
		}
		if effect != nil {
			d.Effects = []plan.Effect{effect}
		}
		if to, ok := effect.(plan.SetSplit); ok {
			d.Weight = &v1alpha1.WeightChange{To: to.Weight}
		}
		if _, ok := effect.(plan.HandOver); ok {
			d.Status.Promotion.HandedAt = &past
		}
		return d
	}
}

// beforeRun is a candidate without a canary, before its run starts.
func beforeRun(in *plan.Input) {
	in.Status.Phase, in.Status.Run, in.Status.Step, in.Status.Epoch = v1alpha1.PhaseGating, "", nil, 0
	in.Canary, in.Run, in.Route.Split = plan.Canary{}, plan.Run{}, nil
}

// beginningWith is the decision that begins a run with so many pods.
func beginningWith(pods int32) func(plan.Input) plan.Decision {
	return func(in plan.Input) plan.Decision {
		d := entering(v1alpha1.PhaseStepping)(in)
		d.Status.Run, d.Status.Step = "shop-1", &v1alpha1.StepStatus{EnteredAt: past}
		d.Effects = []plan.Effect{plan.CreateRun{}, plan.ScaleCanary{Replicas: pods}}
		return d
	}
}

// entering is a decision that goes to another phase.
func entering(phase v1alpha1.Phase) func(plan.Input) plan.Decision {
	return func(in plan.Input) plan.Decision {
		d := doing(nil)(in)
		d.Status.Phase = phase
		d.Status.Epoch++
		return d
	}
}

// says are verdicts of which all but the first only observe.
func says(outcomes ...v1alpha1.VerdictOutcome) func(*plan.Input) {
	return func(in *plan.Input) {
		for i, o := range outcomes {
			ref := v1alpha1.VerdictReference{Trigger: fmt.Sprint("shop/", i), Outcome: o, Mode: v1alpha1.ModeObserve}
			if i == 0 {
				ref.Mode = ""
			}
			in.Verdict.References = append(in.Verdict.References, ref)
		}
	}
}

// for1 is a rollback for the second of the verdicts that says gives.
func for1(in plan.Input) plan.Decision {
	d := entering(v1alpha1.PhaseRollingBack)(in)
	d.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, Trigger: "shop/1"}
	return d
}

// noting is a decision that notes so many triggers in mode Observe, with an effect.
func noting(n int, effect plan.Effect) func(plan.Input) plan.Decision {
	return func(in plan.Input) plan.Decision {
		d := doing(effect)(in)
		d.WouldRollBack = &v1alpha1.ObservedFail{Trigger: "shop/1"}
		d.Status.WouldRollBack = make([]v1alpha1.ObservedFail, n)
		return d
	}
}

func because(fail bool) func(*plan.Input) {
	return func(in *plan.Input) {
		if fail {
			in.Verdict.Outcome = v1alpha1.VerdictFail
		} else {
			in.Verdict.Outcome = v1alpha1.VerdictInconclusive
		}
	}
}

// TestCheckAccepts are decisions that are in order.
func TestCheckAccepts(t *testing.T) {
	for _, c := range []struct {
		name string
		in   plan.Input
		do   func(plan.Input) plan.Decision
	}{
		{"a wait", given(), doing(nil)},
		{"the weight of the step", given(func(in *plan.Input) { in.Route.Split = at(0) }), doing(plan.SetSplit{Weight: 10})},
		{"taking it all back", given(in(v1alpha1.PhaseBaking)), doing(plan.SetSplit{})},
		{"removing a drained canary", given(in(v1alpha1.PhaseRollingBack)), doing(plan.RemoveCanary{Reject: true})},
		{"handing over", given(in(v1alpha1.PhaseHandingOver)), doing(plan.HandOver{Replicas: 4})},
		{"beginning a run by pods", given(beforeRun, byPods), beginningWith(1)},
		{"rolling back", given(because(true)), entering(v1alpha1.PhaseRollingBack)},
		{"promoting with an observed fail", given(says(v1alpha1.VerdictPass, v1alpha1.VerdictFail), func(in *plan.Input) { in.Status.Step.Index, in.Route.Split = 1, at(50) }), entering(v1alpha1.PhasePromoting)},
		{"promoting by command on unknown", given(because(false), asked(v1alpha1.ActionPromote, tried)), promotedByCommand},
		{"skipping by command on unknown", given(because(false), askedFor(v1alpha1.ActionSkip, "1")), toStep(1, nil)},
		{"skipping the last step by command", given(askedFor(v1alpha1.ActionSkip, "2"), inStep(1)), promotedByCommand},
		{"skipping an approved step by command", given(askedFor(v1alpha1.ActionSkip, "1"), needsApproval(0), approvedBy("ann")), toStep(1, nil)},
		{"approving by command", given(askedFor(v1alpha1.ActionApprove, "1"), needsApproval(0)), toStep(0, &v1alpha1.ApprovalStatus{By: "ann"})},
		{"leaving an approved step", given(needsApproval(0), approvedBy("ann")), toStep(1, nil)},
		{"waiting for an approval", given(needsApproval(0)), awaiting},
		{"pausing by command", given(asked(v1alpha1.ActionPause, "")), pausing(&v1alpha1.PauseStatus{Revision: tried})},
		{"resuming by command", given(pausedByPerson, asked(v1alpha1.ActionResume, "")), pausing(nil)},
		{"more pods for a weight, paused by a person", given(pausedByPerson, byPods, func(in *plan.Input) { in.Workload.Replicas, in.Canary.Desired, in.Canary.Ready = 10, 1, 1 }), doing(plan.ScaleCanary{Replicas: 2})},
		{"promoting what nobody has sent a request", given(unseen), entering(v1alpha1.PhasePromoting)},
		{"noting an observed fail", given(says(v1alpha1.VerdictPass, v1alpha1.VerdictFail)), noting(1, nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if wrong := Of(c.in, c.do(c.in)); len(wrong) > 0 {
				t.Errorf("%q", wrong)
			}
		})
	}
}

func asked(a v1alpha1.Action, revision string) func(*plan.Input) {
	return func(in *plan.Input) { in.Action = &plan.Action{Action: a, Token: "1", Revision: revision, By: "ann"} }
}

// askedFor is a command for the candidate in one step.
func askedFor(a v1alpha1.Action, step string) func(*plan.Input) {
	return func(in *plan.Input) {
		asked(a, tried)(in)
		in.Action.Step = step
	}
}

// inStep is the second step, with its weight.
func inStep(index int32) func(*plan.Input) {
	return func(in *plan.Input) { in.Status.Step.Index, in.Route.Split = index, at(50) }
}

func needsApproval(index int32) func(*plan.Input) {
	return func(in *plan.Input) { in.Spec.Steps[index].Approval = v1alpha1.ApprovalRequired }
}

func approvedBy(who string) func(*plan.Input) {
	return func(in *plan.Input) { in.Status.Step.Approval = &v1alpha1.ApprovalStatus{By: who} }
}

// toStep is a decision that is then in this step, with this approval.
func toStep(index int32, approval *v1alpha1.ApprovalStatus) func(plan.Input) plan.Decision {
	return func(in plan.Input) plan.Decision {
		d := doing(nil)(in)
		if index != d.Status.Step.Index {
			d.Status.Step = &v1alpha1.StepStatus{Index: index, EnteredAt: past}
		}
		d.Status.Step.Approval = approval
		return d
	}
}

// awaiting is a decision that waits for an approval.
func awaiting(in plan.Input) plan.Decision {
	d := doing(nil)(in)
	d.Status.Step.AwaitsApprovalSince = &past
	return d
}

func pausedByPerson(in *plan.Input) {
	in.Status.Pause = &v1alpha1.PauseStatus{Revision: tried, By: "ann"}
}

// pausing is a decision that leaves this pause.
func pausing(p *v1alpha1.PauseStatus) func(plan.Input) plan.Decision {
	return func(in plan.Input) plan.Decision {
		d := doing(nil)(in)
		d.Status.Pause = p
		return d
	}
}

// promotedByCommand goes from a step to the promotion.
func promotedByCommand(in plan.Input) plan.Decision {
	d := entering(v1alpha1.PhasePromoting)(in)
	d.Status.Step = &v1alpha1.StepStatus{Index: 1, EnteredAt: past}
	return d
}

func match(header string) *v1alpha1.StepMatch {
	return &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Name: header, Value: "1"}}}
}

// asks has every step name these testers; reach has them on the routes.
func asks(header string) func(*plan.Input) {
	return func(in *plan.Input) {
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		for i := range in.Spec.Steps {
			in.Spec.Steps[i].Match = match(header)
		}
	}
}

func reach(header string) func(*plan.Input) {
	return func(in *plan.Input) { in.Route.Testers = match(header) }
}

// copies has every step ask for copies, and the routes make some.
func copies(asked, made int32) func(*plan.Input) {
	return func(in *plan.Input) {
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		for i := range in.Spec.Steps {
			in.Spec.Steps[i].Weight, in.Spec.Steps[i].Mirror = 0, asked
		}
		in.Route.Mirror = made
	}
}

// lacking has a comparer whose trigger is excused from passing, for it has no requests.
func lacking(in *plan.Input) {
	in.Spec.Traffic.Comparer = &v1alpha1.Comparer{Service: "audit", Port: 8080}
	in.Verdict = plan.Verdict{Outcome: v1alpha1.VerdictPass, Excused: []string{"shop/answers"}, References: []v1alpha1.VerdictReference{{Trigger: "shop/answers", Outcome: v1alpha1.VerdictInconclusive, Reason: "NoTraffic"}}}
}

// TestOnlyWithoutCopiesAComparerNeedNotPass: while they come, its lack of requests holds.
func TestOnlyWithoutCopiesAComparerNeedNotPass(t *testing.T) {
	last := func(in *plan.Input) { in.Status.Step.Index, in.Route.Split = 1, at(50) }
	for refused, in := range map[bool]plan.Input{false: given(lacking, last), true: given(lacking, last, copies(10, 10))} {
		said := fmt.Sprint(Check(in, entering(v1alpha1.PhasePromoting)(in)))
		if strings.Contains(said, `advances on verdict "Pass"`) != refused {
			t.Errorf("refused %t: %s", refused, said)
		}
	}
}

// TestCheckRefuses are decisions that break one promise each.
func TestCheckRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		in   plan.Input
		do   func(plan.Input) plan.Decision
		says string
	}{
		{"more than the step", given(), doing(plan.SetSplit{Weight: 50}), "10 % is allowed"},
		{"no canary endpoint", given(func(in *plan.Input) { in.Route.Split, in.Route.CanaryEndpoints = at(0), 0 }), doing(plan.SetSplit{Weight: 10}), "to a canary without ready pods"},
		{"no stable endpoint", given(func(in *plan.Input) { in.Route.StableEndpoints = 0 }), doing(plan.SetSplit{}), "to stable, which has no endpoints"},
		{"widening on a fail", given(because(true), func(in *plan.Input) { in.Route.Split = at(0) }), doing(plan.SetSplit{Weight: 10}), "while a trigger fires"},
		{"widening unacknowledged", given(func(in *plan.Input) { in.Route.Split, in.Route.Acknowledged = at(0), false }), doing(plan.SetSplit{Weight: 10}), "has not acknowledged"},
		{"testers whom the step does not name", given(asks("x-canary")), doing(plan.SetSplit{Weight: 10, Testers: match("x-other")}), "sends testers (header x-other: 1) that the step does not name"},
		{"testers to no endpoint", given(asks("x-canary"), func(in *plan.Input) { in.Route.CanaryEndpoints = 0 }), doing(plan.SetSplit{Weight: 10, Testers: match("x-canary")}), "sends testers (header x-canary: 1) to a canary without ready pods"},
		{"testers on a fail", given(asks("x-canary"), because(true)), doing(plan.SetSplit{Weight: 10, Testers: match("x-canary")}), "sends testers (header x-canary: 1) while a trigger fires"},
		{"testers unacknowledged", given(asks("x-canary"), func(in *plan.Input) { in.Route.Acknowledged = false }), doing(plan.SetSplit{Weight: 10, Testers: match("x-canary")}), "has not acknowledged"},
		{"testers in the bake", given(asks("x-canary"), in(v1alpha1.PhaseBaking)), doing(plan.SetSplit{Weight: 10, Testers: match("x-canary")}), "that the step does not name"},
		{"copies that the step does not name", given(copies(10, 0)), doing(plan.SetSplit{Mirror: 20}), "sends copies of 20 % of the requests that the step does not name"},
		{"copies beside a weight", given(copies(10, 0)), doing(plan.SetSplit{Weight: 10, Mirror: 10}), "beside a weight of 10 %"},
		{"copies to no endpoint", given(copies(10, 0), func(in *plan.Input) { in.Route.CanaryEndpoints = 0 }), doing(plan.SetSplit{Mirror: 10}), "to a canary without ready pods"},
		{"copies on a fail", given(copies(10, 0), because(true)), doing(plan.SetSplit{Mirror: 10}), "sends copies of 10 % of the requests while a trigger fires"},
		{"many copies to one pod", given(copies(100, 0), func(in *plan.Input) { in.Route.CanaryEndpoints = 1 }), doing(plan.SetSplit{Mirror: 100}), "sends copies of 100 % of the requests to 1 of 4 pods"},
		{"copies unacknowledged", given(copies(10, 0), func(in *plan.Input) { in.Route.Acknowledged = false }), doing(plan.SetSplit{Mirror: 10}), "has not acknowledged"},
		{"copies in the bake", given(copies(10, 0), in(v1alpha1.PhaseBaking)), doing(plan.SetSplit{Mirror: 10}), "that the step does not name"},
		{"removing a canary under copies", given(in(v1alpha1.PhaseRollingBack), copies(10, 10), func(in *plan.Input) { in.Route.Split = at(0) }), doing(plan.RemoveCanary{Reject: true}), "that copies of 10 % of the requests reach"},
		{"removing a canary under testers", given(in(v1alpha1.PhaseRollingBack), reach("x-canary"), func(in *plan.Input) { in.Route.Split = at(0) }), doing(plan.RemoveCanary{Reject: true}), "that testers (header x-canary: 1) reach"},
		{"a fail that is ignored", given(because(true)), doing(nil), "does not roll back"},
		{"a fail in the bake", given(in(v1alpha1.PhaseBaking), because(true)), doing(nil), "does not roll back"},
		{"promoting on unknown", given(because(false), func(in *plan.Input) { in.Status.Step.Index, in.Route.Split = 1, at(50) }), entering(v1alpha1.PhasePromoting), `on verdict "Inconclusive"`},
		{"ending the bake on unknown", given(in(v1alpha1.PhaseBaking), because(false)), entering(v1alpha1.PhaseHandingOver), `ends the bake on verdict "Inconclusive"`},
		{"baking after the first step", given(), entering(v1alpha1.PhaseBaking), "promotes from step 0"},
		{"baking at the last step's weight", given(func(in *plan.Input) { in.Status.Step.Index, in.Route.Split = 1, at(50) }), entering(v1alpha1.PhaseBaking), "bakes before the candidate has weight 100 %"},
		{"skipping the bake", given(in(v1alpha1.PhaseGating)), entering(v1alpha1.PhaseBaking), "may not follow"},
		{"too many pods at once", given(func(in *plan.Input) { in.Canary.Desired, in.Canary.Ready = 1, 1 }), doing(plan.ScaleCanary{Replicas: 4}), "at once"},
		{"beginning a run by routes with pods", given(beforeRun), beginningWith(1), "scales the canary in phase Gating"},
		{"beginning a run with a canary", given(beforeRun, byPods, func(in *plan.Input) { in.Canary.Exists = true }), beginningWith(1), "scales the canary in phase Gating"},
		{"beginning a run by pods with too many", given(beforeRun, byPods), beginningWith(2), "at once"},
		{"removing a canary under traffic", given(in(v1alpha1.PhaseRollingBack), func(in *plan.Input) { in.Route.Split = at(10) }), doing(plan.RemoveCanary{Reject: true}), "that has 10 %"},
		{"removing all that serves", given(in(v1alpha1.PhaseRollingBack), func(in *plan.Input) { in.Workload.Stable.Ready = 0 }), doing(plan.RemoveCanary{Reject: true}), "all that serves"},
		{"releasing to the rejected", given(in(v1alpha1.PhaseRollingBack), func(in *plan.Input) { in.Canary.Left = 2 }), doing(plan.ReleaseRoute{}), "still reaches 2 pods"},
		{"a handover while stable serves", given(in(v1alpha1.PhaseHandingOver), func(in *plan.Input) { in.Route.Split = at(50) }), doing(plan.HandOver{Replicas: 4}), "while the stable pods take requests"},
		{"a handover of another size", given(in(v1alpha1.PhaseHandingOver), func(in *plan.Input) { in.Workload.Replicas = 6 }), doing(plan.HandOver{Replicas: 6}), "hands over at 6"},
		{"a handover of what would not be chosen", given(in(v1alpha1.PhaseHandingOver), func(in *plan.Input) { in.Workload.Chosen = "shop-old" }), doing(plan.HandOver{Replicas: 4}), "would not choose"},
		{"unpausing before the owner changes", given(in(v1alpha1.PhaseHandingOver), func(in *plan.Input) { in.Route.Split = nil }), doing(plan.Unpause{Revision: tried}), "before the Deployment owns the canary"},
		{"unpausing in a step", given(), doing(plan.Unpause{Revision: tried}), "unpauses the candidate in phase Stepping"},
		{"taking stable out", given(), doing(plan.TakeOut{Name: "shop-a"}), "removes the stable ReplicaSet"},
		{"a preview that nobody asks for", given(), doing(plan.PointPreview{}), "nobody asks for"},
		{"a preview of somebody else's", given(previews, func(in *plan.Input) { in.Route.Preview = &plan.Preview{Fault: "taken"} }), doing(plan.PointPreview{}), "not Belay's"},
		{"a preview of other pods", given(previews), doing(plan.PointPreview{Hash: "other"}), "not the canary's"},
		{"a preview of what fires", given(previews, func(in *plan.Input) { in.Verdict.Outcome = v1alpha1.VerdictFail }), doing(plan.PointPreview{Hash: "b"}), "while a trigger fires"},
		{"a preview in a rollback", given(previews, in(v1alpha1.PhaseRollingBack)), doing(plan.PointPreview{Hash: "b"}), "previews a candidate in phase RollingBack"},
		{"a preview in a deletion", given(previews, func(in *plan.Input) { in.Deleting = &now }), doing(plan.PointPreview{}), "while being deleted"},
		{"no preview where one is asked for", given(previews), doing(plan.RemovePreview{}), "is asked for"},
		{"leaving with a split", given(func(in *plan.Input) { in.Deleting = &now }), doing(plan.Leave{}), "still name Belay's Services"},
		{"starting in a deletion", given(func(in *plan.Input) { in.Deleting = &now }), doing(plan.ScaleCanary{Replicas: 4}), "starts something while being deleted"},
		{"an end with something left", given(in(v1alpha1.PhaseRollingBack)), entering(v1alpha1.PhaseRolledBack), "the run ends with its canary left"},
		{"a fail of one that enforces, left out of the sum", given(says(v1alpha1.VerdictFail)), doing(nil), "does not roll back"},
		{"promoting without a pass of one that enforces", given(says(v1alpha1.VerdictError, v1alpha1.VerdictPass), func(in *plan.Input) { in.Status.Step.Index, in.Route.Split = 1, at(50) }), entering(v1alpha1.PhasePromoting), "advances on verdict"},
		{"ending the bake without a pass of one that enforces", given(in(v1alpha1.PhaseBaking), says(v1alpha1.VerdictError)), entering(v1alpha1.PhaseHandingOver), "ends the bake on verdict"},
		{"rolling back for one that observes", given(says(v1alpha1.VerdictPass, v1alpha1.VerdictFail)), for1, "whose mode is Observe"},
		{"a native promotion of what nobody has sent a request", given(unseen, func(in *plan.Input) { in.Spec.Promotion.Mode = v1alpha1.PromotionNative }), entering(v1alpha1.PhaseHandingOver), "advances on verdict"},
		{"the same, because a webhook changed the canary", given(unseen, func(in *plan.Input) { in.Canary.Changed = "a label" }), entering(v1alpha1.PhaseHandingOver), "advances on verdict"},
		{"holding for one that observes", given(), noting(1, plan.SetSplit{}), "does something for trigger shop/1"},
		{"noting two at once", given(), noting(2, nil), "notes 2 triggers"},
		{"promoting by command while a trigger fires", given(because(true), asked(v1alpha1.ActionPromote, tried)), promotedByCommand, "ends steps by command while a trigger fires"},
		{"promoting by command what it does not name", given(asked(v1alpha1.ActionPromote, "")), promotedByCommand, "ends steps of another version than the command names"},
		{"promoting by command while paused", given(asked(v1alpha1.ActionPromote, tried), pausedByPerson), promotedByCommand, "leaves a step while paused"},
		{"promoting by command to the bake", given(asked(v1alpha1.ActionPromote, tried), func(in *plan.Input) { in.Route.Split = at(100) }), entering(v1alpha1.PhaseBaking), "promotes by command to phase Baking"},
		{"promoting by command past a step that needs an approval", given(asked(v1alpha1.ActionPromote, tried), needsApproval(1)), promotedByCommand, "past step 1, which needs an approval"},
		{"skipping by command while a trigger fires", given(because(true), askedFor(v1alpha1.ActionSkip, "1")), toStep(1, nil), "ends steps by command while a trigger fires"},
		{"skipping another step than is named", given(askedFor(v1alpha1.ActionSkip, "2")), toStep(1, nil), `skips step 1, and the command names "2"`},
		{"skipping two steps", given(askedFor(v1alpha1.ActionSkip, "1")), toStep(2, nil), "or more than one"},
		{"skipping the last step of a native promotion", given(askedFor(v1alpha1.ActionSkip, "2"), inStep(1), func(in *plan.Input) { in.Spec.Promotion.Mode = v1alpha1.PromotionNative }), promotedByCommand, "skips step 1 to phase Promoting"},
		{"skipping while paused", given(askedFor(v1alpha1.ActionSkip, "1"), pausedByPerson), toStep(1, nil), "leaves a step while paused"},
		{"skipping without the approval", given(askedFor(v1alpha1.ActionSkip, "1"), needsApproval(0)), toStep(1, nil), "needs an approval, without one"},
		{"leaving a step without its approval", given(needsApproval(0)), toStep(1, nil), "needs an approval, without one"},
		{"promoting without an approval", given(needsApproval(1), inStep(1)), entering(v1alpha1.PhasePromoting), "needs an approval, without one"},
		{"approving unasked", given(needsApproval(0)), toStep(0, &v1alpha1.ApprovalStatus{By: "ann"}), "which nobody has asked for"},
		{"approving another step", given(askedFor(v1alpha1.ActionApprove, "2"), needsApproval(0)), toStep(0, &v1alpha1.ApprovalStatus{By: "ann"}), "approves another step than the command names"},
		{"approving the next step too", given(needsApproval(0), approvedBy("ann")), toStep(1, &v1alpha1.ApprovalStatus{By: "ann"}), "takes it to another step"},
		{"changing an approval", given(needsApproval(0), approvedBy("ann")), toStep(0, &v1alpha1.ApprovalStatus{By: "bob"}), "changes an approval"},
		{"forgetting an approval", given(needsApproval(0), approvedBy("ann")), toStep(0, nil), "forgets the approval"},
		{"waiting for an approval that is there", given(needsApproval(0), approvedBy("ann")), awaiting, "that nobody has to give"},
		{"waiting for an approval that is not needed", given(), awaiting, "that nobody has to give"},
		{"widening while paused by a person", given(pausedByPerson, func(in *plan.Input) { in.Route.Split = at(0) }), doing(plan.SetSplit{Weight: 10}), "increases the weight while paused"},
		{"promoting while paused by a person", given(pausedByPerson, func(in *plan.Input) { in.Status.Step.Index, in.Route.Split = 1, at(50) }), entering(v1alpha1.PhasePromoting), "leaves a step while paused"},
		{"ending the bake while paused by a person", given(in(v1alpha1.PhaseBaking), pausedByPerson), entering(v1alpha1.PhaseHandingOver), "ends the bake while paused"},
		{"ending the bake with the time of a pause", given(in(v1alpha1.PhaseBaking), func(in *plan.Input) { in.Status.Step.WaitedSeconds = 3600 }), entering(v1alpha1.PhaseHandingOver), "ends the bake before it is over"},
		{"a handover while paused by a person", given(in(v1alpha1.PhaseHandingOver), pausedByPerson), doing(plan.HandOver{Replicas: 4}), "hands over while paused"},
		{"ending a pause unasked", given(pausedByPerson), pausing(nil), "ends the pause of a candidate that goes on"},
		{"pausing unasked", given(), pausing(&v1alpha1.PauseStatus{Revision: tried}), "which nobody has asked for"},
		{"pausing another version", given(asked(v1alpha1.ActionPause, "")), pausing(&v1alpha1.PauseStatus{Revision: serving}), "which nobody has asked for"},
		{"changing a pause", given(pausedByPerson), pausing(&v1alpha1.PauseStatus{Revision: tried, By: "bob"}), "changes a pause"},
		{"narrowing unasked", given(), doing(plan.NarrowService{Hash: "a"}), "is to reach any version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if wrong := fmt.Sprint(Of(c.in, c.do(c.in))); !strings.Contains(wrong, c.says) {
				t.Errorf("nobody said %q; said was %q", c.says, wrong)
			}
		})
	}
}
