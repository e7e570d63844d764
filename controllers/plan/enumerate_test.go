package plan_test

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/test/sim/invariants"
)

type option struct {
	name  string
	apply change
}

func same(*plan.Input) {}

// each is every way to apply one option of each dimension, in order.
func each(dimensions [][]option, visit func(name string, in plan.Input)) {
	var walk func(int, string, []change)
	walk = func(i int, name string, changes []change) {
		if i == len(dimensions) {
			visit(name, given(changes...))
			return
		}
		for _, o := range dimensions[i] {
			walk(i+1, name+"/"+o.name, append(slices.Clip(changes), o.apply))
		}
	}
	walk(0, "", nil)
}

func all(changes ...change) change {
	return func(in *plan.Input) {
		for _, c := range changes {
			c(in)
		}
	}
}

// stages are the phases with every state that the Rollout's own record of them
// can be in, also those that only a crash or an older version leaves behind.
func stages() []option {
	nilStep := func(in *plan.Input) { in.Status.Step = nil }
	nilPromotion := func(in *plan.Input) { in.Status.Promotion = nil }
	nilRollback := func(in *plan.Input) { in.Status.Rollback = nil }
	unpausing := func(in *plan.Input) {
		in.Status.Promotion.UnpausedAt = &justNow
	}
	return []option{
		{"fresh", fresh}, {"stable", same}, {"stable-pushed", candidate}, {"gating", gating}, {"rolled-back", rolledBack},
		{"step1-entered", all(stepAt(0), acknowledgedAt(nil), entered(justNow))},
		{"step1-late", all(stepAt(0), acknowledgedAt(nil), entered(longAgo))},
		{"step1-held", all(stepAt(0), acknowledgedAt(&justNow))},
		{"step1-done", stepAt(0)}, {"step2-done", stepAt(1)}, {"step-nil", all(stepAt(0), nilStep)},
		{"promoting", all(promoting, fullAt(nil))}, {"promoting-full", all(promoting, fullAt(&justNow))},
		{"promoting-drained", promoting}, {"promoting-unpausing", all(promoting, unpausing)}, {"promoting-nil", all(promoting, nilPromotion)},
		{"baking", all(baking, shiftedAt(&justNow))}, {"baking-done", baking}, {"baking-late", all(baking, shiftedAt(&longAgo))}, {"baking-nil", all(baking, nilPromotion)},
		{"back", rollingBack(nil)}, {"back-zero", rollingBack(&justNow)}, {"back-drained", rollingBack(&recently)},
		{"back-bypassed", all(rollingBack(nil), rollbackOutcome(v1alpha1.OutcomeBypassed))},
		{"back-superseded", all(rollingBack(&recently), rollbackOutcome(v1alpha1.OutcomeSuperseded))},
		{"back-restoring", all(rollingBack(nil), restoring)}, {"back-restoring-drained", all(rollingBack(&recently), restoring)},
		{"back-nil", all(rollingBack(nil), nilRollback)},
		{"unknown", all(stepAt(0), func(in *plan.Input) { in.Status.Phase = "Dancing" })},
	}
}

func canaries() []option {
	short := func(in *plan.Input) { canaryPods(replicas)(in); canaryReady(1)(in) }
	dead := func(in *plan.Input) { canaryPods(replicas)(in); canaryReady(0)(in) }
	return []option{
		{"none", noCanary}, {"terminating", terminating}, {"dead", dead}, {"short", short}, {"small", canaryPods(1)}, {"full", canaryPods(replicas)},
	}
}

func routes() []option {
	foreign := func(in *plan.Input) { in.Route.StableHash, in.Route.CanaryRevision = "", "" }
	faulty := func(in *plan.Input) {
		in.Route.Fault = plan.Blocked{Reason: v1alpha1.ReasonServiceNotFound, Message: "no such Service"}
	}
	serviceless := func(in *plan.Input) { faulty(in); in.Route.ServiceMissing = true }
	var out []option
	for _, weight := range []int32{-2, -1, 0, 10, 50, 100} {
		place := split(weight)
		if weight == -2 {
			place = noSplit
		}
		for _, o := range []option{{"acked", same}, {"unacked", unacknowledged}, {"new-pods", shifted}, {"no-pair", foreign}, {"no-endpoints", stableEndpoints(0)}, {"faulty", faulty}, {"serviceless", serviceless}, {"serviceless-new-pods", all(serviceless, shifted)}} {
			out = append(out, option{fmt.Sprintf("split%d-%s", weight, o.name), func(in *plan.Input) { place(in); o.apply(in) }})
		}
	}
	return append(out, option{"gone", routeGone})
}

