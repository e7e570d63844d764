package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// What a pause holds: by spec.paused, or by the command Pause for one candidate. The weight
// stays and no hold, bake or handover goes on. What takes requests back, or keeps the weight
// served, does not wait.

// droppedTable comes right after the triggers: from the decision that it answers nothing has
// happened yet, and it is the last that tells of the command.
var droppedTable = table{
	name:    "A pause that was not kept",
	about:   "From Gating until the owner changes: the command Pause was recorded, and the API server has dropped it.",
	applies: cancellable,
	rules: []rule{
		{"PauseDropped", pauseDropped, refusePause},
	},
}

func paused(f *facts) bool { return f.in.Spec.Paused || f.in.Status.CommandedPause() != nil }

// pausedBy says who paused, since when and why.
func (f *facts) pausedBy() string {
	p := f.in.Status.CommandedPause()
	by := ""
	if p != nil {
		by = fmt.Sprintf("by %s since %s%s", nameOf(p.By), clock(p.At.Time), quoteReason(p.Reason))
	}
	switch {
	case p == nil:
		return "by spec.paused"
	case f.in.Spec.Paused:
		return "by spec.paused, and " + by
	default:
		return by
	}
}

// endOfPause says what ends the pause, after "until".
func (f *facts) endOfPause() string {
	switch {
	case f.in.Status.CommandedPause() == nil:
		return "that is false"
	case f.in.Spec.Paused:
		return "spec.paused is false and the command Resume is given"
	default:
		return "the command Resume"
	}
}

func stayPaused(f *facts) Decision {
	if gating(f) {
		return f.reconciling(v1alpha1.ReasonPaused, fmt.Sprintf("paused %s: no run of %s starts until %s", f.pausedBy(), imageOf(f.in.Status.Candidate), f.endOfPause()))
	}
	why := fmt.Sprintf("paused %s, at %s; a trigger that fires still rolls back", f.pausedBy(), f.stageAndWeight())
	if f.in.Status.CommandedPause() != nil {
		why += "; it stays so until " + f.endOfPause()
	}
	d := f.reconciling(v1alpha1.ReasonPaused, why)
	f.standStill(&d)
	return d
}

// standStill is what the status shows of a run that is kept as it is: its step has another
// end once it goes on, and the sizes are noted meanwhile.
func (f *facts) standStill(d *Decision) {
	if s := d.Status.Step; s != nil {
		s.Next, s.NextAt = "", nil
	}
	if baking(f) || handoverDue(f) {
		f.noteSize(d)
	}
}

// pausedInFlight holds while a handover that was decided before the pause may still succeed,
// by an older instance of the controller.
func pausedInFlight(f *facts) bool {
	return paused(f) && handoverDue(f) && f.in.Canary.Exists && f.promotion().HandedAt != nil
}

// fenceForPause cancels that handover by a write of the canary, as a rollback does. Then it
// forgets when it was decided, in a new epoch: the next one may be cancelled again.
func fenceForPause(f *facts) Decision {
	if f.in.Canary.Epoch < f.in.Status.Epoch {
		why := fmt.Sprintf("paused %s: cancelling a handover that may still be under way, so that the Deployment does not become the owner of the canary's ReplicaSet meanwhile", f.pausedBy())
		return f.doing(v1alpha1.ReasonPaused, why, FenceCanary{f.in.Status.Epoch})
	}
	d := f.reconciling(v1alpha1.ReasonPaused, fmt.Sprintf("paused %s: the handover that was under way is cancelled, and begins again after the pause", f.pausedBy()))
	p := f.promotion()
	p.HandedAt = nil
	d.Status.Promotion = &p
	d.Status.Epoch++
	d.Key, d.Recheck = fmt.Sprint(d.Status.Epoch), 1
	return d
}

// keptAndShort holds while the Deployment has grown and the canary has too few pods for
// the requests that it gets: a pause or a freeze keeps the weight, not the number of pods.
func keptAndShort(f *facts) bool { return keptAsItIs(f) && f.short() }

// short holds while the canary of a run has too few pods for the weight in force. Of a
// StatefulSet stable's are the others, so there is nobody to be short of.
func (f *facts) short() bool {
	return !f.ordered() && !gating(f) && f.in.Canary.Exists && f.oneWaveTowards(f.servedNeed()) > f.in.Canary.Desired
}

