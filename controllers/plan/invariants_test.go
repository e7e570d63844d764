package plan_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// checker holds one decision to what must always hold, from the words of the
// design, without the planner's own predicates.
type checker struct {
	in  plan.Input
	d   plan.Decision
	out []string

	stable, candidate, declared string
}

// check returns what is wrong with d as the decision on in, or nothing.
func check(in plan.Input, d plan.Decision) []string {
	c := &checker{in: in, d: d, declared: in.Workload.Declared.Revision}
	if in.Status.Stable != nil {
		c.stable = in.Status.Stable.Revision
	}
	if in.Status.Candidate != nil {
		c.candidate = in.Status.Candidate.Revision
	}
	c.shape()
	c.phases()
	c.starts()
	c.advances()
	c.promoted()
	c.fails()
	c.nobodyAnswers()
	c.deletion()
	c.rejections()
	c.history()
	c.changesSomething()
	c.effect()
	return c.out
}

func (c *checker) require(ok bool, format string, args ...any) {
	if !ok {
		c.out = append(c.out, c.d.Rule+": "+fmt.Sprintf(format, args...))
	}
}

// shape: a decision can be explained, fits the API's bounds, and wakes up again.
func (c *checker) shape() {
	s := c.d.Status
	c.require(slices.Contains(plan.Rules(), c.d.Rule), "is not a rule")
	c.require(c.d.Why != "" && s.Message != "", "does not say why")
	c.require(len(s.Message) <= 1024 && utf8.ValidString(s.Message), "message has %d bytes", len(s.Message))
	c.require(len(s.Serving) <= 256, "serving has %d bytes", len(s.Serving))
	c.require(len(s.Rejected) <= 20 && len(s.History) <= 20 && len(s.Previous) <= 10, "lists are too long")
	c.require(c.d.Progress != "" && c.d.Reason != "", "is shown by no condition")
	waitedBefore := c.d.Rule == "AwaitsApproval" && c.in.Status.Step.PassedAt != nil
	c.require(!c.d.Repeats || strings.HasSuffix(c.d.Rule, "RunMissing") || waitedBefore, "is recorded nowhere")
	c.require(c.d.Recheck >= 0 && c.d.Recheck <= c.in.Watchdog, "looks again after %s", c.d.Recheck)
	c.require(c.d.Progress != plan.Reconciling || c.d.Recheck > 0, "reconciles, but never looks again")
	c.require(!s.Phase.InRun() || c.d.Recheck > 0, "a run in progress never looks again")
	if to, ok := plan.EffectOf[plan.SetSplit](c.d); ok {
		c.require(to.Weight >= 0 && to.Weight <= 100, "weight %d", to.Weight)
		c.require(c.d.Weight != nil && c.d.Weight.To == to.Weight, "the shown weight is not the effect's")
	}
}

// phases: the API server would take the status.
func (c *checker) phases() {
	from, to := c.in.Status.Phase, c.d.Status.Phase
	// A phase of a newer version stays: the API server refuses any other.
	known := v1alpha1.PhaseStable.MayFollow(from) || len(from) == 0 || from.InRun() || c.in1(v1alpha1.PhaseGating)
	c.require(!known || to.MayFollow(from), "phase %q may not follow %q", to, from)
	c.require(c.d.Status.Epoch >= c.in.Status.Epoch, "the epoch fell")
	c.require(c.d.Status.Runs >= c.in.Status.Runs, "run numbers are used again")
	if from != to && (to == v1alpha1.PhaseRollingBack || !from.InRun() && to.InRun()) {
		c.require(c.d.Status.Epoch > c.in.Status.Epoch, "a run or rollback begins in the epoch of the last")
		c.require(to == v1alpha1.PhaseRollingBack || c.d.Status.Epoch > c.in.Route.Epoch, "a run begins in an epoch that a route has seen")
	}
	c.require(to != v1alpha1.PhaseRollingBack || c.d.Status.Rollback != nil || c.in.Status.Rollback == nil && from == to, "rolls back for no reason")
	c.require(to != v1alpha1.PhaseStable && to != v1alpha1.PhaseGating && to != v1alpha1.PhaseRolledBack || !from.InRun() || c.d.Status.Promotion == nil && c.d.Status.Rollback == nil, "leaves a run's progress behind")
}

