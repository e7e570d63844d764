package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// What a step that needs an approval waits for, and the commands about one step: Approve and
// Skip. Neither stands for the other: a step that needs an approval is skipped with one.

// approvalMissing holds for a step that needs an approval and has none.
func approvalMissing(f *facts) bool {
	s := f.step()
	return stepping(f) && s.ApprovalMissing(f.in.Spec.Steps, s.Index)
}

// awaitApproval is for a step that has passed but for its approval. Its triggers stay armed.
func awaitApproval(f *facts) Decision {
	s := f.step()
	// The first wait is recorded. A verdict that is unknown every other minute does not fill
	// the record, which has to have room for the approval.
	again := s.PassedAt != nil
	if !again {
		now := f.now()
		s.PassedAt = &now
	}
	d := f.reconciling(v1alpha1.ReasonAwaitingApproval, fmt.Sprintf("%s waits for its approval since %s, at %s: %s; a trigger that fires still rolls back; to go on, run %s --step %d --revision %s (verb approve)",
		f.stage(), clock(s.PassedAt.Time), f.stepShare(), f.verdictSummary(), f.kubectlBelay("approve"), s.Index+1, f.candidate))
	d.Key, d.Repeats = fmt.Sprint(s.Index), again
	s.Next, s.NextAt, s.AwaitsApprovalSince = "approval of "+f.stage(), nil, s.PassedAt
	d.Status.Step = &s
	return d
}

// kubectlBelay is a command of the command line about this Rollout. A plug-in takes no flag
// before its name.
func (f *facts) kubectlBelay(command string) string {
	line := "kubectl belay " + command + " " + f.in.Name
	if f.in.Namespace != "" {
		line += " -n " + f.in.Namespace
	}
	return line
}

// noteApproval ends the wait of a step for its approval with a decision after which it waits
// for something else, too. stepDeadline counts from then.
func (f *facts) noteApproval(d Decision) {
	s := d.Status.Step
	if s == nil || s.AwaitsApprovalSince == nil {
		return
	}
	next := f.after(d)
	if approvalMissing(next) && !deleting(next) && !keptAsItIs(next) && !settling(next) && !atZeroReplicas(next) && next.passes() {
		return
	}
	now := f.now()
	s.AwaitsApprovalSince, s.PassedUntil, s.Next = nil, &now, ""
	s.WaitedSeconds, s.WaitedBefore = 0, 0
}

func approveRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionApprove) && f.notApprovable() == ""
}

// approve notes the approval. The step ends by the row for steps that have passed.
func approve(f *facts) Decision {
	a := f.in.Action
	what := "it still has to pass"
	if f.step().AwaitsApprovalSince != nil && f.passes() {
		what = "it goes on"
	}
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s of %s approved by %s at weight %d %%%s; %s", f.stage(), imageOf(f.in.Status.Candidate), nameOf(a.By), f.observedWeight(), quoteReason(a.Reason), what))
	s := f.step()
	s.Approval = &v1alpha1.ApprovalStatus{By: v1alpha1.Bounded(a.By, 256), Reason: v1alpha1.Bounded(a.Reason, 256), At: f.now()}
	d.Status.Step = &s
	d.Recheck = 1
	f.handle(&d, "")
	return d
}

// approved says, to end a message, who has approved the step; empty for one without approval.
func (f *facts) approved() string {
	a := f.step().Approval
	if a == nil {
		return ""
	}
	return fmt.Sprintf("; approved by %s at %s%s", nameOf(a.By), clock(a.At.Time), quoteReason(a.Reason))
}

func skipRequested(f *facts) bool {
	return f.actionFor(v1alpha1.ActionSkip) && f.notSkippable() == ""
}

// skip ends one step, whatever its triggers do not know yet. After the last one the bake
// judges full weight as ever.
func skip(f *facts) Decision {
	a := f.in.Action
	ends := fmt.Sprintf("%s skipped %s at weight %d %%%s%s%s", nameOf(a.By), f.stage(), f.observedWeight(), quoteReason(a.Reason), f.approved(), f.notPassing())
	if !undecided(f) && !f.passes() {
		ends += "; not judged there: it had not ended"
	}
	d := f.reconciling(f.phaseReason(), "")
	s := &v1alpha1.StepStatus{Index: f.step().Index, EnteredAt: f.now(), Skipped: f.skipped(ends)}
	d.Status.Step = s
	if stepHasNext(f) {
		s.Index++
		d.Why = fmt.Sprintf("%s goes on to %s: %s", imageOf(f.in.Status.Candidate), f.after(d).stage(), ends)
	} else {
		f.promoteUnjudged(&d)
		d.Why = fmt.Sprintf("%s is promoted: %s; it goes to weight 100 %%, and its bake has to pass", imageOf(f.in.Status.Candidate), ends)
	}
	d.Recheck = 1
	f.handle(&d, "")
	return d
}

