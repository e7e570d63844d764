package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
)

// byPods is a Rollout without traffic: the ready pods alone say who answers.
func byPods(in *plan.Input) {
	in.Spec.Traffic = nil
	in.Route = plan.Route{Acknowledged: true, PairCurrent: true}
	in.Status.DirectCallers, in.Workload.Marks.Run, in.Workload.Marks.Narrowed = nil, "", ""
	endpoints(in)
}

// lastStep has another weight.
func lastStep(weight int32) change {
	return func(in *plan.Input) { in.Spec.Steps[len(in.Spec.Steps)-1].Weight = weight }
}

// podsLeft are canary pods that do not terminate yet.
func podsLeft(n int32) change { return func(in *plan.Input) { in.Canary.Left = n } }

func replicasCases() []ruleCase {
	const progressing, back, baked = v1alpha1.ReasonProgressing, v1alpha1.ReasonRollingBack, v1alpha1.ReasonBaking
	const phase, backPhase, bakePhase, overPhase = v1alpha1.PhaseStepping, v1alpha1.PhaseRollingBack, v1alpha1.PhaseBaking, v1alpha1.PhaseHandingOver
	entered := all(stepAt(0), byPods, acknowledgedAt(nil))
	step := all(stepAt(0), byPods)
	held := all(step, acknowledgedAt(&justNow))
	second := all(stepAt(1), byPods, canaryPods(replicas))
	bake := all(baking, byPods)
	ten := all(scaled(10), active(stable(10)))
	going := all(rollingBack(nil), byPods, podsLeft(2))
	zero := all(going, canaryPods(0), podsLeft(0))
	down := all(second, scaled(2), active(stable(2)))
	first := plan.ScaleCanary{Replicas: 1}
	return []ruleCase{
		works("RunStarts", "no route to look at", given(gating, byPods), plan.CreateRun{}, phase, progressing, "run 2 starts", "step 1 of 2 (smoke): weight 10 % beside 4 stable pods needs canary pods: 1").then(first),
		works("RevertStarts", "without steps", given(gating, byPods, previously(candidateRevision)), plan.CreateRun{}, v1alpha1.PhasePromoting, progressing, "as many pods as stable has", "promotion: as many canary pods as stable pods, 4; scaling to 1 first").then(first),
		works("ScalesCanary", "the first pod", given(entered, noCanary), plan.ScaleCanary{Replicas: 1}, phase, progressing, "weight 10 % beside 4 stable pods needs canary pods: 1 (1 of 5 = 20 %)"),
		works("ScalesCanary", "rounded up", given(entered, ten, noCanary), plan.ScaleCanary{Replicas: 2}, phase, progressing, "needs canary pods: 2 (2 of 12 = 16 %)"),
		works("ScalesCanary", "in waves", given(second, acknowledgedAt(nil), canaryPods(1)), plan.ScaleCanary{Replicas: 2}, phase, progressing, "needs canary pods: 4 (4 of 8 = 50 %)"),
		works("ScalesCanary", "the Deployment was scaled up in a hold", given(held, ten), plan.ScaleCanary{Replicas: 2}, phase, progressing),
		works("ScalesCanary", "to the promotion", given(promoting, byPods, canaryPods(3)), plan.ScaleCanary{Replicas: 4}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting, "as many canary pods as stable pods, 4"),
		works("AwaitsCanary", "not ready", given(entered, canaryReady(0)), nil, phase, progressing, "0 of 1 ready"),
		works("StepAcknowledged", "ready", given(entered), nil, phase, progressing, "canary at 20 % (1 of 5 ready pods, the step asks for 10 %); holding until 12:01:00Z"),
		works("StepHolds", "not over", given(held), nil, phase, progressing, "holding at 20 % (1 of 5 ready pods, the step asks for 10 %) until"),
		works("StepUndecided", "no answer", given(step, verdict(v1alpha1.VerdictError)), nil, phase, v1alpha1.ReasonHolding, "staying at 20 % (1 of 5 ready pods, the step asks for 10 %)"),
		works("StepPassed", "passed", given(step), plan.ScaleCanary{Replicas: 2}, phase, progressing, "passed at 20 % (1 of 5"),
		works("StepsPassed", "the last", given(second), nil, bakePhase, baked, "passed at 50 % (4 of 8 ready pods, the step asks for 50 %), the last one", "baking until 12:05:00Z"),
		works("StepsPassed", "the last, of fewer pods than stable has", given(second, lastStep(25), canaryPods(2)), plan.ScaleCanary{Replicas: 3}, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting, "the last one", "scaling to 3 first"),
		works("AwaitsCanary", "a pod was lost in the hold, at its end", given(second, canaryReady(3)), nil, phase, progressing, "3 of 4 ready"),
		works("StepHolds", "a pod was lost in the hold", given(second, acknowledgedAt(&justNow), canaryReady(3)), nil, phase, progressing),
		works("AwaitsStablePods", "in the hold", given(held, stableReady(0)), nil, phase, progressing, "0 of 4 are ready, and the canary answers all requests (ready pods: 1)"),
		works("AwaitsStablePods", "nothing grows then", given(entered, stableReady(0), noCanary), nil, phase, progressing),
		works("ShrinksCanary", "the Deployment was scaled down", given(down), plan.ScaleCanary{Replicas: 2}, phase, progressing, "the canary has 4 pods, more than it needs: weight 50 % beside 2 stable pods needs canary pods: 2 (2 of 4 = 50 %)"),
		works("ShrinksCanary", "somebody scaled it up", given(held, canaryPods(4)), plan.ScaleCanary{Replicas: 1}, phase, progressing),
		works("ShrinksCanary", "while paused", given(held, canaryPods(4), specPaused), plan.ScaleCanary{Replicas: 1}, phase, progressing),
		works("ShrinksCanary", "in a bake", given(bake, scaled(2), active(stable(2))), plan.ScaleCanary{Replicas: 2}, bakePhase, baked),
		works("ShrinksCanary", "in a bake without a ready stable pod", given(bake, scaled(2), active(stable(2)), stableReady(0)), plan.ScaleCanary{Replicas: 2}, bakePhase, baked),
		works("AwaitsStablePods", "the canary keeps what serves", given(down, stableReady(0)), nil, phase, progressing),
		works("CanaryNotReady", "in the hold", given(held, canaryReady(0)), nil, phase, progressing, "0 of 1 canary pods are ready", "begins again"),
		works("CanaryNotReady", "in a bake", given(bake, canaryReady(0)), nil, bakePhase, baked),
		works("CanaryNotReady", "in a handover", given(handingOver, byPods, canaryReady(0)), nil, backPhase, back, "0 of 4 canary pods are ready"),
		works("ScaledToZero", "its canary too, before the stable pods", given(held, scaled(0), canaryPods(0)), nil, phase, v1alpha1.ReasonScaledToZero),
		works("WithdrawsWave", "beside a stable side that is short", given(second, acknowledgedAt(nil), canaryPods(2), canaryReady(1), stableReady(2), wave(2, 11*time.Minute)), plan.ScaleCanary{Replicas: 1}, phase, progressing, "1 of 2 canary pods have not become ready"),
		works("TriggerFired", "in a step", given(step, verdict(v1alpha1.VerdictFail)), nil, backPhase, back, "at step 1 of 2 (smoke), weight 20 %"),
		works("BakeStarts", "as many pods as stable", given(promoting, byPods), nil, bakePhase, baked, "4 of 8 ready pods run shop:b", "shop:a at full size"),
		works("AwaitsCanary", "a promotion without all of its pods", given(promoting, byPods, canaryReady(3)), nil, v1alpha1.PhasePromoting, v1alpha1.ReasonPromoting, "3 of 4 ready"),
		works("BakePassed", "passed", given(bake), plan.HandOver{Replicas: replicas}, overPhase, v1alpha1.ReasonHandingOver),
		works("HandsOver", "both sides at full size", given(handingOver, byPods), plan.HandOver{Replicas: replicas}, overPhase, v1alpha1.ReasonHandingOver),
		works("HandoverUnpauses", "nothing to release", given(handed, byPods), plan.Unpause{Revision: candidateRevision, Unmark: true}, overPhase, v1alpha1.ReasonHandingOver),
		works("NativeHandsOver", "at the last step's size", given(takeOver(v1alpha1.TakeOverNative), byPods), plan.HandOver{Replicas: 2, Native: true}, overPhase, v1alpha1.ReasonHandingOver),

		works("RollbackScalesDown", "in a step", given(going), plan.ScaleCanary{Replicas: 0}, backPhase, back, "scaling the canary from 2 to 0 pods: 5 % errors"),
		works("RollbackScalesDown", "one stable pod is enough", given(going, stableReady(1)), plan.ScaleCanary{Replicas: 0}, backPhase, back),
		works("RollbackScalesDown", "in a bake with a small stable", given(bake, asRollback, stableReady(2)), plan.ScaleCanary{Replicas: 0}, backPhase, back, "stable has 2 reachable pods for all requests, fewer than the canary's 4"),
		works("RollbackScalesDown", "neither side answers", given(going, stableReady(0), canaryReady(0)), plan.ScaleCanary{Replicas: 0}, backPhase, back),
		works("RollbackAwaitsStable", "the canary alone answers", given(going, stableReady(0)), nil, backPhase, back, "0 of 4 ready"),
		works("RollbackAwaitsPods", "not terminating yet", given(going, canaryPods(0), podsLeft(2)), nil, backPhase, back, "waiting for canary pods to terminate: 2"),
		works("RollbackAtZero", "the last one terminates", given(zero), nil, backPhase, back, "the last canary pod began to terminate, within 600.0 s"),
		works("RollbackRemovesCanary", "without a drain of Belay's", given(zero, zeroAt(&justNow)), plan.RemoveCanary{Reject: true}, backPhase, back),
		stalls("RollbackDone", "nothing is left", given(zero, zeroAt(&justNow), noCanary), plan.MarkWorkload{Marks: plan.Marks{Rollout: "shop", Rejected: candidateRevision}}, v1alpha1.PhaseRolledBack, v1alpha1.ReasonRolledBack),
		works("DeletingRemovesCanary", "stable serves", given(step, deleted(time.Second)), plan.RemoveCanary{}, phase, v1alpha1.ReasonReleasing, "removing the canary (1 pod): the Deployment has 4 ready pods"),
		works("DeletingAwaitsWorkload", "it does not", given(step, stableReady(0), deleted(time.Second)), nil, phase, v1alpha1.ReasonReleasing),
		works("Released", "the canary is gone", given(step, noCanary, deleted(time.Second)), plan.Leave{}, phase, v1alpha1.ReasonReleasing),
	}
}

