package plan

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// unplannedTable applies always: in every phase somebody else may let the Deployment
// roll, or the run may be that of another version of Belay. It comes before the
// triggers because such a run is not continued, whatever its triggers say.
var unplannedTable = table{
	name:    "Former runs and bypasses",
	about:   "In every phase: another version of Belay started the run, or somebody lets the Deployment roll unjudged.",
	applies: always,
	rules: []rule{
		{"FormerRun", formerRun, endFormerRun},
		{"Bypassed", bypassed, followBypass},
	},
}

// formerRun holds for a run that another version of the rules started. It is
// not continued: that version may have let the Deployment roll by itself.
func formerRun(f *facts) bool {
	return f.in.Run.Exists && f.in.Run.Former && (revocable(f) || handed(f)) && !pausedRevert(f)
}

func endFormerRun(f *facts) Decision {
	if stepping(f) || heldByThisEdition(f) {
		return f.beginRollback(v1alpha1.OutcomeCancelled, "upgrade", "another version of Belay started this run: it is rolled back, and a new run starts")
	}
	why := fmt.Sprintf("another version of Belay started this run and began to promote it: the promotion goes on by %s's own strategy, without being judged", f.workload())
	d := f.reconciling(v1alpha1.ReasonHandingOver, why)
	d.Status.Phase = v1alpha1.PhaseHandingOver
	now := f.now()
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: now, HandingSince: &now, Mode: v1alpha1.TakeOverUnserved, Message: why}
	d.Key, d.Recheck = f.in.Status.Run, 1
	return d
}

// heldByThisEdition is a promotion that nothing but weights was changed for yet. It is
// taken back like a step, so that no version goes on without the rest of its bake. A restart
// has no canary at its beginning, nor may a version whose steps a person has ended. A revert
// goes on: what it would go back to is what somebody left.
func heldByThisEdition(f *facts) bool {
	ours := f.in.Canary.Exists && !f.in.Canary.Former || f.restarts() || f.endedByCommand(f.promotion())
	return revocable(f) && f.in.Workload.Paused && ours && !f.promotion().Fast
}

// bypassed holds, in every phase, when the Deployment rolls to a version other
// than stable without Belay having unpaused it.
func bypassed(f *facts) bool {
	if f.in.Workload.Paused || f.declared == f.stable {
		return false
	}
	// A person may let a native roll go on that a trigger has stopped, or keep what
	// it has come to.
	goesOn := nativeTriggerFired(f) && f.in.Status.HandledBypass != nil && f.bypass().Reason != ""
	ours := handingOver(f) && f.declared == f.candidate && !handoverDue(f) && !goesOn
	overtaken := rollingBack(f) && f.in.Canary.Handed
	return !ours && !overtaken
}

// bypass is the one that was not handled yet; the zero Bypass without one.
func (f *facts) bypass() Bypass {
	b, handled := f.in.Workload.Bypass, f.in.Status.HandledBypass
	if handled != nil && *handled == b.Reason {
		return Bypass{}
	}
	return b
}

// handleBypass keeps what is on the Deployment now from being taken for a later
// bypass.
func (f *facts) handleBypass(d *Decision) {
	reason := v1alpha1.Bounded(f.in.Workload.Bypass.Reason, 256)
	d.Status.HandledBypass = &reason
}

// followBypass makes the bypass a run of its own; when it lets the candidate of
// the run in progress roll, it becomes the end of that run.
func followBypass(f *facts) Decision {
	image := imageOf(&f.in.Workload.Declared)
	by, reason := f.bypass().By, f.bypass().Reason
	why := fmt.Sprintf("%s let %s roll out without being judged%s", by, image, quoteReason(reason))
	switch {
	case by != "" && nativeTriggerFired(f):
		why = fmt.Sprintf("%s keeps %s although %s fires (%s)%s", by, image, f.in.Verdict.Trigger, v1alpha1.Bounded(f.in.Verdict.Message, 300), quoteReason(reason))
	case by == "":
		why = fmt.Sprintf("%s rolls out without being judged, and no bypass was recorded: it was declared before Belay adopted %s, or the guard is not in force (condition Guarded)", image, f.workload())
	}
	d := f.reconciling(v1alpha1.ReasonHandingOver, why)
	f.handleBypass(&d)
	if rollingBack(f) && f.rollback().Outcome == v1alpha1.OutcomeRolledBack {
		f.reject(&d, f.rollback().Trigger, f.rollback().Message, f.in.Status.Run)
	}
	// A set that was handed over, or may be yet, stays the run's canary.
	var handedAt *metav1.Time
	if !f.in.Status.Phase.InRun() || f.declared != f.candidate {
		if f.runUnfinished() && f.in.Status.Phase.InRun() {
			f.endRunBy(&d, v1alpha1.OutcomeSuperseded, why)
		}
		d.Status.Candidate = f.in.Workload.Declared.DeepCopy()
		f.openRun(&d)
		d.Effects = append([]Effect{CreateRun{}}, d.Effects...)
	} else {
		d.Status.Epoch++
		handedAt = f.promotion().HandedAt
	}
	d.Key, d.Actor, d.Recheck = d.Status.Run, by, 1
	d.Status.Phase = v1alpha1.PhaseHandingOver
	d.Status.Rollback = nil
	now := f.now()
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: now, HandingSince: &now, HandedAt: handedAt, Mode: v1alpha1.TakeOverBypass, Message: v1alpha1.Bounded(why, 1024), Actor: v1alpha1.Bounded(by, 256)}
	return d
}