func (c *checker) in1(phases ...v1alpha1.Phase) bool {
	return slices.Contains(phases, c.in.Status.Phase)
}

func (c *checker) trial() bool {
	return c.in1(v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking)
}

func (c *checker) mode() v1alpha1.TakeOver {
	if p := c.in.Status.Promotion; p != nil && p.Mode != "" {
		return p.Mode
	}
	return v1alpha1.TakeOverHandOver
}

// beforeOwner is the part of a handover in which weights are still the way back.
func (c *checker) beforeOwner() bool {
	return c.in1(v1alpha1.PhaseHandingOver) && c.mode() == v1alpha1.TakeOverHandOver && !c.in.Canary.Handed
}

func (c *checker) byItself() bool {
	return c.in1(v1alpha1.PhaseHandingOver) && c.mode() != v1alpha1.TakeOverHandOver
}

func (c *checker) observed() int32 {
	if c.in.Route.Split == nil {
		return 0
	}
	return *c.in.Route.Split
}

// byPods is whether the number of pods is the weight.
func (c *checker) byPods() bool { return c.in.Spec.Traffic == nil }

// ordered is whether the workload's pods are replaced in place.
func (c *checker) ordered() bool { return c.in.Spec.WorkloadRef.Kind == v1alpha1.KindStatefulSet }

// drain is how long connections get where Belay counts it.
func (c *checker) drain() time.Duration {
	if c.byPods() {
		return -time.Second
	}
	return c.in.Spec.Traffic.Drain.Duration
}

// has reports whether the routes give the canary exactly this weight, or it has the
// size for it.
func (c *checker) has(weight int32) bool {
	if c.byPods() {
		return c.in.Canary.Exists && c.in.Canary.Desired == c.need(weight)
	}
	return c.in.Route.Split != nil && *c.in.Route.Split == weight && !c.in.Route.Mixed
}

// need is the number of pods a weight asks for: ceil(weight × N), at least one.
func (c *checker) need(weight int32) int32 {
	if c.ordered() {
		pods := min(weight, 1, c.in.Workload.Replicas)
		for pods < c.in.Workload.Replicas-1 && 100*pods < weight*c.in.Workload.Replicas {
			pods++
		}
		return pods
	}
	if c.byPods() {
		pods := int32(0)
		for weight = min(weight, 50); 100*pods < weight*(c.in.Workload.Replicas+pods); pods++ {
		}
		return pods
	}
	n := weight * c.in.Workload.Replicas
	if n%100 != 0 {
		return n/100 + 1
	}
	return max(n/100, 1)
}

func (c *checker) stepWeight() int32 { return c.weightOf(c.in.Status.Step) }

func (c *checker) weightOf(s *v1alpha1.StepStatus) int32 {
	if s != nil && int(s.Index) < len(c.in.Spec.Steps) {
		return c.in.Spec.Steps[s.Index].Weight
	}
	return c.in.Spec.Steps[0].Weight
}

// stepNow is the step in progress.
func (c *checker) stepNow() v1alpha1.Step {
	index := 0
	if s := c.in.Status.Step; s != nil {
		index = int(s.Index)
	}
	return c.in.Spec.Steps[index]
}

func (c *checker) elapsed(from *metav1.Time, d time.Duration) bool {
	return from != nil && c.in.Now.Sub(from.Time) >= d
}

// othersReady counts ready pods that are not of the run's canary.
func (c *checker) othersReady() (n int32) {
	for _, s := range c.in.Workload.Active {
		if !c.in.Canary.Handed || s.Name != c.in.Canary.Name {
			n += s.Ready
		}
	}
	return n
}

