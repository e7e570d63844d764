package plan

import (
	"belay.dev/belay/api/v1alpha1"
)

// The conditions of the tables: one phase, several, or a part of one.

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

func inStable(f *facts) bool { return f.inPhase(v1alpha1.PhaseStable) }

func gating(f *facts) bool { return f.inPhase(v1alpha1.PhaseGating) }

// idle is the phases without a run.
func idle(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseRolledBack)
}

func stepping(f *facts) bool { return f.inPhase(v1alpha1.PhaseStepping) }

func baking(f *facts) bool { return f.inPhase(v1alpha1.PhaseBaking) }

// atFullWeight is the phases in which the candidate has weight 100.
func atFullWeight(f *facts) bool { return f.inPhase(v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) }

// onTrial is the phases in which triggers are armed and weights change.
func onTrial(f *facts) bool { return f.in.Status.Phase.Armed() }

func handingOver(f *facts) bool { return f.inPhase(v1alpha1.PhaseHandingOver) }

// native is a handover by the Deployment's own strategy: a native promotion, a
// bypass, or a push while nothing serves.
func native(f *facts) bool {
	return handingOver(f) && f.takeOver() != v1alpha1.TakeOverHandOver
}

// handoverDue is a handover of the canary's ReplicaSet before its owner
// changes.
func handoverDue(f *facts) bool {
	return handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && !f.in.Canary.Handed
}

// handed is a handover of the canary's ReplicaSet after its owner has changed.
// From here the way back is a fast revert.
func handed(f *facts) bool {
	return handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && f.in.Canary.Handed
}

// revocable is a run before the owner of the canary changes: the way back is a
// change of weights.
func revocable(f *facts) bool { return onTrial(f) || handoverDue(f) }

// cancellable is Gating, and a run while it is revocable: the candidate can be
// given up.
func cancellable(f *facts) bool { return gating(f) || revocable(f) }

func rollingBack(f *facts) bool { return f.inPhase(v1alpha1.PhaseRollingBack) }
