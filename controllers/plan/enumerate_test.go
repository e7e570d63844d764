package plan_test

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// every is how many inputs to go on by: a prime that no dimension's size shares,
// so that all options meet. The whole product, 190 million, takes hours.
var every = flag.Int("plan.every", 2003, "decide on each n-th of the enumerated inputs; 1 for all")

// TestEveryDecisionKeepsThePromises enumerates inputs, also those that no run
// should ever see, and holds every decision to what must always hold.
func TestEveryDecisionKeepsThePromises(t *testing.T) {
	enumerate(t, *every, verdicts(), circumstances())
}

// TestDecisionsOnWhatIsObservedKeepThePromises goes through what is observed more
// closely, judged or not yet, with nothing else going on.
func TestDecisionsOnWhatIsObservedKeepThePromises(t *testing.T) {
	enumerate(t, max(1, *every/59), []option{{"pass", verdict(v1alpha1.VerdictPass)}, {"inconclusive", verdict(v1alpha1.VerdictInconclusive)}})
}

func enumerate(t *testing.T, every int, besides ...[]option) {
	total := 0
	for _, stage := range stages() {
		t.Run(stage.name, func(t *testing.T) {
			count, failures := 0, map[string]int{}
			dimensions := append([][]option{{stage}, workloads(), canaries(), splits(), routes()}, besides...)
			each(dimensions, every, func(name func() string, in plan.Input) {
				count++
				_, found := violations(in)
				for _, violation := range found {
					if failures[violation]++; failures[violation] == 1 {
						t.Errorf("%s: %s", name(), violation)
					}
				}
			})
			for violation, n := range failures {
				t.Logf("%d times: %s", n, violation)
			}
			total += count
		})
	}
	t.Logf("%d inputs", total)
}

type option struct {
	name  string
	apply change
}

func same(*plan.Input) {}

// each visits every n-th combination of one option of each dimension.
func each(dimensions [][]option, every int, visit func(name func() string, in plan.Input)) {
	size := 1
	for _, d := range dimensions {
		size *= len(d)
	}
	for i := 0; i < size; i += every {
		chosen, rest := make([]option, len(dimensions)), i
		for at := len(dimensions) - 1; at >= 0; at-- {
			chosen[at] = dimensions[at][rest%len(dimensions[at])]
			rest /= len(dimensions[at])
		}
		in := given()
		for _, o := range chosen {
			o.apply(&in)
		}
		visit(func() string {
			names := make([]string, len(chosen))
			for at, o := range chosen {
				names[at] = o.name
			}
			return strings.Join(names, "/")
		}, in)
	}
}

// stages are the phases with every state that the Rollout's own record of them
// can be in, also those that only a crash or another version leaves behind.
func stages() []option {
	nilStep := func(in *plan.Input) { in.Status.Step = nil }
	nilPromotion := func(in *plan.Input) { in.Status.Promotion = nil }
	nilRollback := func(in *plan.Input) { in.Status.Rollback = nil }
	finished := func(in *plan.Input) {
		in.Status.History = []v1alpha1.HistoryEntry{{Run: "shop-x-3", Outcome: v1alpha1.OutcomePromoted}, {Run: "shop-x-2"}, {Run: "shop-x-1"}}
	}
	resting := func(in *plan.Input) { sizeSince(nil)(in); in.Status.Promotion.Size = nil }
	return []option{
		{"fresh", fresh}, {"stable", finished}, {"gating", gating}, {"gating-before", all(gating, previously(candidateRevision))}, {"gating-restart", all(gating, restartOf(stableRevision))}, {"rolled-back", rolledBack},
		{"step1-entered", all(stepAt(0), acknowledgedAt(nil), entered(justNow))},
		{"step1-late", all(stepAt(0), acknowledgedAt(nil), entered(longAgo))},
		{"step1-held", all(stepAt(0), acknowledgedAt(&justNow))},
		{"step1-done", stepAt(0)}, {"step2-done", stepAt(1)}, {"step-nil", all(stepAt(0), nilStep)},
		{"promoting", promoting}, {"restarting", all(promoting, restarting)}, {"restarted", all(handed, restarting)}, {"promoting-nil", all(promoting, nilPromotion)},
		{"baking-entered", all(baking, fullAt(&justNow))}, {"baking-done", baking}, {"baking-late", all(baking, fullAt(&longAgo))},
		{"baking-shifted", all(baking, fullAt(nil))}, {"baking-nil", all(baking, nilPromotion)},
		{"handover", handingOver}, {"handover-decided", all(handingOver, handedAt(&justNow), locked)}, {"handover-late", all(handingOver, handingSince(&longAgo), resting)},
		{"handover-unsteady", all(handingOver, sizeSince(&justNow))}, {"handover-nil", all(handingOver, nilPromotion)}, {"handed", handed}, {"handed-long", all(handed, handedAt(&longAgo))},
		{"native", native}, {"native-begun", takeOver(v1alpha1.TakeOverNative)}, {"native-bakes", all(native, settledAt(&justNow))}, {"native-done", all(native, settledAt(&recently))},
		{"bypass", bypassing}, {"unserved", takeOver(v1alpha1.TakeOverUnserved)},
		{"back", rollingBack(nil)}, {"back-zero", rollingBack(&justNow)}, {"back-drained", rollingBack(&recently)},
		{"back-superseded", all(rollingBack(&recently), rollbackOutcome(v1alpha1.OutcomeSuperseded), finished)},
		{"back-handover", handoverBack}, {"back-nil", all(rollingBack(nil), nilRollback)},
		{"unknown", all(stepAt(0), func(in *plan.Input) { in.Status.Phase, in.Workload.Marks.Run = "Dancing", "" })},
	}
}

