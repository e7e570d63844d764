package v1alpha1

import "time"

// Phase is the stage of a Rollout. It follows from the decisions that were recorded, and
// the next decision depends on it.
// +kubebuilder:validation:Enum=Stable;Gating;Stepping;Promoting;Baking;HandingOver;RollingBack;RolledBack
type Phase string

const (
	// PhaseStable means: one version serves, and no other is declared.
	PhaseStable Phase = "Stable"
	// PhaseGating means: a candidate waits for its run to start.
	PhaseGating Phase = "Gating"
	// PhaseStepping means: the candidate gets its weight step by step.
	PhaseStepping Phase = "Stepping"
	// PhasePromoting means: the canary is scaled to full size and gets all requests; of a
	// StatefulSet all pods but one get the candidate.
	PhasePromoting Phase = "Promoting"
	// PhaseBaking means: the canary gets all requests, triggers can still roll it back, and the
	// stable version stays at full size, or on one pod of a StatefulSet.
	PhaseBaking Phase = "Baking"
	// PhaseHandingOver means: the Deployment becomes the owner of the canary's ReplicaSet, or
	// the last pod of a StatefulSet gets the candidate, or the workload rolls out the version by
	// its own strategy (a native promotion, a bypass).
	PhaseHandingOver Phase = "HandingOver"
	// PhaseRollingBack means: requests go back to stable and the canary is removed.
	PhaseRollingBack Phase = "RollingBack"
	// PhaseRolledBack means: the stable version serves; the workload still declares the
	// rejected one and is held.
	PhaseRolledBack Phase = "RolledBack"
)

// phaseGraph is every change of phase that is allowed. The CEL rule on RolloutStatus has
// the same; a test compares them.
var phaseGraph = map[Phase][]Phase{
	"":               {PhaseStable},
	PhaseStable:      {PhaseGating, PhaseRolledBack, PhaseHandingOver},
	PhaseGating:      {PhaseStable, PhaseStepping, PhasePromoting, PhaseHandingOver, PhaseRolledBack},
	PhaseStepping:    {PhasePromoting, PhaseBaking, PhaseHandingOver, PhaseRollingBack},
	PhasePromoting:   {PhaseBaking, PhaseHandingOver, PhaseRollingBack},
	PhaseBaking:      {PhasePromoting, PhaseHandingOver, PhaseRollingBack},
	PhaseHandingOver: {PhaseStable, PhasePromoting, PhaseRollingBack},
	PhaseRollingBack: {PhaseStable, PhaseGating, PhaseHandingOver, PhaseRolledBack},
	PhaseRolledBack:  {PhaseStable, PhaseGating, PhaseHandingOver},
}

// MayFollow reports whether a Rollout in phase from may next be in phase p.
func (p Phase) MayFollow(from Phase) bool {
	if p == from {
		return true
	}
	for _, next := range phaseGraph[from] {
		if next == p {
			return true
		}
	}
	return false
}

// Outcome is how a run ended.
// +kubebuilder:validation:Enum=Promoted;RolledBack;Superseded;Cancelled;Bypassed
type Outcome string

const (
	// OutcomePromoted means: the candidate became the stable version.
	OutcomePromoted Outcome = "Promoted"
	// OutcomeRolledBack means: a trigger or an abort rejected the candidate.
	OutcomeRolledBack Outcome = "RolledBack"
	// OutcomeSuperseded means: another template was declared before the run ended.
	OutcomeSuperseded Outcome = "Superseded"
	// OutcomeCancelled means: the stable template was declared again, or the Rollout was
	// deleted.
	OutcomeCancelled Outcome = "Cancelled"
	// OutcomeBypassed means: somebody with the verb bypass let the workload roll out without
	// Belay's checks.
	OutcomeBypassed Outcome = "Bypassed"
)

// InRun reports whether a run is in progress in this phase.
func (p Phase) InRun() bool {
	switch p {
	case PhaseStepping, PhasePromoting, PhaseBaking, PhaseHandingOver, PhaseRollingBack:
		return true
	default:
		return false
	}
}

// Armed reports whether triggers can roll back by a change of weights in this phase.
func (p Phase) Armed() bool {
	switch p {
	case PhaseStepping, PhasePromoting, PhaseBaking:
		return true
	default:
		return false
	}
}

// StageStart is the time from which samples count for the present stage: when the gateway
// acknowledged the weight of the step, or 100 % in a bake, or when the Deployment was first
// seen to run only the version of a native promotion. Before that it is now. The times in
// the status are rounded up to whole seconds, so that no sample from before the
// acknowledgement counts.
func (s *RolloutStatus) StageStart(now time.Time) time.Time {
	if p := s.Promotion; p != nil {
		switch {
		case p.SettledAt != nil:
			return p.SettledAt.Time
		case p.FullAt != nil:
			return p.FullAt.Time
		case s.Phase != PhaseHandingOver:
			return now
		}
	}
	if s.Step != nil && s.Step.AcknowledgedAt != nil {
		return s.Step.AcknowledgedAt.Time
	}
	return now
}

// Judged reports whether triggers judge the run in progress: not during a rollback, and not
// when the Deployment rolls out because of a bypass or because nothing served.
func (s *RolloutStatus) Judged() bool {
	if s.Phase == PhaseHandingOver && s.Promotion != nil {
		return s.Promotion.Mode == TakeOverHandOver || s.Promotion.Mode == TakeOverNative
	}
	return s.Phase.Armed()
}

// StepIndex is the index of the step in progress, -1 in every other phase than Stepping.
func (s *RolloutStatus) StepIndex() int {
	if s.Phase != PhaseStepping || s.Step == nil {
		return -1
	}
	return int(s.Step.Index)
}
