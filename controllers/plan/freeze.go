package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// What a freeze holds: no run starts, and one in progress keeps its weight, as in a pause: no
// hold and no bake goes on, and no handover begins. What takes requests back does not wait, nor
// does a version that returns without steps, nor a handover that has begun.

// closedFreeze is the gate of the freezes while it is not open; nil while it is, or where the
// candidate may go on all the same.
func (f *facts) closedFreeze() *Gate {
	g, ok := f.in.gate(GateFreeze)
	if !ok || g.Outcome == Open || f.in.Status.FreezeOverridden() != nil {
		return nil
	}
	return &g
}

// frozen holds in a run that a freeze keeps as it is.
func frozen(f *facts) bool {
	return onTrial(f) && !f.promotion().Fast && f.closedFreeze() != nil
}

func stayFrozen(f *facts) Decision {
	g := f.closedFreeze()
	d := f.heldBy(g, fmt.Sprintf("frozen at %s: %s; a trigger that fires still rolls back%s", f.stageAndWeight(), g.Message, f.overrideFreeze()))
	f.standStill(&d)
	return d
}

// overrideFreeze says, to end a message, how a person lets the candidate go on.
func (f *facts) overrideFreeze() string {
	return fmt.Sprintf("; to go on all the same, run %s --revision %s --reason WHY (verb overridefreeze)", f.kubectlBelay("override-freeze"), f.candidate)
}

// keptAsItIs holds while a pause or a freeze keeps the weight of a run.
func keptAsItIs(f *facts) bool { return paused(f) || frozen(f) }

// keptBy says of both which it is, with the condition reason that goes with it.
func (f *facts) keptBy() (reason, why string) {
	if g := f.closedFreeze(); g != nil && !paused(f) {
		return g.Reason, "frozen: " + v1alpha1.Bounded(g.Message, 400)
	}
	return v1alpha1.ReasonPaused, "paused " + f.pausedBy()
}

// heldByFreeze is why a command that takes the candidate further waits while it is frozen.
func (f *facts) heldByFreeze() string {
	return fmt.Sprintf("%s is %s%s", imageOf(f.in.Status.Candidate), v1alpha1.Bounded(f.closedFreeze().Message, 300), f.overrideFreeze())
}

func overrideRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionOverrideFreeze) && f.notOverridable() == ""
}

func override(f *facts) Decision {
	a := f.in.Action
	at := "before its run"
	if !gating(f) {
		at = "at " + f.stageAndWeight()
	}
	g := f.closedFreeze()
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s goes on in spite of a freeze until its run ends, by %s, %s%s; it was %s", imageOf(f.in.Status.Candidate), nameOf(a.By), at, quoteReason(a.Reason), v1alpha1.Bounded(g.Message, 400)))
	d.Status.FreezeOverride = &v1alpha1.FreezeOverrideStatus{Revision: f.candidate, By: v1alpha1.Bounded(a.By, 256), Reason: v1alpha1.Bounded(a.Reason, 256), At: f.now()}
	d.Recheck = 1
	f.handle(&d, "")
	return d
}

// notOverridable is why there is no freeze that the command could override; empty when there
// is.
func (f *facts) notOverridable() string {
	image := imageOf(f.in.Status.Candidate)
	switch o := f.in.Status.FreezeOverridden(); {
	case !cancellable(f):
		return f.notOnTrial()
	case f.in.Action.Revision == "":
		return fmt.Sprintf("it has to name the revision that it is for: give it again with %s: %q", v1alpha1.AnnotationActionRevision, f.candidate)
	case f.in.Action.Reason == "":
		return fmt.Sprintf("it needs a reason: give it again with %s", v1alpha1.AnnotationActionReason)
	case f.declared != f.candidate:
		return fmt.Sprintf("%s declares %s meanwhile, and %s ends", f.workload(), imageOf(&f.in.Workload.Declared), image)
	case o != nil:
		return fmt.Sprintf("%s goes on in spite of freezes already, by %s since %s%s", image, nameOf(o.By), clock(o.At.Time), quoteReason(o.Reason))
	case f.closedFreeze() == nil:
		return fmt.Sprintf("no freeze holds %s now", image)
	default:
		return ""
	}
}

// endOverride forgets an override whose candidate has come to its end.
func (f *facts) endOverride(d *Decision) {
	if o := d.Status.FreezeOverride; o != nil && f.candidateOver(d, o.Revision) {
		d.Status.FreezeOverride = nil
	}
}