// workloads are what the Deployment declares and runs.
func workloads() []option {
	rolls := func(name string) change { return all(declares(name), paused(false)) }
	noStable := func(in *plan.Input) { in.Workload.Stable = plan.Set{} }
	down := all(declares(candidateRevision), stableReady(0), unavailableFor(time.Minute))
	return []option{
		{"candidate-held", declares(candidateRevision)}, {"candidate-down", down}, {"candidate-weak", all(declares(candidateRevision), stableReady(1))},
		{"candidate-wrong", all(declares(candidateRevision), active(own(replicas)))}, {"candidate-beside", all(declares(candidateRevision), active(stable(2), newer(2)))},
		{"candidate-replaced", all(declares(candidateRevision), active(newer(replicas)))}, {"candidate-lost", all(declares(candidateRevision), active(), noStable)},
		{"candidate-8", all(declares(candidateRevision), scaled(8))}, {"candidate-1", all(declares(candidateRevision), scaled(1), active(stable(1)))},
		{"candidate-0", all(declares(candidateRevision), atZero)}, {"candidate-to-0", all(declares(candidateRevision), scaled(0))},
		{"candidate-rolls", all(rolls(candidateRevision), active(stable(2), own(2)))}, {"candidate-alone", all(rolls(candidateRevision), active(own(replicas)))}, {"candidate-starts", rolls(candidateRevision)},
		{"stable", declares(stableRevision)}, {"stable-held", all(declares(stableRevision), paused(true))}, {"stable-mix", all(declares(stableRevision), paused(true), active(stable(2), own(2)))},
		{"newer-held", declares(newerRevision)}, {"newer-mix", all(declares(newerRevision), active(stable(3), unready(own(1))))}, {"newer-frozen", all(declares(newerRevision), active(unready(own(replicas))))},
		{"newer-0", all(declares(newerRevision), atZero)}, {"newer-rolls", all(rolls(newerRevision), active(stable(2), newer(2)))},
		{"unobserved", func(in *plan.Input) { in.Workload.Observed = false }}, {"missing", workloadGone},
	}
}

func canaries() []option {
	owned := func(n int32) change {
		return func(in *plan.Input) {
			if !slices.Contains([]v1alpha1.Phase{v1alpha1.PhaseHandingOver, v1alpha1.PhaseRollingBack}, in.Status.Phase) {
				return
			}
			canaryPods(n)(in)
			in.Canary.Handed, in.Canary.Recognised = true, true
			active(append(slices.Clone(in.Workload.Active), in.Canary.Set)...)(in)
		}
	}
	return []option{
		{"as-is", same}, {"none", noCanary}, {"terminating", terminating}, {"dead", all(canaryPods(replicas), canaryReady(0))},
		{"short", all(canaryPods(replicas), canaryReady(1))}, {"small", canaryPods(1)}, {"full", canaryPods(replicas)}, {"empty", canaryPods(0)},
		{"changed", all(canaryPods(replicas), func(in *plan.Input) { in.Canary.Changed = "a sidecar" })},
		{"not-chosen", all(canaryPods(replicas), func(in *plan.Input) { in.Workload.Chosen = ownSet })},
		{"fenced", all(canaryPods(replicas), func(in *plan.Input) { in.Canary.Epoch = 2 })},
		{"owned", owned(replicas)}, {"owned-small", owned(1)}, {"owned-unrecognised", all(owned(replicas), unrecognised)},
	}
}

