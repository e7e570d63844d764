package invariants

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// obsolete: a candidate that the Deployment does not declare any more gets no more requests
// and no next stage, and serves on for as long as the newer one settles, and no longer.
func (c *check) obsolete() {
	from, to := c.in.Status.Phase, c.d.Status.Phase
	trial := from == v1alpha1.PhaseStepping || from == v1alpha1.PhasePromoting || from == v1alpha1.PhaseBaking
	if !trial || !c.in.Workload.Found || !c.in.Workload.Paused || c.in.Deleting != nil || c.in.Run.Former || c.declared() == c.tried() {
		return
	}
	c.require(to == from || to == v1alpha1.PhaseRollingBack, "takes a version that is not declared to phase %s", to)
	if was, is := c.in.Status.Step, c.d.Status.Step; was != nil && is != nil {
		c.require(was.Index == is.Index, "takes a version that is not declared to step %d", is.Index)
	}
	if e, ok := plan.EffectOf[plan.SetSplit](c.d); ok {
		c.require(c.in.Route.Split != nil && e.Weight <= *c.in.Route.Split, "gives a version that is not declared weight %d", e.Weight)
		c.require(e.Testers == nil || equality.Semantic.DeepEqual(e.Testers, c.in.Route.Testers), "sends testers to a version that is not declared")
		c.require(e.Mirror == 0 || e.Mirror == c.in.Route.Mirror, "sends copies to a version that is not declared")
	}
	if r := c.d.Status.Rollback; to == v1alpha1.PhaseRollingBack && r != nil && r.Outcome == v1alpha1.OutcomeSuperseded {
		c.require(c.rested(c.in.Spec.Settle.Duration) || c.pushedForLong() || c.outgrown(), "supersedes a run before revision %s has settled", c.declared())
	}
	if to == from && len(c.d.Effects) == 0 && !c.answers() && c.d.WouldRollBack == nil {
		c.require(!c.rested(c.in.Spec.Settle.Duration) && !c.pushedForLong(), "keeps a version that is not declared any more, although revision %s has settled", c.declared())
	}
}

// declaration: since when a version is declared is noted once, and for that version alone.
func (c *check) declaration() {
	was, is := c.in.Status.Declared, c.d.Status.Declared
	if is == nil || !c.in.Workload.Found || c.in.Status.Stable == nil {
		return
	}
	c.require(is.Revision == c.declared(), "says that revision %s is declared, and it is %s", is.Revision, c.declared())
	if was != nil && was.Revision == is.Revision {
		c.require(was.Since.Equal(&is.Since) && was.ChangingSince.Equal(&is.ChangingSince), "forgets since when revision %s is declared", is.Revision)
		return
	}
	c.require(!is.Since.Time.Before(c.in.Now), "says that revision %s was declared before it was seen", is.Revision)
}

// outgrown is whether the Deployment has more pods now than the canary's weight goes with.
func (c *check) outgrown() bool {
	weight := max(c.observed(), c.in.Route.Mirror)
	if c.byPods() {
		weight = c.stepWeight()
		if c.in.Status.Phase != v1alpha1.PhaseStepping {
			weight = 50
		}
	}
	if s := c.service(); s != "" && c.in.Route.Narrowed == c.in.Canary.Hash && c.in.Canary.Hash != "" {
		weight = 100
	}
	return c.in.Canary.Exists && c.in.Canary.Desired < c.need(weight)
}

// rested is whether the declared version has stood for that long, or was noted by a clock that
// was ahead.
func (c *check) rested(settle time.Duration) bool {
	d := c.in.Status.Declared
	return settle == 0 || d != nil && d.Revision == c.declared() && (c.elapsed(&d.Since, settle) || d.Since.Sub(c.in.Now) >= time.Second)
}

// pushedForLong is whether pushes have gone on for ten times as long, in this run.
func (c *check) pushedForLong() bool {
	d, began := c.in.Status.Declared, c.in.Status.RunStartedAt
	long := 10 * c.in.Spec.Settle.Duration
	return d != nil && c.elapsed(&d.ChangingSince, long) && (began == nil || c.elapsed(began, long)) &&
		(d.Revision == c.declared() || c.in.Now.Sub(d.Since.Time) <= c.in.Spec.Settle.Duration)
}
