// Package invariants says what must hold whatever was observed: of the state that
// Belay keeps, and of every decision. It judges in its own words and without the
// planner's predicates, so that the simulated world and the controller itself hold
// the planner to the same promises. In production a violation freezes what would
// give a candidate more, and never a rollback.
package invariants

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Violation is an invariant that does not hold.
type Violation struct {
	// Name of the invariant, of those that Names lists.
	Name string
	// Message says what is wrong, with its numbers; for a decision it begins with the
	// rule.
	Message string
}

type check struct {
	in   plan.Input
	d    plan.Decision
	name string
	out  []Violation
}

// decisions are the invariants of a decision. The exceptions that each allows stand
// beside it.
var decisions = []struct {
	name  string
	holds func(*check)
}{
	{"DecisionIsExplained", (*check).shape},
	{"LooksAgain", (*check).wakeUp},
	{"PhaseMayFollow", (*check).phases},
	{"WeightWithinStep", (*check).weights},
	{"WeightWithinStep", (*check).size},
	{"RoutesLeadToPods", each((*check).releases)},
	{"CanaryGoesLast", each((*check).canary)},
	{"DeploymentIsHeld", each((*check).deployment)},
	{"HandoverIsExact", (*check).handover},
	{"OnlyWrongVersionsGo", each((*check).emergencies)},
	{"NothingAdvancesUnjudged", (*check).advance},
	{"PauseHolds", (*check).pause},
	{"AbsenceIsAnswered", (*check).absence},
	{"FreezeOverrideByCommand", (*check).freezeOverride},
	{"ObsoleteGoesNoFurther", (*check).obsolete},
	{"ObsoleteGoesNoFurther", (*check).declaration},
	{"ApprovalIsGiven", (*check).approval},
	{"FailRollsBack", (*check).failure},
	{"ObserveDecidesNothing", (*check).observation},
	{"DeletionOnlyReleases", (*check).deletion},
	{"NothingIsLeftOfARun", (*check).rest},
	{"RejectedStaysRejected", (*check).rejected},
	{"StableIsWhatRuns", (*check).stableVersion},
	{"HistoryDoesNotChange", (*check).history},
}

// rules are asked for once: every decision is checked.
var rules = plan.Rules()