// starts: a run starts guarded, unblocked, from one version that serves.
func (c *checker) starts() {
	from, to := c.in.Status.Phase, c.d.Status.Phase
	if from != v1alpha1.PhaseGating || to != v1alpha1.PhaseStepping && to != v1alpha1.PhasePromoting {
		if from == v1alpha1.PhaseGating && to == v1alpha1.PhaseHandingOver && c.in.Workload.Paused {
			c.require(c.in.Workload.Stable.Ready == 0 && c.in.Workload.Replicas > 0, "a push goes out unjudged while stable serves")
			c.require(c.d.Status.IsRejected(c.candidate) == nil, "a rejected version goes out")
		}
		return
	}
	asked := map[plan.GateName]plan.GateOutcome{}
	before := slices.ContainsFunc(c.in.Status.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == c.candidate })
	for _, g := range c.in.Gates {
		asked[g.Name] = g.Outcome
		ofRollout := slices.Contains([]plan.GateName{plan.GateGuard, plan.GateClaim, plan.GateGuardrails}, g.Name)
		lifted := g.Name == plan.GateFreeze && c.in.Status.FreezeOverride != nil && c.in.Status.FreezeOverride.Revision == c.candidate
		c.require(g.Outcome == plan.Open || lifted || !ofRollout && before && to == v1alpha1.PhasePromoting, "a run starts with gate %s %s", g.Name, g.Outcome)
	}
	c.require(asked[plan.GateGuard] == plan.Open, "an unguarded run starts")
	c.require(c.in.Route.Fault.Reason == "" && !c.paused(), "a blocked run starts")
	c.require(c.in.Workload.Paused && c.declared == c.candidate, "a run starts of what is not held")
	sets := c.in.Workload.Active
	c.require(c.in.Workload.Stable.Ready > 0 && len(sets) == 1 && sets[0].Revision == c.stable, "a run starts beside something else than stable")
	passed := c.in.Status.Preflight != nil && c.in.Status.Preflight.Outcome == v1alpha1.VerdictPass
	c.require(asked[plan.GatePreflight] == "" || passed || before && to == v1alpha1.PhasePromoting, "a run starts that the service cannot afford")
	c.require(to == v1alpha1.PhaseStepping || before || c.restart(), "a version skips its steps that was never stable and is no restart")
	c.require(to == v1alpha1.PhaseStepping || c.d.Status.Promotion.Fast == before && c.d.Status.Promotion.Restart == !before, "is wrong about why it skips its steps")
}

// restart: the declared template is stable's but for what the Rollout lists.
func (c *checker) restart() bool {
	w := c.in.Workload
	return w.Declared.BaseRevision != "" && w.Stable.BaseRevision == w.Declared.BaseRevision && c.in.Spec.Promotion.Mode != v1alpha1.PromotionNative
}

