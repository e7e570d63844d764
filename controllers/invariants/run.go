package invariants

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// advance: only a Pass, on an acknowledged weight that stood for the hold, with
// its pods ready, leads on.
func (c *check) advance() {
	was, is := c.in.Status.Step, c.d.Status.Step
	from, to := c.in.Status.Phase, c.d.Status.Phase
	bypassed := c.d.Status.Promotion != nil && c.d.Status.Promotion.Mode == v1alpha1.TakeOverBypass
	bypassed = bypassed || unjudged(c.d.Status.Promotion) && c.forgotten()
	stepped := from == v1alpha1.PhaseStepping && to == from && was != nil && is != nil && is.Index != was.Index
	promoted := from == v1alpha1.PhaseStepping && (to == v1alpha1.PhasePromoting || to == v1alpha1.PhaseBaking || to == v1alpha1.PhaseHandingOver && !bypassed)
	if stepped || promoted {
		c.passesStep(stepped)
	}
	switch {
	case from != to && to == v1alpha1.PhaseBaking:
		c.require((c.observed() == 100 || c.byPods()) && c.in.Route.Acknowledged && c.in.Route.CanaryEndpoints >= c.need(100), "bakes before the candidate has weight 100 %%")
	case from == v1alpha1.PhaseBaking && to == v1alpha1.PhaseHandingOver && !bypassed && !c.leftBehind():
		c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass && c.enforced(v1alpha1.VerdictPass), "ends the bake on verdict %q", c.in.Verdict.Outcome)
		c.require(c.elapsed(c.before().FullAt, c.in.Spec.Promotion.Bake.Duration+c.stood()), "ends the bake before it is over")
		c.require(!c.paused(), "ends the bake while paused")
		c.require(!c.frozen(), "ends the bake while frozen")
	}
	c.takesOver(from, to)
	if f := c.d.Finished; f != nil {
		may := plan.Outcomes(v1alpha1.DecisionRecord{Rule: c.d.Rule, Phase: to, Why: c.d.Why})
		c.require(may == nil || slices.Contains(may, f.Outcome), "ends with outcome %s, and its record says %s", f.Outcome, may)
		if f.Outcome == v1alpha1.OutcomePromoted {
			c.finishesPromotion()
		}
	}
}

func (c *check) passesStep(stepped bool) {
	was, is := c.in.Status.Step, c.d.Status.Step
	c.require(was != nil, "leaves a step that was never entered")
	if was == nil || c.in.Run.Former {
		return
	}
	c.require(!c.paused(), "leaves a step while paused")
	c.require(!c.frozen(), "leaves a step while frozen")
	c.require(c.approved(was.Index), "leaves step %d, which needs an approval, without one", was.Index)
	switch {
	case c.asked(v1alpha1.ActionPromote):
		c.promotes(stepped)
		return
	case c.asked(v1alpha1.ActionSkip):
		c.skips(stepped)
		return
	}
	c.require(!stepped || is.Index == was.Index+1, "skips from step %d to %d", was.Index, is.Index)
	c.require(stepped || int(was.Index) == len(c.in.Spec.Steps)-1, "promotes from step %d", was.Index)
	c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass && c.enforced(v1alpha1.VerdictPass), "advances on verdict %q", c.in.Verdict.Outcome)
	stands := c.observed() == c.stepWeight() && c.in.Route.Split != nil || c.byPods() && c.in.Canary.Desired == c.need(c.stepWeight())
	c.require(stands && c.in.Route.Acknowledged, "advances from a weight that is not acknowledged")
	c.require(c.byPods() || c.named(c.in.Route.Testers, c.in.Route.Mirror, 0), "advances from a step whose testers or copies did not reach the candidate")
	c.require(c.in.Canary.Ready >= c.need(c.stepWeight()), "advances without its canary pods")
	c.require(len(c.in.Canary.Misplaced) == 0, "advances while pods run the wrong version: %v", c.in.Canary.Misplaced)
	c.require(int(was.Index) < len(c.in.Spec.Steps) && c.elapsed(was.AcknowledgedAt, c.in.Spec.Steps[was.Index].Hold.Duration+c.stood()), "advances before the hold is over")
}

// promotes: a person may end the steps of the candidate that they name. The bake that
// follows, or in a native promotion the last step, is judged as ever.
func (c *check) promotes(stepped bool) {
	native := c.in.Spec.Promotion.Mode == v1alpha1.PromotionNative
	c.leavesByCommand()
	for i := range c.in.Spec.Steps {
		c.require(int32(i) < c.in.Status.Step.Index || c.approved(int32(i)), "promotes by command past step %d, which needs an approval", i)
	}
	c.require(stepped == native && (native || c.d.Status.Phase == v1alpha1.PhasePromoting), "promotes by command to phase %s", c.d.Status.Phase)
	c.require(!stepped || int(c.d.Status.Step.Index) == len(c.in.Spec.Steps)-1 && c.d.Status.Step.AcknowledgedAt == nil, "promotes by command to a step that counts as judged")
}

