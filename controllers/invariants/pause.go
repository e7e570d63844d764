package invariants

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// paused is whether spec.paused or a command holds the candidate.
func (c *check) paused() bool {
	p := c.in.Status.Pause
	return c.in.Spec.Paused || p != nil && p.Revision == c.tried()
}

// stood is how much longer a pause, or 0 replicas, makes the hold or the bake in progress.
func (c *check) stood() time.Duration {
	s := c.in.Status.Step
	if s == nil {
		return 0
	}
	stood := time.Duration(s.WaitedSeconds-s.WaitedBefore) * time.Second
	if s.WaitsSince != nil {
		stood += max(0, c.in.Now.Sub(s.WaitsSince.Time))
	}
	return max(0, stood)
}

// answers is whether the decision is the answer to a command, which is given once.
func (c *check) answers() bool {
	return !equality.Semantic.DeepEqual(c.in.Status.LastHandledAction, c.d.Status.LastHandledAction)
}

// weightReached is whether the hold of the step, or the bake, has begun.
func (c *check) weightReached() bool {
	if c.in.Status.Phase == v1alpha1.PhaseStepping {
		return c.in.Status.Step != nil && c.in.Status.Step.AcknowledgedAt != nil
	}
	return c.before().FullAt != nil
}

// wasAway is whether the controller did not look for longer than spec.unattended allows, and the
// team wants an answer to that.
func (c *check) wasAway() bool {
	s, at := c.in.Spec, c.in.Status.AttendedAt
	if at == nil || s.Unattended.Duration <= 0 || s.Mode == v1alpha1.ModeObserve || !c.in.Status.Phase.Armed() || c.in.Workload.Replicas == 0 {
		return false
	}
	return c.in.Now.Sub(at.Time) > s.Unattended.Duration*5/4
}

// absence: what nobody looked at for too long is rolled back or held, and stays known until
// then.
func (c *check) absence() {
	if !c.wasAway() {
		return
	}
	s := &c.d.Status
	leaves, known := s.Phase == v1alpha1.PhaseRollingBack || !s.Phase.InRun(), s.AttendedAt != nil && s.AttendedAt.Equal(c.in.Status.AttendedAt)
	held := c.in.Spec.OnUnattended == v1alpha1.Hold && (c.paused() || s.CommandedPause() != nil)
	c.require(leaves || held || known || s.Phase == v1alpha1.PhaseHandingOver, "forgets that nobody looked at the candidate for %s", c.in.Now.Sub(c.in.Status.AttendedAt.Time))
	to, raises := plan.EffectOf[plan.SetSplit](c.d)
	c.require(!raises || c.in.Route.Split == nil || to.Weight <= *c.in.Route.Split || held, "raises the weight of a candidate that nobody looked at for %s", c.in.Now.Sub(c.in.Status.AttendedAt.Time))
}

// pause: one that a person has commanded begins and ends by commands, or ends with its
// candidate.
func (c *check) pause() {
	was, is := c.in.Status.Pause, c.d.Status.Pause
	switch {
	case was == nil && is != nil:
		c.require((c.asked(v1alpha1.ActionPause) || c.wasAway()) && is.Revision == c.tried(), "pauses revision %s, which nobody has asked for", is.Revision)
		c.require(!c.in.Canary.Handed, "pauses a candidate that the Deployment owns")
	case was != nil && is != nil:
		c.require(*was == *is, "changes a pause")
	case was != nil:
		c.require(c.asked(v1alpha1.ActionResume) || c.candidateOver(was.Revision), "ends the pause of a candidate that goes on")
	}
}

// candidateOver is whether the candidate of that revision is rejected, replaced, or taken over.
func (c *check) candidateOver(revision string) bool {
	s := &c.d.Status
	rejected := s.Phase == v1alpha1.PhaseRolledBack || s.Phase == v1alpha1.PhaseRollingBack && s.Rollback != nil && s.Rollback.Outcome == v1alpha1.OutcomeRolledBack
	replaced := s.Candidate != nil && s.Candidate.Revision != revision || c.declared() != revision && !s.Phase.InRun() || s.Stable != nil && s.Stable.Revision == revision
	taken := s.Phase == v1alpha1.PhaseHandingOver && (c.in.Canary.Handed || !byHandOver(s.Promotion))
	return rejected || replaced || taken
}