// advances: only a Pass, on an acknowledged weight that stood for the hold, with
// its pods ready, leads on.
func (c *checker) advances() {
	was, is := c.in.Status.Step, c.d.Status.Step
	from, to := c.in.Status.Phase, c.d.Status.Phase
	if p := c.d.Status.Promotion; c.ordered() && c.in.Canary.Handed && p != nil && p.Mode == v1alpha1.TakeOverUnserved {
		// Nothing leads back after a scale-up from 0.
		return
	}
	native := to == v1alpha1.PhaseHandingOver && c.d.Status.Promotion != nil && c.d.Status.Promotion.Mode == v1alpha1.TakeOverNative
	stepped := from == v1alpha1.PhaseStepping && to == from && was != nil && is != nil && is.Index != was.Index
	promoted := from == v1alpha1.PhaseStepping && (to == v1alpha1.PhasePromoting || native)
	switch {
	case stepped, promoted:
		c.require(was != nil, "leaves a step that was never entered")
		if was == nil {
			return
		}
		c.require(c.approved(was.Index), "leaves step %d without its approval", was.Index)
		switch {
		case c.in.Action != nil && c.in.Action.Action == v1alpha1.ActionPromote:
			c.endsSteps(native)
			return
		case c.in.Action != nil && c.in.Action.Action == v1alpha1.ActionSkip:
			c.endsStep(stepped, native)
			return
		}
		c.require(!stepped || is.Index == was.Index+1, "skips from step %d to %d", was.Index, is.Index)
		c.require(!promoted || int(was.Index) == len(c.in.Spec.Steps)-1, "promotes from step %d", was.Index)
		c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass, "advances on verdict %q", c.in.Verdict.Outcome)
		c.require(c.has(c.stepWeight()) && c.in.Route.Acknowledged, "advances from a weight that is not acknowledged")
		c.require(min(c.in.Canary.Ready, c.in.Canary.Available) >= c.need(c.stepWeight()), "advances without its canary pods")
		c.require(c.elapsed(was.AcknowledgedAt, c.in.Spec.Steps[was.Index].Hold.Duration+c.stood()), "advances before the hold is over")
		c.require(!c.paused() && !c.frozen() && c.in.Workload.Replicas > 0, "advances while paused or frozen, or of nothing")
	case from == v1alpha1.PhasePromoting && to == v1alpha1.PhaseBaking:
		c.require(c.has(100) && c.in.Route.Acknowledged, "bakes at a weight that is not acknowledged")
		c.require(c.in.Canary.Available >= c.need(100), "bakes with %d canary pods", c.in.Canary.Available)
	case from == v1alpha1.PhaseBaking && to == v1alpha1.PhaseHandingOver && c.in.Workload.Paused && (!c.in.Run.Former || c.in.Canary.Exists && !c.in.Canary.Former && !c.in.Status.Promotion.Fast):
		p := c.in.Status.Promotion
		c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass, "ends the bake on verdict %q", c.in.Verdict.Outcome)
		c.require(c.has(100) && c.in.Route.Acknowledged, "ends a bake that does not serve alone")
		c.require(p != nil && c.elapsed(p.FullAt, c.in.Spec.Promotion.Bake.Duration+c.stood()), "ends the bake before it is over")
		c.require(!c.paused() && !c.frozen(), "ends the bake while paused or frozen")
	}
}

// endsSteps: the command Promote takes a candidate to its promotion, or natively to its last
// step, and judges, scales and shares nothing itself.
func (c *checker) endsSteps(native bool) {
	c.endsByCommand(native)
	s := c.d.Status.Step
	for i := range c.in.Spec.Steps {
		c.require(int32(i) < c.in.Status.Step.Index || c.approved(int32(i)), "ends step %d without its approval", i)
	}
	c.require(s != nil && s.AcknowledgedAt == nil && int(s.Index) == len(c.in.Spec.Steps)-1 && len(c.d.Effects) == 0, "ends the steps somewhere else than before the last weight")
	byItself := c.in.Spec.Promotion.Mode == v1alpha1.PromotionNative
	c.require(byItself == (c.d.Status.Phase == v1alpha1.PhaseStepping), "ends the steps in phase %s", c.d.Status.Phase)
}

// endsStep: the command Skip takes a candidate one step on, or from the last to its promotion.
func (c *checker) endsStep(stepped, native bool) {
	c.endsByCommand(native)
	was, s := c.in.Status.Step.Index, c.d.Status.Step
	last := int(was) == len(c.in.Spec.Steps)-1
	c.require(c.in.Action.Step == fmt.Sprint(was+1), "ends step %d, asked was step %q", was, c.in.Action.Step)
	c.require(s != nil && s.AcknowledgedAt == nil && s.Approval == nil && len(c.d.Effects) == 0, "skips to what counts as judged or approved")
	c.require(stepped != last && (last || s.Index == was+1), "skips from step %d to %d", was, s.Index)
	c.require(!last || c.in.Spec.Promotion.Mode != v1alpha1.PromotionNative, "skips the last judgement of a native promotion")
}

// endsByCommand: what a person ends does not fail, is the version that they name, and goes on.
func (c *checker) endsByCommand(native bool) {
	c.require(!native && c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "ends the steps of what fails, or hands it over")
	c.require(c.in.Action.Revision == c.candidate && c.declared == c.candidate && !c.paused() && !c.in.Run.Former, "ends the steps of another version than was asked for, or of a paused one")
}

