package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
)

// inPlace makes the workload a StatefulSet of which the last k pods run the candidate, by its
// partition, and the others stable.
func inPlace(k int32) change {
	return func(in *plan.Input) {
		in.Spec.WorkloadRef.Kind, in.Spec.Promotion.Mode = v1alpha1.KindStatefulSet, ""
		in.Workload.MaxUnavailable, in.Workload.Held = 1, in.Workload.Paused && k == 0
		in.Workload.Chosen, in.Workload.Lock = "", ""
		if p := in.Status.Promotion; p != nil {
			p.Size, p.SizeSince, p.HandedAt = nil, nil, nil
		}
		canaryPods(k)(in)
		in.Canary.Exists, in.Canary.Left = k > 0, k
		active(stable(in.Workload.Replicas - k))(in)
		if p := in.Status.Promotion; in.Status.Phase == v1alpha1.PhaseHandingOver && p != nil && p.Mode != v1alpha1.TakeOverHandOver {
			in.Canary.Handed = true
			active(stable(in.Workload.Replicas-k), in.Canary.Set)(in)
		}
		byPods(in)
	}
}

// held is a partition above every ordinal, whatever the pods run.
func held(in *plan.Input) {
	in.Workload.Held, in.Canary.Desired = true, 0
}

// misplaced are pods below the partition that run the candidate: first those that are not
// ready.
func misplaced(unready, ready int32) change {
	return func(in *plan.Input) {
		in.Canary.Misplaced = nil
		for i := range unready + ready {
			in.Canary.Misplaced = append(in.Canary.Misplaced, plan.Pod{Name: fmt.Sprintf("shop-%d", in.Workload.Replicas-1-i), Ready: i >= unready})
		}
	}
}

// current has the StatefulSet controller make all pods in the candidate's version.
func current(in *plan.Input) {
	in.Canary.Handed, in.Canary.Misplaced, in.Workload.Stable.Pods = true, nil, 0
	active(in.Canary.Set)(in)
	endpoints(in)
}

// madeAgain is a StatefulSet that was deleted without its pods and made again at the candidate:
// two of them run stable, and none that is lost would.
func madeAgain(in *plan.Input) {
	in.Canary.Handed, in.Canary.Misplaced, in.Workload.Stable.Pods = true, nil, 2
	active(stable(2), in.Canary.Set)(in)
}

func unusable(in *plan.Input) {
	in.Workload.Fault = plan.Fault{Reason: v1alpha1.ReasonWorkloadNotReady, Message: "its updateStrategy is OnDelete"}
}

func orderedCases() []ruleCase {
	return slices.Concat(orderedTrialCases(), orderedRollbackCases(), orderedEndCases())
}