func splits() []option {
	return []option{
		{"split-as-is", same}, {"no-split", noSplit}, {"0", split(0)}, {"10", split(10)}, {"50", split(50)}, {"100", split(100)}, {"mixed-0", mixed(0)}, {"mixed-100", mixed(100)},
		{"testers", all(split(0), testersReach("x-canary"), stepsAsk("x-canary"))}, {"testers-missing", all(split(0), stepsAsk("x-canary"))}, {"testers-of-nobody", testersReach("x-other")},
		{"mirror", all(split(0), mirrors(10), stepsMirror(10))}, {"mirror-missing", all(split(0), stepsMirror(10))}, {"mirror-of-nobody", mirrors(10)},
		{"mirror-changed", all(mixed(0), mirrors(20), stepsMirror(10))}, {"mirror-at-100", all(split(100), mirrors(10), stepsMirror(10))},
		{"testers-changed", all(mixed(0), testersReach("x-other"), stepsAsk("x-canary"))}, {"testers-at-100", all(split(100), testersReach("x-canary"), stepsAsk("x-canary"))},
	}
}

func routes() []option {
	faulty := func(in *plan.Input) {
		in.Route.Fault = plan.Fault{Reason: v1alpha1.ReasonServiceUnusable, Message: "a filter cannot be shared out"}
	}
	return []option{
		{"acked", same}, {"unacked", unacknowledged}, {"pair-off", pairOff}, {"no-stable-endpoint", stableEndpoints(0)}, {"no-canary-endpoint", canaryEndpoints(0)},
		{"no-endpoint", all(stableEndpoints(0), canaryEndpoints(0), serviceEndpoints(0))}, {"no-port", portRenamed}, {"only-canary", func(in *plan.Input) { in.Route.ServiceEndpoints = in.Route.CanaryShare }},
		{"pair-deleted", all(pairOff, stableEndpoints(0), canaryEndpoints(0))}, {"faulty", faulty}, {"serviceless", serviceGone}, {"gone", routeGone},
		{"previewed", previewed(canaryHash)}, {"preview-of-all", previewed("")}, {"no-preview", noPreview}, {"preview-unwanted", all(previewed(""), func(in *plan.Input) { in.Spec.Traffic.Preview = "" })},
		{"narrowed-stable", narrowed(stableHash)}, {"narrowed-canary", narrowed(canaryHash)},
	}
}

func verdicts() []option {
	return []option{
		{"as-is", same}, {"pass", verdict(v1alpha1.VerdictPass)}, {"fail", verdict(v1alpha1.VerdictFail)}, {"inconclusive", verdict(v1alpha1.VerdictInconclusive)},
		{"none", verdict("")}, {"blind", blind},
	}
}