// approved is whether a step needs no approval, or has it.
func (c *checker) approved(index int32) bool {
	s := c.in.Status.Step
	return int(index) >= len(c.in.Spec.Steps) || c.in.Spec.Steps[index].Approval != v1alpha1.ApprovalRequired || s != nil && s.Index == index && s.Approval != nil
}

// paused: by the spec, or by a person for this candidate.
func (c *checker) paused() bool {
	p := c.in.Status.Pause
	return c.in.Spec.Paused || p != nil && c.candidate == p.Revision
}

// stood is how long the present hold or bake could not go on.
func (c *checker) stood() (stood time.Duration) {
	if s := c.in.Status.Step; s != nil {
		if stood = time.Duration(s.WaitedSeconds-s.WaitedBefore) * time.Second; s.WaitsSince != nil {
			stood += c.in.Now.Sub(s.WaitsSince.Time)
		}
	}
	return stood
}

// promoted: what is called stable runs alone, and only the run's own version is
// called promoted.
func (c *checker) promoted() {
	was, is := c.in.Status.Stable, c.d.Status.Stable
	if was == nil || c.d.Status.Phase == c.in.Status.Phase {
		c.require(was == nil || is != nil, "forgets the stable version")
		return
	}
	sets := c.in.Workload.Active
	if was.Revision != is.Revision {
		c.require(c.in1(v1alpha1.PhaseHandingOver) && c.d.Status.Phase == v1alpha1.PhaseStable, "another version is stable in phase %s", c.in.Status.Phase)
		alone := len(sets) == 1 && sets[0].Revision == is.Revision
		none := c.in.Workload.Replicas == 0 && len(sets) == 0 && is.Revision == c.candidate && (c.declared == c.candidate || c.in.Canary.Handed)
		c.require(alone || none, "calls revision %s stable, which does not run alone", is.Revision)
		remembered := len(c.d.Status.Previous) > 0 && c.d.Status.Previous[0].Revision == was.Revision
		restarted := is.Revision == c.candidate && (c.in.Status.Promotion != nil && c.in.Status.Promotion.Restart || c.sameVersion())
		c.require(remembered != restarted, "remembers what was stable before: %t, it was the same version: %t", remembered, restarted)
	}
	if f := c.d.Finished; f != nil && f.Outcome == v1alpha1.OutcomePromoted {
		c.require(is.Revision == c.candidate, "calls %s promoted, but %s is stable", c.candidate, is.Revision)
		c.require(c.in.Route.Split == nil && c.in.Route.Narrowed == "", "ends with the routes shared or the Service narrowed")
		c.require(!c.in.Canary.Exists || c.in.Canary.Handed, "promoted with a canary left behind")
	}
}

// sameVersion: the candidate was judged, and is stable's version but for what the Rollout lists.
func (c *checker) sameVersion() bool {
	base := c.in.Status.Candidate.BaseRevision
	if c.declared == c.candidate {
		base = c.in.Workload.Declared.BaseRevision
	}
	p := c.in.Status.Promotion
	judged := p == nil || p.Mode != v1alpha1.TakeOverBypass && p.Mode != v1alpha1.TakeOverUnserved
	return judged && base != "" && base == c.in.Workload.Stable.BaseRevision
}

// fails: a failing trigger leads to a rollback while weights are the way back,
// unless deletion, an abort or a bypass came first.
func (c *checker) fails() {
	failed := c.in.Verdict.Outcome == v1alpha1.VerdictFail || c.in.Verdict.BlindRollback
	preceded := c.in.Deleting != nil || !c.in.Workload.Found || c.in.FinalizerMissing || c.in.Status.Stable == nil || c.in.Run.Former ||
		c.in.Action != nil && c.in.Action.Action == v1alpha1.ActionAbort
	bypassed := !c.in.Workload.Paused && c.declared != c.stable
	if failed && (c.trial() || c.beforeOwner()) && !preceded && !bypassed {
		c.require(c.d.Status.Phase == v1alpha1.PhaseRollingBack, "a failing trigger does not roll back")
	}
}

