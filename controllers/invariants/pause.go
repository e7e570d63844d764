package invariants

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
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

// pause: one that a person has commanded begins and ends by commands, or ends with its
// candidate.
func (c *check) pause() {
	was, is := c.in.Status.Pause, c.d.Status.Pause
	switch {
	case was == nil && is != nil:
		c.require(c.asked(v1alpha1.ActionPause) && is.Revision == c.tried(), "pauses revision %s, which nobody has asked for", is.Revision)
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