// servedNeed is the size that the weight in force needs; 0 where the canary gets nothing, or
// its weight was not reached when the pause began.
func (f *facts) servedNeed() int32 {
	onlyCanary := narrowed(f) && f.in.Route.Narrowed == f.in.Canary.Hash
	switch {
	case atZeroReplicas(f), noStablePods(f), f.replicaWeighted() && !f.weightReached():
		return 0
	case handoverDue(f), onlyCanary:
		return f.canaryNeed(100)
	case f.observedWeight() == 0 && f.extraNow().none():
		return 0
	case f.replicaWeighted():
		return f.canaryNeed(f.targetWeight())
	default:
		return f.canaryNeed(max(f.observedWeight(), f.in.Route.Mirror))
	}
}

func followLoad(f *facts) Decision {
	size := f.oneWaveTowards(f.servedNeed())
	reason, kept := f.keptBy()
	why := fmt.Sprintf("%s, at %s: the Deployment has %d replicas: scaling the canary from %d to %d, so that it serves its weight",
		kept, f.stageAndWeight(), f.in.Workload.Replicas, f.in.Canary.Desired, size)
	return f.doing(reason, why, ScaleCanary{size})
}

// pausedRevert is a revert that a pause holds while another version of the rules has taken
// over. Other runs of an older version are taken back; a revert that is not paused goes on.
func pausedRevert(f *facts) bool { return paused(f) && revocable(f) && f.promotion().Fast }

// endPause forgets a pause whose candidate has come to its end. A run that ends while its version stays the declared
// one, as after an upgrade of Belay, leaves the next run of it paused.
func (f *facts) endPause(d *Decision) {
	s := &d.Status
	p := s.Pause
	if p == nil || !f.candidateOver(d, p.Revision) {
		return
	}
	s.Pause = nil
	if handed(f) {
		d.Why = v1alpha1.Bounded(d.Why, 700) + fmt.Sprintf("; the pause by %s came too late: %s", nameOf(p.By), f.handedOver())
	}
}

// candidateOver is whether the candidate of that revision has come to its end: rejected,
// promoted, let through, or not declared any more.
func (f *facts) candidateOver(d *Decision, revision string) bool {
	if deleting(f) {
		return false
	}
	s, r := &d.Status, d.Status.Rollback
	rejected := s.Phase == v1alpha1.PhaseRolledBack || s.Phase == v1alpha1.PhaseRollingBack && r != nil && r.Outcome == v1alpha1.OutcomeRolledBack
	other := s.Candidate != nil && s.Candidate.Revision != revision
	undeclared := f.in.Workload.Found && f.declared != revision && !s.Phase.InRun()
	taken := s.Stable != nil && s.Stable.Revision == revision
	over := s.Phase == v1alpha1.PhaseHandingOver && (handed(f) || f.after(*d).takeOver() != v1alpha1.TakeOverHandOver)
	return rejected || other || undeclared || taken || over
}

// pauseDropped holds when the API server did not keep the pause that was recorded last: its
// CustomResourceDefinitions are those of an older Belay.
func pauseDropped(f *facts) bool {
	last, handled := f.in.Status.Decision, f.in.Status.LastHandledAction
	recorded := last != nil && last.Rule == "PauseRequested" && handled != nil && handled.Token == last.Key
	return recorded && f.in.Status.Pause == nil
}

// refusePause says so instead of forgetting the command.
func refusePause(f *facts) Decision {
	was := *f.in.Status.LastHandledAction
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("Pause by %s refused: the API server dropped status.pause: apply the CustomResourceDefinitions of this version (config/crd), and give the command again; until then set spec.paused, or abort", nameOf(was.By)))
	was.Refused = v1alpha1.Bounded(d.Why, 512)
	d.Status.LastHandledAction = &was
	d.Key, d.Actor, d.Recheck = v1alpha1.Bounded(was.Token, 128), was.By, 1
	return d
}

// nameOf is an author as messages name one that the guard has not stamped.
func nameOf(by string) string {
	if by == "" {
		return "somebody"
	}
	return by
}