// nobodyAnswers: a weight that reaches nobody, or that no step allows, is never
// only waited upon while somebody else could answer.
func (c *checker) nobodyAnswers() {
	r := c.in.Route
	preceded := !c.in.Workload.Found || c.in.FinalizerMissing || c.in.Status.Stable == nil || !reflect.DeepEqual(c.in.Status.LastHandledAction, c.d.Status.LastHandledAction)
	if c.byPods() && len(c.d.Effects) == 0 && c.d.Progress == plan.Reconciling && c.d.Status.Phase == c.in.Status.Phase && c.in1(v1alpha1.PhaseStepping) && r.StableEndpoints > 0 && c.in.Workload.Replicas > 0 && c.in.Deleting == nil && !preceded && c.in.Canary.Exists {
		c.require(c.in.Canary.Desired <= c.need(c.stepWeight()), "leaves the canary %d pods", c.in.Canary.Desired)
	}
	waits := len(c.d.Effects) == 0 && c.d.Status.Phase == c.in.Status.Phase && c.d.Status.Epoch == c.in.Status.Epoch && !c.in.Run.Former
	if preceded || !waits || r.Split == nil || c.in.Deleting != nil {
		return
	}
	if c.trial() || c.beforeOwner() {
		lost := (c.observed() > 0 || r.Testers != nil || r.Mirror > 0) && r.CanaryEndpoints == 0 && r.StableEndpoints > 0
		c.require(!lost, "leaves %d %% of the requests without an answer", c.observed())
	}
	if c.trial() && !r.Mixed && r.PairCurrent && r.Acknowledged {
		lost := c.observed() < 100 && r.StableEndpoints == 0 && r.ServiceEndpoints > 0 && c.in.Workload.Replicas > 0
		c.require(!lost, "leaves stable's %d %% of the requests without an answer", 100-c.observed())
	}
	if c.in1(v1alpha1.PhaseStepping) && r.StableEndpoints > 0 {
		c.require(c.observed() <= c.stepWeight(), "leaves the canary %d %%", c.observed())
	}
}

// deletion ends, and gives nobody anything new.
func (c *checker) deletion() {
	if c.in.Deleting == nil {
		return
	}
	overdue := c.in.Now.Sub(*c.in.Deleting) > c.in.ReleaseTimeout
	c.require(len(c.d.Effects) > 0 || !overdue, "still waits after the release timeout")
	for _, effect := range c.d.Effects {
		switch e := effect.(type) {
		case plan.ReleaseRoute, plan.Leave, plan.RemoveCanary, plan.FenceCanary, plan.Unlock:
		case plan.SetSplit:
			c.require(e.Weight == 0 && e.Testers == nil && e.Mirror == 0, "gives the canary %d %%, testers or copies, while being deleted", e.Weight)
		case plan.NarrowService:
			c.require(e.Hash == "", "narrows the Service while being deleted")
		case plan.Unpause:
			c.require(c.in.Canary.Handed || e.Revision == c.stable, "lets a Deployment roll while being deleted")
		case plan.ScaleCanary:
			c.require(c.ordered() && e.Replicas == 0, "scales the canary to %d while being deleted", e.Replicas)
		case plan.ReplacePods:
		default:
			c.require(false, "starts something while being deleted: %s", e)
		}
	}
	if _, leaves := plan.EffectOf[plan.Leave](c.d); leaves {
		c.require(c.in.Route.Split == nil, "lets go of routes that still name Belay's Services")
		c.require(!c.in.Canary.Exists || c.in.Canary.Handed || overdue, "lets go of a canary")
		c.require(c.in.Route.Narrowed == "" || overdue, "lets go of a narrowed Service")
	}
}