// passes is whether the step in progress has all that it waits for, but maybe an approval.
func (f *facts) passes() bool { return f.decided() && !holdRunning(f) }

// skipped is who ended steps of this run by command, with those that one ends now.
func (f *facts) skipped(ends string) string {
	if before := f.step().Skipped; before != "" {
		ends = before + "; " + ends
	}
	return v1alpha1.Bounded(ends, 512)
}

// promoteUnjudged takes a candidate whose last step a person has ended, as status.step.skipped
// says, to weight 100.
func (f *facts) promoteUnjudged(d *Decision) {
	d.Reason = v1alpha1.ReasonPromoting
	d.Status.Phase = v1alpha1.PhasePromoting
	d.Status.Promotion = &v1alpha1.PromotionStatus{
		StartedAt: f.now(), Mode: v1alpha1.TakeOverHandOver, Message: d.Status.Step.Skipped, Actor: v1alpha1.Bounded(f.in.Action.By, 256),
	}
}

// notInStep is why a command about a step, or about all that remain, cannot be carried out
// now; empty when the candidate is in one.
func (f *facts) notInStep() string {
	image := imageOf(f.in.Status.Candidate)
	switch {
	case !cancellable(f):
		return f.notOnTrial()
	case f.in.Action.Revision == "":
		return fmt.Sprintf("it has to name the revision that it is for: give it again with %s: %q", v1alpha1.AnnotationActionRevision, f.candidate)
	case f.declared != f.candidate:
		return fmt.Sprintf("%s declares %s meanwhile, and %s ends", f.workload(), imageOf(&f.in.Workload.Declared), image)
	case formerRun(f):
		return fmt.Sprintf("another version of Belay started the run of %s: it is rolled back, and a new run starts", image)
	case gating(f), f.in.Status.Step == nil:
		return fmt.Sprintf("no run of %s has started yet: give it again once it is in a step", image)
	default:
		return ""
	}
}

// notInThatStep is notInStep, or that the step in progress is not the one that is named.
func (f *facts) notInThatStep() string {
	image := imageOf(f.in.Status.Candidate)
	number := fmt.Sprint(f.step().Index + 1)
	switch why := f.notInStep(); {
	case why != "":
		return why
	case handingOver(f):
		return fmt.Sprintf("the bake of %s is over, and its handover has begun: no step is left", image)
	case atFullWeight(f):
		return fmt.Sprintf("%s is past its steps already, and its bake is neither skipped nor approved: it becomes stable when that has passed", image)
	case f.in.Action.Step == "":
		return fmt.Sprintf("it has to name the step that it is for: give it again with %s: %q", v1alpha1.AnnotationActionStep, number)
	case f.in.Action.Step != number:
		return fmt.Sprintf("it is for step %q, and %s is in step %s of %d", v1alpha1.Bounded(f.in.Action.Step, 16), image, number, len(f.in.Spec.Steps))
	default:
		return ""
	}
}

// notApprovable is why the step in progress cannot be approved; empty when it can, also
// before it has passed.
func (f *facts) notApprovable() string {
	switch why := f.notInThatStep(); {
	case why != "":
		return why
	case f.step().Approval != nil:
		return fmt.Sprintf("%s has its approval already%s", f.stage(), f.approved())
	case !approvalMissing(f):
		return fmt.Sprintf("%s needs no approval: it ends when it has passed", f.stage())
	default:
		return ""
	}
}

// notSkippable is why the step in progress cannot be skipped; empty when it can.
func (f *facts) notSkippable() string {
	switch why := f.notInThatStep(); {
	case why != "":
		return why
	case paused(f):
		return fmt.Sprintf("%s is paused %s: it goes on after %s", imageOf(f.in.Status.Candidate), f.pausedBy(), f.endOfPause())
	case frozen(f):
		return f.heldByFreeze()
	case approvalMissing(f):
		return fmt.Sprintf("%s needs an approval, and Skip does not stand for one: give Approve first", f.stage())
	default:
		return f.lastOfNative()
	}
}

// lastOfNative is why the last step of a native promotion is not ended by command; empty in
// any other.
func (f *facts) lastOfNative() string {
	if f.in.Spec.Promotion.Mode != v1alpha1.PromotionNative || stepHasNext(f) {
		return ""
	}
	return fmt.Sprintf("%s is in its last step, and promotion.mode is Native: that step has to pass, because no bake follows that weights lead back from", imageOf(f.in.Status.Candidate))
}

// unapproved names the first step, from the one in progress on, that needs an approval and
// has none; empty when there is none.
func (f *facts) unapproved() string {
	s := f.step()
	for i := s.Index; int(i) < len(f.in.Spec.Steps); i++ {
		if s.ApprovalMissing(f.in.Spec.Steps, i) {
			return fmt.Sprintf("step %d of %d", i+1, len(f.in.Spec.Steps))
		}
	}
	return ""
}