func orderedTrialCases() []ruleCase {
	const progressing, baked, notReady = v1alpha1.ReasonProgressing, v1alpha1.ReasonBaking, v1alpha1.ReasonWorkloadNotReady
	const phase, gate, bakePhase, over = v1alpha1.PhaseStepping, v1alpha1.PhaseGating, v1alpha1.PhaseBaking, v1alpha1.PhaseHandingOver
	step := all(stepAt(0), inPlace(1))
	entered := all(stepAt(0), acknowledgedAt(nil))
	second := all(stepAt(1), inPlace(2))
	bake := all(baking, inPlace(3))
	waits := all(gating, inPlace(0))
	scaledUp := all(scaled(8), func(in *plan.Input) { in.Canary.Desired = 5 })
	one := func(in *plan.Input) {
		scaled(1)(in)
		active(stable(1))(in)
	}
	other := all(scaled(2), active(own(2)), stableReady(0))
	return []ruleCase{
		works("RunStarts", "one pod at least", given(waits), plan.CreateRun{}, phase, progressing, "weight 10 % needs 1 of 4 pods (25 %)").then(plan.ScaleCanary{Replicas: 1}),
		works("RevertStarts", "without steps, and with a way back", given(waits, previously(candidateRevision)), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing, "goes to all pods but one without steps").then(plan.ScaleCanary{Replicas: 3}),
		works("ScalesCanary", "one write", given(stepAt(1), acknowledgedAt(nil), inPlace(0)), plan.ScaleCanary{Replicas: 2}, phase, progressing, "weight 50 % needs 2 of 4 pods (50 %)"),
		works("ScalesCanary", "a step of 100 % keeps the way back", given(stepAt(1), lastStep(100), acknowledgedAt(nil), inPlace(2)), plan.ScaleCanary{Replicas: 3}, phase, progressing, "weight 100 % needs 3 of 4 pods"),
		works("AwaitsCanary", "not ready", given(entered, inPlace(1), canaryReady(0)), nil, phase, progressing, "0 of 1 ready"),
		works("AwaitsCanary", "pods below the partition run the candidate", given(entered, inPlace(1), misplaced(0, 1), stableReady(2)), nil, phase, progressing, "waiting until pods below the partition run shop:a again: 1"),
		works("StepAcknowledged", "ready", given(entered, inPlace(1)), nil, phase, progressing, "canary at 25 % (1 of 4 ready pods, the step asks for 10 %)"),
		works("StepPassed", "passed", given(step), plan.ScaleCanary{Replicas: 2}, phase, progressing, "passed at 25 % (1 of 4"),
		works("StepsPassed", "the last", given(second), plan.ScaleCanary{Replicas: 3}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting, "all pods but one, 3 of 4"),
		works("BakeStarts", "all but one", given(promoting, inPlace(3)), nil, bakePhase, baked, "3 of 4 ready pods run shop:b", "one pod of shop:a, which keeps the way back open"),
		works("BakePassed", "the last pod follows", given(bake), plan.ScaleCanary{Replicas: 4}, over, v1alpha1.ReasonHandingOver, "the last pod gets shop:b"),
		works("HoldsBack", "scaled up in a step", given(step, scaledUp), plan.ScaleCanary{Replicas: 1}, phase, progressing, "the partition leaves the candidate 5 pods, more than it needs: weight 10 % needs 1 of 8 pods"),
		works("HoldsBack", "while paused", given(step, specPaused, scaledUp), plan.ScaleCanary{Replicas: 1}, phase, progressing),
		works("HoldsBack", "in the bake, somebody released the last one", given(bake, func(in *plan.Input) { in.Canary.Desired = 4 }), plan.ScaleCanary{Replicas: 3}, bakePhase, baked),
		works("ReplacesMisplaced", "one at a time", given(step, misplaced(0, 3)), plan.ReplacePods{Names: []string{"shop-3"}}, phase, progressing, "deleting 1 pod, which the StatefulSet makes again: shop-3"),
		works("ReplacesMisplaced", "all that are not ready", given(step, misplaced(2, 1), stableReady(2)), plan.ReplacePods{Names: []string{"shop-3", "shop-2"}}, phase, progressing),
		works("ReplacesMisplaced", "as many as its strategy allows", given(step, misplaced(0, 3), func(in *plan.Input) { in.Workload.MaxUnavailable = 2 }), plan.ReplacePods{Names: []string{"shop-3", "shop-2"}}, phase, progressing),
		works("SupersedeSettles", "the guard has raised the partition, and the candidate stays meanwhile", given(step, settle(30*time.Second), pushed(newerRevision, time.Second, 0), declares(newerRevision), held, misplaced(0, 1)), nil, phase, v1alpha1.ReasonSettling),
		works("Superseded", "for long enough", given(step, declares(newerRevision), held, misplaced(0, 1)), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		works("PodsNotReady", "in the hold", given(step, acknowledgedAt(&justNow), canaryReady(0)), nil, phase, progressing, "0 of 1 canary pods are ready"),
		works("TakenOver", "scaled to 0 and back before the run", given(waits, other), plan.CreateRun{}, over, v1alpha1.ReasonHandingOver, "scaled to 0, or deleted and made again, while shop:b was declared", "declare shop:a again"),
		works("TakenOver", "scaled to 0 and back in the run", given(step, current), nil, over, v1alpha1.ReasonHandingOver, "without being judged"),
		works("HoldsPods", "a partition that is neither all nor nothing", given(waits, func(in *plan.Input) { in.Workload.Held = false }), plan.ScaleCanary{Replicas: 0}, gate, progressing, "raising the partition"),
		works("HoldsPods", "a newer version came past the guard", given(step, declares(newerRevision), settle(30*time.Second), pushed(newerRevision, time.Second, 0)), plan.ScaleCanary{Replicas: 0}, phase, progressing, "shop:c is not promoted"),
		stalls("RolledBack", "scaled to 0 after a rollback", given(rolledBack, inPlace(0), atZero), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack, "rolled back to shop:a", "all pods start in shop:b, without being judged", "Before you scale it up, declare shop:a again"),
		stalls("UnjudgedServes", "scaled to 0 and back after a rollback", given(rolledBack, inPlace(0), other), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonWrongVersionServes, "2 of 2 pods run it", "declare shop:a again"),
		stalls("UnjudgedServes", "made again after a rollback", given(rolledBack, inPlace(0), active(stable(2), own(2))), nil, v1alpha1.PhaseRolledBack, v1alpha1.ReasonWrongVersionServes, "2 of 4 pods run it"),
		works("StepPassed", "made again, pods of stable serve", given(stepAt(0), inPlace(2), madeAgain, func(in *plan.Input) { in.Canary.Desired = 1 }), plan.ScaleCanary{Replicas: 2}, phase, progressing),
		stalls("WorkloadUnusable", "before a run", given(waits, unusable), nil, gate, notReady, "OnDelete"),
		stalls("WorkloadUnusable", "in a run", given(step, unusable), nil, phase, notReady, "OnDelete"),
		stalls("TooFewReplicas", "before a run", given(waits, one), nil, gate, notReady, "has 1 replica", "kubectl scale statefulset/shop --replicas=2"),
		works("TooFewReplicas", "in a run", given(step, one, noCanary), nil, phase, notReady, "scaled to 1: shop:b waits"),
		works("ScaledToZero", "in a run", given(step, atZero, noCanary), nil, phase, v1alpha1.ReasonScaledToZero, "the StatefulSet is scaled to 0", "scaled up, all pods start in shop:b, without being judged", "Before you scale it up, declare shop:a again"),
		works("TriggerFired", "although it has 1 replica", given(step, one, noCanary, verdict(v1alpha1.VerdictFail)), nil, v1alpha1.PhaseRollingBack, v1alpha1.ReasonRollingBack),
		stalls("Adopting", "cannot be held", given(fresh, inPlace(0), unusable), nil, "", notReady, "OnDelete"),
		works("Adopting", "its controller has not finished", given(fresh, inPlace(0), func(in *plan.Input) { in.Workload.Observed = false }), nil, "", notReady, "has not finished its last update"),
		stalls("Adopting", "two versions", given(fresh, inPlace(0), active(stable(2), newer(2)), paused(true)), nil, "", notReady, `StatefulSet "shop" is in the middle of an update`, "its partition keeps it so"),
	}
}

func orderedRollbackCases() []ruleCase {
	const back, phase, releasing = v1alpha1.ReasonRollingBack, v1alpha1.PhaseRollingBack, v1alpha1.ReasonReleasing
	going := all(rollingBack(nil), inPlace(2))
	raised := all(going, held, misplaced(0, 2))
	gone := all(rollingBack(nil), inPlace(0))
	zero := all(gone, zeroAt(&justNow))
	bake := all(baking, inPlace(3), asRollback)
	last := all(handingOver, inPlace(4), asRollback, active(), current)
	soon := deleted(time.Second)
	step := all(stepAt(0), inPlace(1))
	marks := plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Rejected: candidateRevision}}
	return []ruleCase{
		works("TriggerFired", "in the bake", given(baking, inPlace(3), verdict(v1alpha1.VerdictFail)), nil, phase, back),
		works("TriggerFired", "while the last pod is replaced", given(handingOver, inPlace(4), verdict(v1alpha1.VerdictFail)), nil, phase, back),
		works("RollbackHoldsPods", "first of all", given(going), plan.ScaleCanary{Replicas: 0}, phase, back, "raising the partition", "5 % errors"),
		works("RollbackHoldsPods", "although no stable pod is ready", given(bake, stableReady(0)), plan.ScaleCanary{Replicas: 0}, phase, back),
		works("RollbackHoldsPods", "also at 0 replicas", given(going, atZero, noCanary), plan.ScaleCanary{Replicas: 0}, phase, back),
		works("RollbackReplacesPods", "one at a time", given(raised), plan.ReplacePods{Names: []string{"shop-3"}}, phase, back, "2 of 4 pods are back at shop:a"),
		works("RollbackReplacesPods", "those that are not ready at once", given(raised, misplaced(2, 0), canaryReady(0)), plan.ReplacePods{Names: []string{"shop-3", "shop-2"}}, phase, back),
		works("RollbackAwaitsReplaced", "the one before is not ready", given(raised, misplaced(0, 1), podsLeft(1), canaryReady(1)), nil, phase, back, "1 pod to go, and 1 not ready, at most 1 at once"),
		works("RollbackAwaitsReplaced", "pods beyond its size serve meanwhile", given(raised, misplaced(0, 1), podsLeft(1), canaryReady(1), func(in *plan.Input) { in.Route.ServiceEndpoints = 7 }), nil, phase, back, "1 pod to go, and 1 not ready"),
		stalls("RollbackFinished", "made again, so that no partition leads back", given(going, madeAgain, held), marks, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack),
		works("RollbackPodsGone", "the last one terminates", given(gone), nil, phase, back, "the last canary pod began to terminate"),
		works("RollbackReleasesPods", "the stable version is declared again", given(zero, declares(stableRevision), paused(true), held), plan.Unpause{Revision: stableRevision}, phase, back, "lowering the partition of the StatefulSet to 0"),
		stalls("RollbackFinished", "nothing is left", given(zero), marks, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack, "the StatefulSet still declares shop:b"),
		works("RollbackOverrun", "the last pod was ready before", given(last), nil, v1alpha1.PhaseHandingOver, v1alpha1.ReasonHandingOver, "the StatefulSet had already taken shop:b over", "declare shop:a again"),
		works("DeletingHoldsPods", "in a step", given(step, soon), plan.ScaleCanary{Replicas: 0}, v1alpha1.PhaseStepping, releasing),
		works("DeletingReplacesPods", "in a step", given(step, held, misplaced(0, 1), soon), plan.ReplacePods{Names: []string{"shop-3"}}, v1alpha1.PhaseStepping, releasing),
		works("DeletingAwaitsPods", "another is not ready", given(step, held, misplaced(0, 1), stableReady(2), soon), nil, v1alpha1.PhaseStepping, releasing),
		works("DeletingReleasesPods", "the stable version is declared again", given(stepAt(0), inPlace(0), declares(stableRevision), paused(true), held, soon), plan.Unpause{Revision: stableRevision}, v1alpha1.PhaseStepping, releasing),
		works("DeletingLeaves", "what is not promoted stays held", given(stepAt(0), inPlace(0), soon), plan.Leave{}, v1alpha1.PhaseStepping, releasing, "stays held at shop:b", "kubectl patch statefulset/shop --type=merge"),
		works("DeletingLeaves", "at rest", given(inPlace(0), soon), plan.Leave{}, v1alpha1.PhaseStable, releasing, "the StatefulSet serves without it"),
		works("DeletingLeaves", "after the timeout", given(step, deleted(time.Hour)), plan.Leave{}, v1alpha1.PhaseStepping, releasing),
		works("DeletingLeaves", "a bypass goes on", given(bypassing, inPlace(4), paused(false), current, soon), plan.Leave{}, v1alpha1.PhaseHandingOver, releasing),
	}
}