// TestTheStatusShowsBothWeights: pods are whole, so the wanted weight and the one in
// force differ.
func TestTheStatusShowsBothWeights(t *testing.T) {
	step, handedOver := all(stepAt(0), byPods, acknowledgedAt(&justNow)), all(handed, byPods)
	for name, c := range map[string]struct {
		in      plan.Input
		want    v1alpha1.WeightStatus
		serving string
	}{
		"step":        {given(step), v1alpha1.WeightStatus{Desired: 10, Observed: 20}, "a 80 %, b 20 %"},
		"not ready":   {given(step, canaryReady(0)), v1alpha1.WeightStatus{Desired: 10, Observed: 0}, "a 100 %"},
		"few stable":  {given(step, stableReady(1)), v1alpha1.WeightStatus{Desired: 10, Observed: 50}, "a 50 %, b 50 %"},
		"bake":        {given(baking, byPods), v1alpha1.WeightStatus{Desired: 50, Observed: 50}, "a 50 %, b 50 %"},
		"handover":    {given(handingOver, byPods), v1alpha1.WeightStatus{Desired: 50, Observed: 50}, "a 50 %, b 50 %"},
		"owner":       {given(handedOver), v1alpha1.WeightStatus{Desired: 100, Observed: 50}, "a 50 %, b 50 %"},
		"rolled back": {given(rollingBack(nil), byPods, canaryPods(1)), v1alpha1.WeightStatus{Desired: 0, Observed: 20}, "a 80 %, b 20 %"},
	} {
		s := plan.Decide(c.in).Status
		if s.Step.Weight != c.want || s.Serving != c.serving || s.DirectCallers != nil {
			t.Errorf("%s: weight %+v, serving %q, direct callers %v; want %+v, %q", name, s.Step.Weight, s.Serving, s.DirectCallers, c.want, c.serving)
		}
	}
}