// leftBehind is a run of another version of Belay that cannot be taken back by weights
// alone, or whose candidate was stable before.
func (c *check) leftBehind() bool {
	p := c.in.Status.Promotion
	// Neither a restart nor what a person promoted before its first pods has a canary at once.
	begins := p != nil && (p.Restart || p.Actor != "")
	none := !c.in.Canary.Exists && !begins
	return c.in.Run.Former && (!c.in.Workload.Paused || none || c.in.Canary.Former || c.in.Canary.Handed || p != nil && p.Fast)
}

// takesOver: what the Deployment takes over unjudged, nobody was to judge.
func (c *check) takesOver(from, to v1alpha1.Phase) {
	p := c.d.Status.Promotion
	if to != v1alpha1.PhaseHandingOver || from == to || p == nil {
		return
	}
	switch p.Mode {
	case v1alpha1.TakeOverBypass:
		c.require(!c.in.Workload.Paused && c.declared() != c.stable(), "records a bypass of a Deployment that is paused")
	case v1alpha1.TakeOverUnserved:
		down := c.in.Workload.Replicas > 0 && c.in.Workload.Stable.Ready == 0 && c.in.Workload.UnavailableSince != nil
		c.require(c.leftBehind() || down || c.forgotten(), "lets a version roll out without being judged although stable serves")
		c.require(c.in.Status.IsRejected(c.tried()) == nil, "lets a rejected version roll out without being judged")
	case v1alpha1.TakeOverNative:
		c.require(from == v1alpha1.PhaseStepping || from == v1alpha1.PhaseHandingOver, "promotes natively from phase %s", from)
	default:
		c.require(from == v1alpha1.PhaseBaking || from == v1alpha1.PhaseRollingBack && c.in.Canary.Handed, "hands over from phase %s", from)
	}
}

// finishesPromotion: one set is left, and nothing of the run.
func (c *check) finishesPromotion() {
	w := c.in.Workload
	c.require(c.in.Route.Split == nil && c.in.Route.Acknowledged, "promoted before the routes are back")
	c.require(c.in.Route.Narrowed == "", "promoted while the Service is narrowed")
	c.require(!c.in.Canary.Exists || c.in.Canary.Handed, "promoted with a canary left behind")
	c.require(!c.ordered() || c.in.Canary.Handed || w.Replicas == 0, "promoted before the StatefulSet controller makes lost pods again in the candidate's version")
	c.require(w.Lock == "", "promoted with the Deployment locked")
	alone := len(w.Active) == 1 && w.Active[0].Revision == c.tried() && w.Active[0].Available >= w.Replicas
	c.require(alone || w.Replicas == 0, "promoted before the Deployment runs the candidate alone")
}

// failure: a failing trigger leads to a rollback from wherever it can be a change
// of weights, unless deletion or an abort came first.
func (c *check) failure() {
	failed := c.in.Verdict.Outcome == v1alpha1.VerdictFail || c.in.Verdict.BlindRollback || slices.ContainsFunc(c.in.Verdict.References, func(r v1alpha1.VerdictReference) bool {
		return r.Mode != v1alpha1.ModeObserve && r.Outcome == v1alpha1.VerdictFail
	})
	beforeOwner := c.in.Status.Phase == v1alpha1.PhaseHandingOver && byHandOver(c.in.Status.Promotion) && !c.in.Canary.Handed
	preceded := c.in.Deleting != nil || !c.in.Workload.Found || c.in.FinalizerMissing || c.in.Status.Stable == nil ||
		c.in.Action != nil && c.in.Action.Action == v1alpha1.ActionAbort || c.in.Run.Former || !c.in.Workload.Paused && c.declared() != c.stable()
	if failed && (c.in.Status.Phase.Armed() || beforeOwner) && !preceded {
		c.require(c.d.Status.Phase == v1alpha1.PhaseRollingBack, "a failing trigger does not roll back")
	}
	if c.in.Status.Phase != v1alpha1.PhaseRollingBack || c.d.Status.Phase != v1alpha1.PhaseRollingBack {
		return
	}
	for _, e := range c.d.Effects {
		switch e := e.(type) {
		case plan.ScaleCanary:
			c.require(c.byPods() && e.Replicas == 0, "gives more to a candidate that is being rolled back")
		case plan.HandOver:
			c.require(false, "gives more to a candidate that is being rolled back")
		case plan.CreateRun:
			// A set that the Deployment has adopted needs a run to go back to.
			c.require(c.in.Canary.Adopted != "", "gives more to a candidate that is being rolled back")
		}
	}
}