func orderedEndCases() []ruleCase {
	const reason, phase = v1alpha1.ReasonHandingOver, v1alpha1.PhaseHandingOver
	due := all(handingOver, inPlace(3))
	out := all(handingOver, inPlace(4), canaryReady(3))
	done := all(handingOver, inPlace(4), current)
	bypassed := all(bypassing, inPlace(2), paused(false), current)
	unserved := all(takeOver(v1alpha1.TakeOverUnserved), inPlace(0))
	two := func(in *plan.Input) { active(stable(2), own(2))(in) }
	return []ruleCase{
		works("LastPodUndecided", "not every trigger passes", given(due, verdict(v1alpha1.VerdictError)), nil, phase, v1alpha1.ReasonHolding),
		works("ReleasesLastPod", "the bake has passed", given(due), plan.ScaleCanary{Replicas: 4}, phase, reason, "the last of 4 pods gets shop:b"),
		works("AwaitsLastPod", "not ready", given(out), nil, phase, reason, "3 of 4 pods run shop:b"),
		works("AwaitsLastPod", "its controller has not seen it", given(handingOver, inPlace(4)), nil, phase, reason),
		works("PromotedInPlace", "alone", given(done), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable, "promoted shop:b"),
		works("NativeReplacesPods", "its controller would wait for them", given(unserved, misplaced(1, 0), stableReady(0)), plan.ReplacePods{Names: []string{"shop-3"}}, phase, reason),
		works("NativeUnpauses", "unserved", given(unserved), plan.Unpause{Revision: candidateRevision}, phase, reason, "lowering the partition of the StatefulSet to 0: the StatefulSet rolls by its own strategy"),
		works("NativeAwaitsPods", "a newer version was declared", given(bypassed, declares(newerRevision), held, two), nil, phase, reason, "shop:c was declared while the StatefulSet ran 2 versions"),
		works("NativeAwaitsWorkload", "a bypass that rolls", given(bypassed, two), nil, phase, reason, "waiting for the StatefulSet to run shop:b alone"),
		works("NativeDone", "a bypass that is over", given(bypassing, inPlace(4), paused(false), current), nil, v1alpha1.PhaseStable, v1alpha1.ReasonStable),
	}
}