// TestASizeIsAWeight: a decision about the canary's size is recorded with the weights
// before and after, and goes on without a record when it takes something away.
func TestASizeIsAWeight(t *testing.T) {
	for name, c := range map[string]struct {
		in     plan.Input
		want   v1alpha1.WeightChange
		goesOn bool
	}{
		"grows":   {given(stepAt(0), byPods, acknowledgedAt(nil), noCanary), v1alpha1.WeightChange{From: 0, To: 20}, false},
		"shrinks": {given(stepAt(0), byPods, canaryPods(4)), v1alpha1.WeightChange{From: 50, To: 20}, true},
		"back":    {given(rollingBack(nil), byPods), v1alpha1.WeightChange{From: 33, To: 0}, true},
	} {
		r := plan.Transition(c.in)
		if r.Weight == nil || *r.Weight != c.want || r.GoesOn != c.goesOn {
			t.Errorf("%s: weight %+v, goes on %v: %s", name, r.Weight, r.GoesOn, r.Why)
		}
	}
}

// TestTheCanarysSizeGivesTheShare holds every size to the weight that it is for: not
// below it, with one pod less below it, and one pod at least.
func TestTheCanarysSizeGivesTheShare(t *testing.T) {
	for n := int32(1); n <= 200; n++ {
		for weight := int32(1); weight <= 50; weight++ {
			// One that is too large shrinks to its size at once; one that grows does so in
			// waves.
			in := given(stepAt(0), byPods, scaled(n), active(stable(n)), canaryPods(n+1))
			in.Spec.Steps[0].Weight = weight
			e, ok := plan.EffectOf[plan.ScaleCanary](plan.Decide(in))
			if !ok {
				t.Fatalf("%d %% of %d: %s", weight, n, plan.Decide(in).Why)
			}
			c := e.Replicas
			share := func(pods int32) int32 { return 100 * pods / (n + pods) }
			enough, needed := 100*c >= weight*(n+c), c == 1 || share(c-1) < weight
			if !enough || !needed || c > n {
				t.Errorf("%d %% beside %d pods: %d canary pods = %d %%", weight, n, c, share(c))
			}
		}
	}
}

