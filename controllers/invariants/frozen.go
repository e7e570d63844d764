package invariants

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// frozen is whether a freeze keeps the run in progress as it is: not a version that returns
// without steps, and no handover that has begun.
func (c *check) frozen() bool {
	closed := slices.ContainsFunc(c.in.Gates, func(g plan.Gate) bool { return g.Name == plan.GateFreeze && g.Outcome != plan.Open })
	return closed && c.in.Status.Phase.Armed() && !c.before().Fast && !c.overridden()
}

// overridden is whether a person lets the candidate go on in spite of freezes.
func (c *check) overridden() bool {
	o := c.in.Status.FreezeOverride
	return o != nil && o.Revision == c.tried()
}

// freezeOverride begins by a command for the candidate, with a reason, and ends with it.
func (c *check) freezeOverride() {
	was, is := c.in.Status.FreezeOverride, c.d.Status.FreezeOverride
	switch {
	case was == nil && is != nil:
		c.require(c.asked(v1alpha1.ActionOverrideFreeze) && is.Revision == c.tried() && is.Reason != "", "overrides a freeze for revision %s, which nobody has asked for with a reason", is.Revision)
	case was != nil && is != nil:
		c.require(*was == *is, "changes the override of a freeze")
	case was != nil:
		c.require(c.candidateOver(was.Revision), "ends the override of a freeze for a candidate that goes on")
	}
}