// TestAStatefulSetsWeightsArePods: never none, never all.
func TestAStatefulSetsWeightsArePods(t *testing.T) {
	for n := int32(2); n <= 50; n++ {
		for weight := int32(1); weight <= 100; weight++ {
			in := given(stepAt(0), acknowledgedAt(nil), scaled(n), inPlace(0))
			in.Spec.Steps[0].Weight = weight
			e, ok := plan.EffectOf[plan.ScaleCanary](plan.Decide(in))
			if !ok {
				t.Fatalf("%d %% of %d: %s", weight, n, plan.Decide(in).Why)
			}
			enough, needed := 100*e.Replicas >= weight*n || e.Replicas == n-1, e.Replicas == 1 || 100*(e.Replicas-1) < weight*n
			if !enough || !needed || e.Replicas >= n {
				t.Errorf("%d %% of %d pods: %d", weight, n, e.Replicas)
			}
		}
	}
}

// TestAStatefulSetsStatusShowsItsShares: pods are whole, and one stays stable in the bake.
func TestAStatefulSetsStatusShowsItsShares(t *testing.T) {
	for name, c := range map[string]struct {
		in      plan.Input
		want    v1alpha1.WeightStatus
		serving string
	}{
		"step":     {given(stepAt(0), acknowledgedAt(&justNow), inPlace(1)), v1alpha1.WeightStatus{Desired: 10, Observed: 25}, "a 75 %, b 25 %"},
		"bake":     {given(baking, fullAt(&justNow), inPlace(3)), v1alpha1.WeightStatus{Desired: 75, Observed: 75}, "a 25 %, b 75 %"},
		"last pod": {given(handingOver, inPlace(4)), v1alpha1.WeightStatus{Desired: 100, Observed: 100}, "b 100 %"},
		"back":     {given(rollingBack(nil), inPlace(2)), v1alpha1.WeightStatus{Desired: 0, Observed: 50}, "a 50 %, b 50 %"},
	} {
		s := plan.Decide(c.in).Status
		if s.Step.Weight != c.want || s.Serving != c.serving {
			t.Errorf("%s: weight %+v, serving %q; want %+v, %q", name, s.Step.Weight, s.Serving, c.want, c.serving)
		}
	}
}