func TestReplicaWeightedStories(t *testing.T) {
	to := func(w *world) *world {
		return w.happens(byPods, declares(candidateRevision)).goes("NewRevision", "RunStarts", "+pass",
			"StepAcknowledged", "StepHolds", "+1m", "StepPassed",
			"ScalesCanary", "ScalesCanary", "StepAcknowledged", "+1m", "StepsPassed", "BakeRuns")
	}
	to(newWorld(t)).goes("+5m", "BakePassed", "HandoverAwaitsRecognition").happens(recognised).goes("HandoverUnpauses", "HandoverAwaitsWorkload").happens(rolled).
		goes("Promoted", "Stable").ends(v1alpha1.PhaseStable, candidateRevision, v1alpha1.OutcomePromoted)
	to(newWorld(t)).goes("+fail", "TriggerFired", "RollbackScalesDown").happens(podsLeft(4)).goes("RollbackAwaitsPods").happens(podsLeft(0)).
		goes("RollbackAtZero", "RollbackRemovesCanary", "RollbackDone", "RolledBack").
		ends(v1alpha1.PhaseRolledBack, stableRevision, v1alpha1.OutcomeRolledBack)
	newWorld(t, scaled(1), active(stable(1)), byPods, declares(candidateRevision)).goes("NewRevision", "RunStarts", "+pass",
		"StepAcknowledged", "+1m", "StepPassed", "StepAcknowledged", "+1m", "StepsPassed", "BakeRuns", "+5m", "BakePassed")
}