func workloads() []option {
	missing := func(in *plan.Input) { in.Workload = plan.Workload{} }
	idle := func(in *plan.Input) { in.Workload.Replicas, in.Workload.StableReady, in.Workload.Ready = 0, 0, 0 }
	unpaused := func(declared string) change {
		return func(in *plan.Input) { declares(declared)(in); in.Workload.Paused = false }
	}
	return []option{
		{"stable", unpaused(stableRevision)}, {"stable-paused", func(in *plan.Input) { declares(stableRevision)(in); in.Workload.Paused = true }},
		{"tried-waits", declares(triedRevision)}, {"tried-rolls", func(in *plan.Input) { unpaused(triedRevision)(in); rolling(in) }},
		{"tried-rolled", func(in *plan.Input) { unpaused(triedRevision)(in); rolled(in) }},
		{"newer-waits", declares(newerRevision)}, {"newer-rolls", unpaused(newerRevision)},
		{"no-stable-pod", func(in *plan.Input) { declares(triedRevision)(in); in.Workload.StableReady, in.Workload.Ready = 0, 0 }},
		{"idle", idle}, {"missing", missing},
	}
}

func verdicts() []option {
	return []option{
		{"pass", verdict(v1alpha1.VerdictPass)}, {"fail", verdict(v1alpha1.VerdictFail)}, {"inconclusive", verdict(v1alpha1.VerdictInconclusive)},
		{"error", verdict(v1alpha1.VerdictError)}, {"none", verdict("")}, {"blind", blind},
	}
}

// circumstances are what else may be going on.
func circumstances() []option {
	return []option{
		{"plain", same}, {"deleting", deleted(time.Second)}, {"deleting-late", deleted(time.Hour)},
		{"abort", action(v1alpha1.ActionAbort, "")}, {"retry", action(v1alpha1.ActionRetry, triedRevision)},
		{"unguarded", unproven}, {"blocked", blockedRun}, {"paused", specPaused}, {"observe", observeOnly}, {"deadline", rollBackAtDeadline},
		{"no-run", func(in *plan.Input) { in.Run.Exists = false }}, {"rejected", rejected(newerRevision)},
		{"unfinalized", func(in *plan.Input) { in.FinalizerMissing = true }},
		{"preflight", preflight("")}, {"preflight-failed", preflight(v1alpha1.VerdictFail)},
		{"no-drain", func(in *plan.Input) { in.Spec.Traffic.Drain.Duration = 0 }},
	}
}

// every is how many inputs to go on by: a prime that no dimension's size shares,
// so that all options meet. The whole product takes about a minute.
var every = flag.Int("plan.every", 13, "decide on each n-th of the enumerated inputs; 1 for all")

// TestEveryDecisionKeepsThePromises enumerates inputs, also those that no run
// should ever see, and holds every decision to the invariants.
func TestEveryDecisionKeepsThePromises(t *testing.T) {
	for _, stage := range stages() {
		t.Run(stage.name, func(t *testing.T) {
			t.Parallel()
			count, failures := 0, map[string]int{}
			each([][]option{{stage}, workloads(), canaries(), routes(), verdicts(), circumstances()}, func(name string, in plan.Input) {
				if count++; count%*every != 0 {
					return
				}
				for _, violation := range violations(in) {
					if failures[violation]++; failures[violation] == 1 {
						t.Errorf("%s: %s", name, violation)
					}
				}
			})
			for violation, n := range failures {
				t.Logf("%d times: %s", n, violation)
			}
			t.Logf("%d inputs", count / *every)
		})
	}
}

// violations decides on copies and compares: once for what Decide leaves of its
// input, twice for determinism.
func violations(in plan.Input) (out []string) {
	defer func() {
		if r := recover(); r != nil {
			out = append(out, fmt.Sprintf("panics: %v", r))
		}
	}()
	given, again := clone(in), clone(in)
	d := plan.Decide(given)
	out = invariants.Check(in, d)
	if !reflect.DeepEqual(given, in) {
		out = append(out, d.Rule+": changes its input")
	}
	if !reflect.DeepEqual(plan.Decide(again), d) {
		out = append(out, d.Rule+": decides differently the second time")
	}
	if in.Status.Phase == v1alpha1.PhaseRollingBack && in.Verdict.Outcome != v1alpha1.VerdictPass {
		again.Verdict = plan.Verdict{Outcome: v1alpha1.VerdictPass}
		if without := plan.Decide(again); without.Rule != d.Rule || without.Effect != d.Effect {
			out = append(out, d.Rule+": a rollback depends on the verdict")
		}
	}
	return out
}

// clone shares nothing with in that a decision could reach.
func clone(in plan.Input) plan.Input {
	in.Spec, in.Status = *in.Spec.DeepCopy(), *in.Status.DeepCopy()
	in.Workload.Declared = *in.Workload.Declared.DeepCopy()
	in.Workload.Active = in.Workload.Active.DeepCopy()
	in.Run.Rejected = slices.Clone(in.Run.Rejected)
	if in.Route.Split != nil {
		in.Route.Split = ptr(*in.Route.Split)
	}
	return in
}