// circumstances are what else may be going on.
func circumstances() []option {
	return []option{
		{"plain", same}, {"deleting", deleted(time.Second)}, {"deleting-late", deleted(time.Hour)},
		{"abort", action(v1alpha1.ActionAbort, "")}, {"retry", action(v1alpha1.ActionRetry, candidateRevision)},
		{"promote", action(v1alpha1.ActionPromote, candidateRevision)}, {"promote-anything", action(v1alpha1.ActionPromote, "")}, {"promoted", personPromoted},
		{"pause", action(v1alpha1.ActionPause, "")}, {"person-paused", personPaused}, {"pause-dropped", pauseRecorded}, {"paused-former", all(personPaused, formerRun)},
		{"resume", all(personPaused, action(v1alpha1.ActionResume, ""))}, {"resume-nothing", action(v1alpha1.ActionResume, "")}, {"promote-paused", all(personPaused, action(v1alpha1.ActionPromote, candidateRevision))},
		{"skip", stepAction(v1alpha1.ActionSkip, "1")}, {"skip-last", stepAction(v1alpha1.ActionSkip, "2")}, {"skip-paused", all(personPaused, stepAction(v1alpha1.ActionSkip, "1"))},
		{"skip-unapproved", all(approval(0), stepAction(v1alpha1.ActionSkip, "1"))}, {"skip-approved", all(approval(0), personApproved, stepAction(v1alpha1.ActionSkip, "1"))},
		{"approve", all(approval(0), approval(1), stepAction(v1alpha1.ActionApprove, "1"))}, {"approve-needless", stepAction(v1alpha1.ActionApprove, "2")},
		{"unapproved", all(approval(0), approval(1), awaitsApproval(recently))}, {"approved", all(approval(0), approval(1), personApproved)},
		{"promote-unapproved", all(approval(1), action(v1alpha1.ActionPromote, candidateRevision))},
		{"settle", settle(30 * time.Second)}, {"settling", all(settle(30*time.Second), pushed(newerRevision, 29*time.Second, 0))}, {"settled", all(settle(30*time.Second), pushed(newerRevision, 30*time.Second, 0))},
		{"pushes", all(settle(30*time.Second), pushed("dddddddddd", time.Second, 299*time.Second))}, {"declared", all(settle(30*time.Second), pushed(candidateRevision, time.Second, 0))},
		{"frozen", frozen}, {"freeze-unclear", freezeUnclear}, {"frozen-native", all(nativeMode, frozen)}, {"frozen-former", all(formerRun, frozen)}, {"frozen-rejected", all(rejected(newerRevision), frozen)},
		{"overridden", all(frozen, overridden)}, {"override", all(frozen, action(v1alpha1.ActionOverrideFreeze, candidateRevision))}, {"override-nothing", action(v1alpha1.ActionOverrideFreeze, candidateRevision)},
		{"promote-frozen", all(frozen, action(v1alpha1.ActionPromote, candidateRevision))}, {"skip-frozen", all(frozen, stepAction(v1alpha1.ActionSkip, "1"))}, {"deadline-frozen", all(frozen, rollBackAtDeadline)},
		{"unguarded", unproven}, {"blocked", blockedRun}, {"paused", specPaused}, {"observe", observedFails}, {"deadline", rollBackAtDeadline},
		{"no-run", noRun}, {"former", formerRun}, {"rejected", rejected(newerRevision)}, {"restart", restartOf(stableRevision)}, {"unattended", away(time.Hour)}, {"unattended-hold", all(away(time.Hour), holdsAfterwards)}, {"restart-of-rejected", all(restartOf("eeeeeeeeee"), rejected("eeeeeeeeee"))}, {"unfinalized", unfinalized}, {"locked", locked}, {"recreate", recreate},
		{"preflight", preflight("")}, {"native", nativeMode}, {"direct", func(in *plan.Input) { in.Spec.Traffic.DirectCallers = v1alpha1.DirectCallersStable }},
		{"unmarked", func(in *plan.Input) { in.Workload.Marks = plan.Marks{} }}, {"leftover", leftoverSet},
		{"no-drain", func(in *plan.Input) { in.Spec.Traffic.Drain.Duration = 0 }}, {"no-bake", func(in *plan.Input) { in.Spec.Promotion.Bake.Duration = 0 }},
	}
}

// violations decides on copies and compares: once for what Decide leaves of its
// input, twice for determinism.
func violations(in plan.Input) (d plan.Decision, out []string) {
	defer func() {
		if r := recover(); r != nil {
			out = append(out, fmt.Sprintf("panics: %v", r))
		}
	}()
	given := clone(in)
	d = plan.Decide(given)
	out = check(in, d)
	if !reflect.DeepEqual(given, in) {
		out = append(out, d.Rule+": changes its input")
	}
	if again := plan.Decide(given); !reflect.DeepEqual(again, d) {
		out = append(out, d.Rule+": decides differently the second time")
	}
	if in.Status.Phase == v1alpha1.PhaseRollingBack && in.Verdict.Outcome != v1alpha1.VerdictPass {
		given.Verdict = plan.Verdict{Outcome: v1alpha1.VerdictPass}
		if without := plan.Decide(given); without.Rule != d.Rule || without.Does() != d.Does() {
			out = append(out, d.Rule+": a rollback depends on the verdict")
		}
	}
	return d, out
}

// clone shares nothing with in that a decision could reach.
func clone(in plan.Input) plan.Input {
	in.Spec, in.Status = *in.Spec.DeepCopy(), *in.Status.DeepCopy()
	in.Workload.Declared = *in.Workload.Declared.DeepCopy()
	in.Workload.Active = slices.Clone(in.Workload.Active)
	in.Run.Rejected = slices.Clone(in.Run.Rejected)
	if in.Route.Split != nil {
		in.Route.Split = ptr(*in.Route.Split)
	}
	in.Route.Testers = in.Route.Testers.DeepCopy()
	return in
}
