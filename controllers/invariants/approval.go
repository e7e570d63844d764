package invariants

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
)

// skips: a person may end the one step that they name; what follows is judged as ever, and
// nothing but a bake follows the last.
func (c *check) skips(stepped bool) {
	was, is := c.in.Status.Step.Index, c.d.Status.Step
	c.leavesByCommand()
	c.require(c.in.Action.Step == fmt.Sprint(was+1), "skips step %d, and the command names %q", was+1, c.in.Action.Step)
	c.require(is != nil && is.AcknowledgedAt == nil && is.Approval == nil && (!stepped || is.Index == was+1), "skips to a step that counts as judged, or more than one")
	last := int(was) == len(c.in.Spec.Steps)-1 && c.in.Spec.Promotion.Mode != v1alpha1.PromotionNative
	c.require(stepped || last && c.d.Status.Phase == v1alpha1.PhasePromoting, "skips step %d to phase %s", was, c.d.Status.Phase)
}

// leavesByCommand: only the version that a person names, only before a trigger fires, and the
// next look does the rest.
func (c *check) leavesByCommand() {
	c.require(c.in.Action.Revision != "" && c.in.Action.Revision == c.tried() && c.declared() == c.tried(), "ends steps of another version than the command names")
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "ends steps by command while a trigger fires")
	c.require(len(c.d.Effects) == 0, "ends steps by command, and does %s at once", c.d.Does())
}

// needsApproval is whether a step is one that a person has to approve.
func (c *check) needsApproval(index int32) bool {
	return int(index) < len(c.in.Spec.Steps) && c.in.Spec.Steps[index].Approval == v1alpha1.ApprovalRequired
}

// approved is whether a step has the approval that it needs.
func (c *check) approved(index int32) bool {
	s := c.in.Status.Step
	return !c.needsApproval(index) || s != nil && s.Index == index && s.Approval != nil
}

// approval: it is given by a command, for the step that this names, and ends with that.
func (c *check) approval() {
	var was, is *v1alpha1.ApprovalStatus
	from, to := c.in.Status.Step, c.d.Status.Step
	if from != nil {
		was = from.Approval
	}
	if to != nil {
		is = to.Approval
	}
	same := from != nil && to != nil && from.Index == to.Index && c.in.Status.Run == c.d.Status.Run
	switch {
	case is == nil:
		c.require(was == nil || !same || c.d.Status.Phase != c.in.Status.Phase, "forgets the approval of a step that goes on")
	case was != nil:
		c.require(same && equality.Semantic.DeepEqual(was, is), "changes an approval, or takes it to another step")
	default:
		c.require(same && c.asked(v1alpha1.ActionApprove), "approves a step, which nobody has asked for")
		c.require(c.in.Action != nil && c.in.Action.Revision == c.tried() && c.in.Action.Step == fmt.Sprint(to.Index+1), "approves another step than the command names")
		c.require(c.d.Status.Phase == c.in.Status.Phase && len(c.d.Effects) == 0, "approves a step, and goes on at once")
	}
	if to != nil && to.AwaitsApprovalSince != nil {
		c.require(c.needsApproval(to.Index) && is == nil && c.d.Status.Phase == v1alpha1.PhaseStepping, "waits for an approval that nobody has to give")
	}
}

// asked is whether a person has given this command.
func (c *check) asked(a v1alpha1.Action) bool { return c.in.Action != nil && c.in.Action.Action == a }
