package plan

import (
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// Outcomes are those that a run may have whose record has this decision; nil when the decision
// does not tell. It is for records without inputs, which cannot be replayed.
func Outcomes(d v1alpha1.DecisionRecord) []v1alpha1.Outcome {
	switch {
	case d.Rule == "RollbackDone" && d.Phase == v1alpha1.PhaseRolledBack:
		return []v1alpha1.Outcome{v1alpha1.OutcomeRolledBack}
	case d.Rule == "RollbackDone":
		return []v1alpha1.Outcome{v1alpha1.OutcomeRolledBack, v1alpha1.OutcomeCancelled, v1alpha1.OutcomeSuperseded}
	case (d.Rule == "Promoted" || d.Rule == "NativeDone") && strings.HasPrefix(d.Why, "promoted "):
		return []v1alpha1.Outcome{v1alpha1.OutcomePromoted}
	default:
		return nil
	}
}