// places are what the pods of a StatefulSet may run.
func places() []option {
	placed := func(in *plan.Input) { inPlace(min(in.Canary.Desired, max(0, in.Workload.Replicas-1)))(in) }
	of := func(k int32) change {
		return func(in *plan.Input) { inPlace(min(k, in.Workload.Replicas))(in) }
	}
	broken := func(in *plan.Input) {
		placed(in)
		canaryReady(0)(in)
	}
	raised := func(in *plan.Input) {
		placed(in)
		if in.Workload.Paused {
			held(in)
			misplaced(0, in.Canary.Left)(in)
		}
	}
	return []option{
		{"placed", placed}, {"none", of(0)}, {"one", of(1)}, {"most", of(3)}, {"every", of(4)}, {"broken", broken}, {"raised", raised},
		{"raised-broken", func(in *plan.Input) { raised(in); canaryReady(0)(in); misplaced(in.Canary.Left, 0)(in) }},
		{"beyond", func(in *plan.Input) { placed(in); misplaced(1, 1)(in) }},
		{"without-stable", func(in *plan.Input) { placed(in); stableReady(0)(in) }},
		{"current", func(in *plan.Input) {
			of(4)(in)
			if in.Status.Phase.InRun() {
				current(in)
			}
		}},
		{"unheld", func(in *plan.Input) { of(0)(in); in.Workload.Held = false }}, {"unusable", func(in *plan.Input) { placed(in); unusable(in) }},
	}
}