// sizes holds what a decision does to a canary whose pods are its weight.
func (c *checker) sizes(to int32) {
	canary, n, r := c.in.Canary, c.in.Workload.Replicas, c.in.Route
	c.require(!canary.Exists || canary.Desired != to, "scales to %d again", to)
	c.require(c.in.Deleting == nil && !canary.Handed, "scales a canary that is on its way out")
	limit := c.need(100)
	if c.d.Status.Phase == v1alpha1.PhaseStepping {
		limit = c.need(c.weightOf(c.d.Status.Step))
	}
	switch {
	case c.in1(v1alpha1.PhaseRollingBack):
		c.require(to == 0, "scales the canary to %d in a rollback", to)
		c.require(r.StableEndpoints > 0 || canary.Ready == 0 || n == 0, "takes the pods that are all that answers")
	case n == 0:
		c.require(to == 0, "scales the canary of nothing to %d", to)
	case to < canary.Desired:
		w := c.d.Status.Step
		withdraws := to >= canary.Ready && canary.Ready > 0 && w != nil && w.Wave != nil && w.Wave.WithdrawnAt != nil && c.elapsed(&w.Wave.AskedAt, c.in.Workload.ProgressDeadline)
		c.require(withdraws || to == limit, "scales the canary down from %d to %d, its stage allows %d", canary.Desired, to, limit)
	default:
		_, creates := plan.EffectOf[plan.CreateRun](c.d)
		c.require(to <= limit, "scales the canary to %d, its stage allows %d", to, limit)
		c.require(to-min(canary.Ready, canary.Available) <= max(1, n/4), "has %d pods unready at once", to-min(canary.Ready, canary.Available))
		c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail, "grows the canary while a trigger fires")
		begun := c.in.Status.Step != nil && c.in.Status.Step.AcknowledgedAt != nil
		if c.in.Status.Promotion != nil {
			begun = c.in.Status.Promotion.FullAt != nil
		}
		c.require(!c.paused() || begun, "gives a paused canary a weight that it had not reached")
		c.require(c.declared == c.candidate && c.in.Workload.Paused && (c.in.Run.Exists || creates), "grows what is not declared, held and recorded")
	}
}

// TestNoRouteIsTouchedWithoutOne: whatever is observed.
func TestNoRouteIsTouchedWithoutOne(t *testing.T) {
	failures := map[string]bool{}
	total := 0
	unreadyCanary := func(in *plan.Input) {
		if !in.Canary.Handed {
			canaryReady(0)(in)
		}
	}
	readiness := []option{{"all-ready", same}, {"no-stable", stableReady(0)}, {"no-canary", unreadyCanary}, {"left", podsLeft(2)}}
	dimensions := [][]option{stages(), workloads(), canaries(), readiness, verdicts(), circumstances()}
	each(dimensions, 293, func(name func() string, in plan.Input) {
		total++
		byPods(&in)
		d, found := violations(in)
		for _, e := range d.Effects {
			switch e.(type) {
			case plan.SetSplit, plan.ReleaseRoute, plan.NarrowService, plan.PointServices:
				found = append(found, fmt.Sprintf("%s: %s", d.Rule, e))
			}
		}
		for _, v := range invariants.Of(in, d) {
			if v.Name == "WeightWithinStep" {
				found = append(found, v.Message)
			}
		}
		if strings.Contains(d.Why, "gateway") || strings.Contains(d.Why, "Service ") {
			found = append(found, d.Rule+" speaks of a route: "+d.Why)
		}
		for _, violation := range found {
			if !failures[violation] {
				failures[violation] = true
				t.Errorf("%s: %s", name(), violation)
			}
		}
	})
	t.Logf("%d inputs", total)
}