// rejections: a rejected revision does not run again by itself.
func (c *checker) rejections() {
	to := c.d.Status.Phase
	if to != v1alpha1.PhaseGating && to != v1alpha1.PhaseStepping && to != v1alpha1.PhasePromoting || c.d.Status.Candidate == nil {
		return
	}
	candidate := c.d.Status.Candidate.Revision
	if c.in.Status.Phase != to || c.candidate != candidate {
		c.require(c.d.Status.IsRejected(candidate) == nil, "rejected revision %s is on its way again", candidate)
		before := slices.ContainsFunc(c.in.Status.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == candidate })
		for _, r := range c.d.Status.Rejected {
			base := c.d.Status.Candidate.BaseRevision
			steps := base == c.in.Workload.Stable.BaseRevision && to != v1alpha1.PhasePromoting
			stepped := c.in.Status.Phase == v1alpha1.PhaseStepping && c.candidate == candidate
			c.require(base == "" || before || steps || stepped || r.BaseRevision != base && r.Revision != base, "%s is on its way, a restart of rejected revision %s", candidate, r.Revision)
		}
	}
	if c.in.Status.IsRejected(candidate) != nil && c.d.Status.IsRejected(candidate) == nil {
		c.require(c.in.Action != nil && c.in.Action.Action == v1alpha1.ActionRetry, "forgets a rejection unasked")
	}
}

// history: the API server refuses a status that takes the newest entry away, or
// changes one; and a run that ends is in it once.
func (c *checker) history() {
	for i, was := range c.in.Status.History {
		at := slices.IndexFunc(c.d.Status.History, func(is v1alpha1.HistoryEntry) bool { return is.Run == was.Run })
		c.require(at >= 0 || i > 0, "forgets the newest run")
		c.require(at < 0 || c.d.Status.History[at] == was, "changes a finished run")
	}
	if f := c.d.Finished; f != nil {
		c.require(c.d.Status.History[0] == *f && f.Run == c.in.Status.Run && f.Message != "", "the finished run is not the newest in the history")
	}
	ended := c.in.Status.Phase.InRun() && !c.d.Status.Phase.InRun() && c.in.Status.Run != "" && c.candidate != ""
	replaced := c.in.Status.Phase.InRun() && c.d.Status.Run != c.in.Status.Run
	c.require(!ended && !replaced || c.d.Finished != nil || len(c.in.Status.History) > 0 && c.in.Status.History[0].Run == c.in.Status.Run, "a run ends without an outcome")
}

// changesSomething: a decision that looks again at once has noted something, so
// that the next one differs.
func (c *checker) changesSomething() {
	if len(c.d.Effects) > 0 || c.d.Recheck == 0 || c.d.Recheck > time.Millisecond {
		return
	}
	was, is := c.in.Status, c.d.Status
	same := was.Phase == is.Phase && was.Run == is.Run && reflect.DeepEqual(was.Candidate, is.Candidate) &&
		reflect.DeepEqual(was.Promotion, is.Promotion) && reflect.DeepEqual(was.Rollback, is.Rollback) && reflect.DeepEqual(was.Rejected, is.Rejected) &&
		stepPart(was.Step) == stepPart(is.Step) && putBack(was.DirectCallers) == putBack(is.DirectCallers) && reflect.DeepEqual(was.LastHandledAction, is.LastHandledAction) &&
		len(was.WouldRollBack) == len(is.WouldRollBack)
	c.require(!same, "looks again at once, and nothing has changed")
}

func stepPart(s *v1alpha1.StepStatus) string {
	if s == nil {
		return ""
	}
	return fmt.Sprint(s.Index, s.AcknowledgedAt)
}

func putBack(d *v1alpha1.DirectCallersStatus) int32 {
	if d == nil {
		return 0
	}
	return d.PutBack
}

// frozen: by a freeze, but not where a person lets this candidate go on, nor one that returns.
func (c *checker) frozen() bool {
	o, p := c.in.Status.FreezeOverride, c.in.Status.Promotion
	closed := slices.ContainsFunc(c.in.Gates, func(g plan.Gate) bool { return g.Name == plan.GateFreeze && g.Outcome != plan.Open })
	return closed && c.in.Status.Phase.Armed() && (p == nil || !p.Fast) && (o == nil || o.Revision != c.candidate)
}