// TestEveryDecisionAboutAStatefulSetKeepsThePromises, and makes nothing that a StatefulSet has
// not.
func TestEveryDecisionAboutAStatefulSetKeepsThePromises(t *testing.T) {
	failures := map[string]int{}
	total := 0
	var phases []option
	for _, stage := range stages() {
		// No StatefulSet is promoted natively.
		if !strings.HasPrefix(stage.name, "native") {
			phases = append(phases, stage)
		}
	}
	each([][]option{phases, workloads(), verdicts(), circumstances(), places()}, max(1, *every/13), func(name func() string, in plan.Input) {
		total++
		d, found := violations(in)
		for _, e := range d.Effects {
			switch e.(type) {
			case plan.SetSplit, plan.ReleaseRoute, plan.NarrowService, plan.PointServices, plan.RemoveCanary, plan.RemoveLeftover, plan.HandOver,
				plan.FenceCanary, plan.ResizeHanded, plan.Unlock, plan.RaiseStable, plan.TakeOut, plan.TakeBack, plan.Pause:
				found = append(found, fmt.Sprintf("%s: %s", d.Rule, e))
			}
		}
		if strings.Contains(d.Why, "Deployment") || strings.Contains(d.Why, "ReplicaSet") || strings.Contains(d.Why, "gateway") {
			found = append(found, d.Rule+" speaks of a Deployment: "+d.Why)
		}
		for _, v := range invariants.Of(in, d) {
			if slices.Contains([]string{"WeightWithinStep", "CanaryGoesLast", "DeploymentIsHeld"}, v.Name) {
				found = append(found, v.Message)
			}
		}
		for _, violation := range found {
			if failures[violation]++; failures[violation] == 1 {
				t.Errorf("%s: %s", name(), violation)
			}
		}
	})
	t.Logf("%d inputs", total)
}
