package v1alpha1

// Phase is where a Rollout stands. It is derived from decisions already
// recorded, and shown; the planner reads it, with the rest of what it observed.
// +kubebuilder:validation:Enum=Stable;Gating;Stepping;Promoting;Baking;RollingBack;RolledBack
type Phase string

const (
	// PhaseStable serves one version; nothing waits.
	PhaseStable Phase = "Stable"
	// PhaseGating has a candidate that may not take traffic yet.
	PhaseGating Phase = "Gating"
	// PhaseStepping gives the candidate its share, step by step.
	PhaseStepping Phase = "Stepping"
	// PhasePromoting replaces the Deployment's pods while the canary serves.
	PhasePromoting Phase = "Promoting"
	// PhaseBaking serves the new version from the Deployment, triggers armed.
	PhaseBaking Phase = "Baking"
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
	PhaseStable:      {PhaseGating, PhaseRolledBack},
	PhaseGating:      {PhaseStable, PhaseStepping, PhaseRollingBack, PhaseRolledBack},
	PhaseStepping:    {PhasePromoting, PhaseRollingBack},
	PhasePromoting:   {PhaseBaking, PhaseRollingBack},
	PhaseBaking:      {PhaseStable, PhaseRollingBack},
	PhaseRollingBack: {PhaseStable, PhaseGating, PhaseRolledBack},
	PhaseRolledBack:  {PhaseStable, PhaseGating},
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