// Names lists all invariants: the label of their metric.
func Names() []string {
	var names []string
	for _, i := range states {
		names = append(names, i.name)
	}
	for _, i := range decisions {
		names = append(names, i.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Of returns what is wrong with d as the decision on in, or nothing.
func Of(in plan.Input, d plan.Decision) []Violation {
	c := &check{in: in, d: d}
	for _, i := range decisions {
		c.name = i.name
		i.holds(c)
	}
	return c.out
}

// each asks for a decision's effects one by one.
func each(holds func(*check, plan.Effect)) func(*check) {
	return func(c *check) {
		for _, e := range c.d.Effects {
			holds(c, e)
		}
	}
}

func (c *check) require(ok bool, format string, args ...any) {
	if !ok {
		c.out = append(c.out, Violation{c.name, c.d.Rule + ": " + fmt.Sprintf(format, args...)})
	}
}

// shape: a decision can be explained and fits the API's bounds.
func (c *check) shape() {
	c.require(slices.Contains(rules, c.d.Rule), "is not a rule")
	c.require(c.d.Why != "", "does not say why")
	c.require(len(c.d.Status.Message) <= 1024, "message has %d bytes", len(c.d.Status.Message))
	c.require(len(c.d.Key) <= 128, "key has %d bytes", len(c.d.Key))
	c.require(len(c.d.Status.Rejected) <= 20, "%d rejected revisions", len(c.d.Status.Rejected))
	c.require(len(c.d.Status.Previous) <= 10, "%d previous revisions", len(c.d.Status.Previous))
	c.require(c.d.Progress != "" && c.d.Reason != "", "is shown by no condition")
	if p := c.d.Status.Promotion; p != nil {
		c.require(len(p.Message) <= 1024 && len(p.Actor) <= 256, "promotion message of %d bytes, actor of %d", len(p.Message), len(p.Actor))
	}
	if to, ok := plan.EffectOf[plan.SetSplit](c.d); ok {
		c.require(to.Weight >= 0 && to.Weight <= 100, "weight %d", to.Weight)
		c.require(c.d.Weight != nil && c.d.Weight.To == to.Weight, "the shown weight is not the effect's")
	}
}

// wakeUp: nothing in progress depends on a watch event arriving.
func (c *check) wakeUp() {
	c.require(c.d.Recheck >= 0, "looks again after %s", c.d.Recheck)
	c.require(c.d.Progress != plan.Reconciling || c.d.Recheck > 0 && c.d.Recheck <= c.in.Watchdog, "reconciles, and looks again after %s", c.d.Recheck)
	c.require(!c.in.Status.Phase.InRun() || c.d.Recheck > 0, "a run in progress never looks again")
}

// phases: the API server would take the status, and a run starts only guarded,
// with something to go back to.
func (c *check) phases() {
	from, to := c.in.Status.Phase, c.d.Status.Phase
	c.require(to.MayFollow(from), "phase %q may not follow %q", to, from)
	c.require(c.d.Status.Epoch >= c.in.Status.Epoch, "the epoch decreased")
	if from == to {
		return
	}
	if to == v1alpha1.PhaseRollingBack || to == v1alpha1.PhaseStepping || from == v1alpha1.PhaseGating && to == v1alpha1.PhasePromoting {
		c.require(c.d.Status.Epoch > c.in.Status.Epoch, "a run or rollback begins in the epoch of the last")
	}
	if from == v1alpha1.PhaseGating && (to == v1alpha1.PhaseStepping || to == v1alpha1.PhasePromoting) {
		c.gates(to)
		c.require(c.in.Route.Fault.Reason == "" && !c.paused(), "a run starts while a gate is closed")
		c.require(c.in.Workload.Stable.Ready > 0, "a run starts with nothing to go back to")
		c.require(len(c.in.Workload.Active) == 1 && c.in.Workload.Active[0].Revision == c.stable(), "a run starts while another ReplicaSet than stable's has pods")
		c.require(c.in.Workload.Paused, "a run starts for a Deployment that is not paused")
		c.require(!c.ordered() || c.in.Workload.Replicas > 1 && c.in.Workload.Fault.Reason == "", "a run starts for a StatefulSet of %d replicas (%s)", c.in.Workload.Replicas, c.in.Workload.Fault.Reason)
	}
	if from == v1alpha1.PhaseGating && to == v1alpha1.PhasePromoting {
		c.require(c.returns() || c.restarts(), "skips the steps of a version that neither was stable nor is a restart of the stable one")
	}
}

// gates: a run starts with every gate open. A version that was stable before returns
// although a gate of the candidate, such as the pre-flight, is not.
func (c *check) gates(to v1alpha1.Phase) {
	guarded, revert := false, to == v1alpha1.PhasePromoting && c.returns()
	for _, g := range c.in.Gates {
		open := g.Outcome == plan.Open
		switch g.Name {
		case plan.GateGuard:
			guarded = open
		case plan.GateClaim, plan.GateGuardrails:
			c.require(open, "a run starts while gate %q is %s", g.Name, g.Outcome)
		case plan.GatePreflight:
			passed := c.in.Status.Preflight != nil && c.in.Status.Preflight.Outcome == v1alpha1.VerdictPass
			c.require(open && passed || revert, "a run starts although the pre-flight check does not pass")
		case plan.GateFreeze:
			c.require(open || revert || c.overridden(), "a run starts while a freeze holds it")
		default:
			c.require(open || revert, "a run starts while gate %q is %s", g.Name, g.Outcome)
		}
	}
	c.require(guarded, "a run starts while the guard is not proven")
}

// returns is whether the candidate was stable before.
func (c *check) returns() bool {
	return slices.ContainsFunc(c.in.Status.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == c.tried() })
}

// restarts is whether the candidate, which is declared, is stable but for annotations that
// the Rollout lists.
func (c *check) restarts() bool {
	w := c.in.Workload
	return w.Declared.Revision == c.tried() && w.Declared.BaseRevision != "" && w.Declared.BaseRevision == w.Stable.BaseRevision
}

func (c *check) stable() string {
	if c.in.Status.Stable == nil {
		return ""
	}
	return c.in.Status.Stable.Revision
}

func (c *check) tried() string {
	if c.in.Status.Candidate == nil {
		return ""
	}
	return c.in.Status.Candidate.Revision
}

func (c *check) declared() string { return c.in.Workload.Declared.Revision }

// before is the promotion as it was recorded; the zero one without any.
func (c *check) before() v1alpha1.PromotionStatus {
	if c.in.Status.Promotion == nil {
		return v1alpha1.PromotionStatus{}
	}
	return *c.in.Status.Promotion
}

// byHandOver is whether the Deployment takes the candidate over as it serves.
func byHandOver(p *v1alpha1.PromotionStatus) bool {
	return p == nil || p.Mode == "" || p.Mode == v1alpha1.TakeOverHandOver
}

// byPods is whether requests are shared by the number of pods.
func (c *check) byPods() bool { return c.in.Spec.Traffic == nil }

// service is the user's; empty where none is named.
func (c *check) service() string {
	if c.byPods() {
		return ""
	}
	return c.in.Spec.Traffic.Service
}

// drain is how long connections get; pods that are the weight have their own grace
// period.
func (c *check) drain() time.Duration {
	if c.byPods() {
		return 0
	}
	return c.in.Spec.Traffic.Drain.Duration
}

func (c *check) observed() int32 {
	if c.in.Route.Split == nil {
		return 0
	}
	return *c.in.Route.Split
}

// need is the number of pods a weight asks for: ceil(weight × N), at least one. Where
// pods are the weight it is the smallest number with that share beside N pods, and of a
// StatefulSet among its N pods, of which one stays.
func (c *check) need(weight int32) int32 {
	if n := c.in.Workload.Replicas; c.ordered() {
		pods := min(weight, 1, n)
		for pods < n-1 && pods*100 < weight*n {
			pods++
		}
		return pods
	}
	if c.byPods() {
		pods := min(weight, 1, c.in.Workload.Replicas)
		for weight = min(weight, 50); pods*(100-weight) < weight*c.in.Workload.Replicas; pods++ {
		}
		return pods
	}
	n := int64(weight) * int64(c.in.Workload.Replicas)
	if n%100 != 0 {
		return int32(n/100) + 1
	}
	return max(int32(n/100), min(1, c.in.Workload.Replicas))
}

func (c *check) stepWeight() int32 { return c.weightOf(c.in.Status.Step) }

func (c *check) weightOf(s *v1alpha1.StepStatus) int32 {
	if s != nil && int(s.Index) < len(c.in.Spec.Steps) {
		return c.in.Spec.Steps[s.Index].Weight
	}
	return c.in.Spec.Steps[0].Weight
}

func (c *check) elapsed(from *metav1.Time, d time.Duration) bool {
	return from != nil && c.in.Now.Sub(from.Time) >= d
}