// enforced reports whether every trigger that enforces has this outcome.
func (c *check) enforced(outcome v1alpha1.VerdictOutcome) bool {
	return !slices.ContainsFunc(c.in.Verdict.References, func(r v1alpha1.VerdictReference) bool {
		return r.Mode != v1alpha1.ModeObserve && r.Outcome != outcome && !c.excused(r)
	})
}

// excused holds for a trigger that lacks requests in a step in which no user reaches the
// candidate, unless the Deployment's own strategy comes next, which weights do not take back; or
// while nothing is copied to the comparer.
func (c *check) excused(r v1alpha1.VerdictReference) bool {
	step := c.in.Status.StepIndex()
	lacks := r.Outcome == v1alpha1.VerdictInconclusive && slices.Contains(v1alpha1.ReasonsWithoutRequests(), r.Reason)
	weights := c.in.Spec.Promotion.Mode != v1alpha1.PromotionNative && c.in.Canary.Changed == ""
	unseen := c.in.Spec.PreviewsCandidate(step) && (weights || step < len(c.in.Spec.Steps)-1)
	return (unseen || c.in.Spec.ComparesNothing(step)) && lacks && slices.Contains(c.in.Verdict.Excused, r.Trigger)
}

// observation: what a trigger in mode Observe says rolls nothing back, and noting it does
// nothing.
func (c *check) observation() {
	if r := c.d.Status.Rollback; r != nil && c.in.Status.Rollback == nil {
		c.require(!slices.ContainsFunc(c.in.Verdict.References, func(v v1alpha1.VerdictReference) bool {
			return v.Mode == v1alpha1.ModeObserve && v.Trigger == r.Trigger
		}), "rolls back for trigger %s, whose mode is Observe", r.Trigger)
	}
	if n := c.d.WouldRollBack; n != nil {
		c.require(len(c.d.Effects) == 0 && c.d.Status.Phase == c.in.Status.Phase, "does something for trigger %s, whose mode is Observe", n.Trigger)
		c.require(len(c.d.Status.WouldRollBack) == len(c.in.Status.WouldRollBack)+1, "notes %d triggers in mode Observe at once", len(c.d.Status.WouldRollBack)-len(c.in.Status.WouldRollBack))
	}
	if n := len(c.d.Status.WouldHold); n > len(c.in.Status.WouldHold) {
		was, is := c.in.Status.Step, c.d.Status.Step
		ends := c.d.Status.Phase != c.in.Status.Phase || was != nil && is != nil && was.Index != is.Index
		c.require(ends, "notes that trigger %s would have held a stage that goes on", c.d.Status.WouldHold[n-1].Trigger)
	}
}

// deletion ends, and gives nobody anything new.
func (c *check) deletion() {
	if c.in.Deleting == nil {
		return
	}
	overdue := c.in.Now.Sub(*c.in.Deleting) > c.in.ReleaseTimeout
	c.require(len(c.d.Effects) > 0 || !overdue, "still waits after the release timeout")
	for _, e := range c.d.Effects {
		switch e := e.(type) {
		case plan.ScaleCanary:
			c.require(c.ordered() && e.Replicas == 0, "starts something while being deleted")
		case plan.AddFinalizer, plan.CreateRun, plan.HandOver, plan.RaiseStable:
			c.require(false, "starts something while being deleted")
		case plan.Leave:
			c.require(c.in.Route.Split == nil, "removes the finalizer while routes still name Belay's Services")
			c.require(c.in.Route.Narrowed == "" || overdue, "leaves the user's Service narrowed")
			c.require(!c.in.Canary.Exists || c.in.Canary.Handed || overdue, "leaves the canary behind")
		}
	}
}

// rest: a run ends with nothing of it left.
func (c *check) rest() {
	from, to := c.in.Status.Phase, c.d.Status.Phase
	if !from.InRun() || to.InRun() || c.in.Deleting != nil || !c.in.Workload.Found {
		return
	}
	c.require(c.in.Route.Split == nil, "the run ends with the routes split")
	c.require(c.in.Route.Narrowed == "", "the run ends with the Service narrowed")
	c.require(!c.in.Canary.Exists || c.in.Canary.Handed, "the run ends with its canary left")
	c.require(c.in.Workload.Lock == "", "the run ends with the Deployment locked")
	c.require(c.d.Finished != nil, "the run ends without an outcome")
}

