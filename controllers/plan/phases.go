package plan

import (
	"belay.dev/belay/api/v1alpha1"
)

// What the tables apply to: a phase, a few of them, or a part of one.

func (f *facts) inPhase(phases ...v1alpha1.Phase) bool {
	for _, p := range phases {
		if f.in.Status.Phase == p {
			return true
		}
	}
	return false
}

func always(*facts) bool { return true }

func deleting(f *facts) bool { return f.in.Deleting != nil }

func stable(f *facts) bool { return f.inPhase(v1alpha1.PhaseStable) }

func gating(f *facts) bool { return f.inPhase(v1alpha1.PhaseGating) }

// idle is every phase without a run.
func idle(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseRolledBack)
}

func stepping(f *facts) bool { return f.inPhase(v1alpha1.PhaseStepping) }

func baking(f *facts) bool { return f.inPhase(v1alpha1.PhaseBaking) }

// atFullWeight is the part of a trial in which the candidate gets all requests.
func atFullWeight(f *facts) bool { return f.inPhase(v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) }

// onTrial is Stepping, Promoting and Baking.
func onTrial(f *facts) bool { return f.in.Status.Phase.Armed() }

func handingOver(f *facts) bool { return f.inPhase(v1alpha1.PhaseHandingOver) }

// native is a Deployment that takes the candidate over by its own strategy.
func native(f *facts) bool {
	return handingOver(f) && f.takeOver() != v1alpha1.TakeOverHandOver
}

// handoverDue is the part of a handover before the owner changes.
func handoverDue(f *facts) bool {
	return handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && !f.in.Canary.Handed
}

// handed holds once the Deployment owns the canary in a handover. From here the
// way back is a fast revert.
func handed(f *facts) bool {
	return handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && f.in.Canary.Handed
}

// revocable holds while the way back is a change of weights: until the owner of
// the canary changes.
func revocable(f *facts) bool { return onTrial(f) || handoverDue(f) }

// cancellable holds while a candidate can be given up without a fast revert:
// before its run, and in it while it is revocable.
func cancellable(f *facts) bool { return gating(f) || revocable(f) }

func rollingBack(f *facts) bool { return f.inPhase(v1alpha1.PhaseRollingBack) }
