package v1alpha1

import "time"

// Phase is where a Rollout stands. It is derived from decisions already
// recorded, and shown; the planner reads it, with the rest of what it observed.
// +kubebuilder:validation:Enum=Stable;Gating;Stepping;Promoting;Baking;HandingOver;RollingBack;RolledBack
type Phase string

const (
	// PhaseStable serves one version; nothing waits.
	PhaseStable Phase = "Stable"
	// PhaseGating has a candidate that may not take traffic yet.
	PhaseGating Phase = "Gating"
	// PhaseStepping gives the candidate its share, step by step.
	PhaseStepping Phase = "Stepping"
	// PhasePromoting grows the canary to full size and gives it all requests.
	PhasePromoting Phase = "Promoting"
	// PhaseBaking has the canary serve alone, triggers armed, with the stable
	// version still there at full size.
	PhaseBaking Phase = "Baking"
	// PhaseHandingOver gives the canary's ReplicaSet to the Deployment; or the
	// Deployment takes a version over by its own strategy (a native promotion, a
	// bypass).
	PhaseHandingOver Phase = "HandingOver"
	// PhaseRollingBack takes the candidate out of service.
	PhaseRollingBack Phase = "RollingBack"
	// PhaseRolledBack serves the stable version; the Deployment still declares
	// the rejected one, paused.
	PhaseRolledBack Phase = "RolledBack"
)

// phaseGraph is every edge a Rollout's phase may take. The CEL rule on
// RolloutStatus says the same to the API server; a test holds them equal.
var phaseGraph = map[Phase][]Phase{
	"":               {PhaseStable},
	PhaseStable:      {PhaseGating, PhaseRolledBack, PhaseHandingOver},
	PhaseGating:      {PhaseStable, PhaseStepping, PhasePromoting, PhaseHandingOver, PhaseRolledBack},
	PhaseStepping:    {PhasePromoting, PhaseHandingOver, PhaseRollingBack},
	PhasePromoting:   {PhaseBaking, PhaseHandingOver, PhaseRollingBack},
	PhaseBaking:      {PhasePromoting, PhaseHandingOver, PhaseRollingBack},
	PhaseHandingOver: {PhaseStable, PhaseRollingBack},
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
	// OutcomePromoted means the candidate became the stable version.
	OutcomePromoted Outcome = "Promoted"
	// OutcomeRolledBack means a trigger or an abort rejected the candidate.
	OutcomeRolledBack Outcome = "RolledBack"
	// OutcomeSuperseded means a newer template came before a decision.
	OutcomeSuperseded Outcome = "Superseded"
	// OutcomeCancelled means the template went back to the stable one, or the
	// Rollout was deleted.
	OutcomeCancelled Outcome = "Cancelled"
	// OutcomeBypassed means somebody with the verb bypass let the Deployment
	// roll without Belay.
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

// Armed reports whether the triggers can still roll back by weights in this phase.
func (p Phase) Armed() bool {
	switch p {
	case PhaseStepping, PhasePromoting, PhaseBaking:
		return true
	default:
		return false
	}
}

// StageStart is the time from which samples count for the present stage: when
// the gateway acknowledged the weight of the step, or everything in a bake, or
// when the Deployment was first seen to run a natively promoted version alone;
// now while it has not. The status keeps these times rounded up to whole seconds: a
// sample from before the acknowledgement never passes the stage.
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

// Judged reports whether the run in progress is judged by its triggers: not while
// it is being taken out, and not when a person or necessity let it roll.
func (s *RolloutStatus) Judged() bool {
	if s.Phase == PhaseHandingOver && s.Promotion != nil {
		return s.Promotion.Mode == TakeOverHandOver || s.Promotion.Mode == TakeOverNative
	}
	return s.Phase.Armed()
}