// rejected: a rejected revision does not run again by itself.
func (c *check) rejected() {
	to := c.d.Status.Phase
	starts := to == v1alpha1.PhaseGating || to == v1alpha1.PhaseStepping || to == v1alpha1.PhasePromoting
	if !starts || c.d.Status.Candidate == nil {
		return
	}
	tried := c.d.Status.Candidate.Revision
	same := c.in.Status.Phase == to && c.tried() == tried
	if !same {
		c.require(c.d.Status.IsRejected(tried) == nil, "rejected revision %s is rolled out again", tried)
		returns := slices.ContainsFunc(c.d.Status.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == tried })
		base := c.d.Status.Candidate.BaseRevision
		// After a restart that was rejected, the next one takes the steps.
		stepped := c.in.Status.Phase == v1alpha1.PhaseStepping && c.tried() == tried
		steps := base == c.in.Workload.Stable.BaseRevision && to != v1alpha1.PhasePromoting
		c.require(!c.rejectedBase(base) || returns || stepped || steps, "%s runs, a restart of a version that is rejected", tried)
	}
	if c.in.Status.IsRejected(tried) != nil && c.d.Status.IsRejected(tried) == nil {
		c.require(c.in.Action != nil && c.in.Action.Action == v1alpha1.ActionRetry, "forgets a rejection without a command")
	}
}

// rejectedBase is whether a rejected version has this base revision. One that was rejected
// before stable was promoted with it says nothing of a restart.
func (c *check) rejectedBase(base string) bool {
	promoted := slices.IndexFunc(c.in.Status.History, func(h v1alpha1.HistoryEntry) bool {
		return h.Revision == c.stable() && h.Outcome == v1alpha1.OutcomePromoted
	})
	return base != "" && slices.ContainsFunc(c.d.Status.Rejected, func(r v1alpha1.RejectedRevision) bool {
		forgiven := promoted >= 0 && base == c.in.Workload.Stable.BaseRevision && r.At.Before(&c.in.Status.History[promoted].FinishedAt)
		return (r.BaseRevision == base || r.Revision == base) && !forgiven && r.Revision != c.stable()
	})
}

// stableVersion: what is called stable is what the Deployment runs alone.
func (c *check) stableVersion() {
	was, is := c.in.Status.Stable, c.d.Status.Stable
	if was == nil || is == nil || was.Revision == is.Revision {
		c.require(was == nil || is != nil, "forgets the stable version")
		return
	}
	w := c.in.Workload
	alone := len(w.Active) == 1 && w.Active[0].Revision == is.Revision
	c.require(alone || w.Replicas == 0 && is.Revision == c.declared(), "calls revision %s stable, which the Deployment does not run alone", is.Revision)
	c.require(c.in.Status.Phase == v1alpha1.PhaseHandingOver, "calls another version stable in phase %s", c.in.Status.Phase)
	remembered := slices.ContainsFunc(c.d.Status.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == was.Revision })
	// What a bypass made stable was never judged, and does not return without steps.
	last := slices.IndexFunc(c.in.Status.History, func(h v1alpha1.HistoryEntry) bool { return h.Revision == was.Revision })
	judged := last < 0 || c.in.Status.History[last].Outcome != v1alpha1.OutcomeBypassed
	// What a restart takes the place of is the same version, also when it took the steps.
	other := is.Revision != c.tried() || !c.before().Restart && !c.restartedBySteps()
	c.require(remembered == (judged && other), "remembers the former stable version: %t, it was judged: %t, and is another version: %t", remembered, judged, other)
}

// restartedBySteps is whether the candidate of a run that was judged is stable but for annotations
// that the Rollout lists.
func (c *check) restartedBySteps() bool {
	base := c.in.Status.Candidate.BaseRevision
	if c.declared() == c.tried() {
		base = c.in.Workload.Declared.BaseRevision
	}
	mode := c.before().Mode
	unjudged := mode == v1alpha1.TakeOverBypass || mode == v1alpha1.TakeOverUnserved
	return !unjudged && base != "" && base == c.in.Workload.Stable.BaseRevision
}

// history: the API server refuses a status that takes the newest entry away, or
// changes one.
func (c *check) history() {
	for i, was := range c.in.Status.History {
		at := slices.IndexFunc(c.d.Status.History, func(is v1alpha1.HistoryEntry) bool { return is.Run == was.Run })
		c.require(at >= 0 || i > 0, "forgets the newest run")
		c.require(at < 0 || c.d.Status.History[at] == was, "changes a finished run")
	}
}
