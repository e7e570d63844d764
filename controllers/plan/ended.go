package plan

import (
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// Outcomes are those that a run may have whose record has this decision; nil when the decision
// does not tell. It is for records without inputs, which cannot be replayed.
func Outcomes(d v1alpha1.DecisionRecord) []v1alpha1.Outcome {
	switch {
	case slices.Contains([]string{"RollbackDone", "RollbackFinished"}, d.Rule) && d.Phase == v1alpha1.PhaseRolledBack:
		return []v1alpha1.Outcome{v1alpha1.OutcomeRolledBack}
	case slices.Contains([]string{"RollbackDone", "RollbackFinished"}, d.Rule):
		return []v1alpha1.Outcome{v1alpha1.OutcomeRolledBack, v1alpha1.OutcomeCancelled, v1alpha1.OutcomeSuperseded}
	case slices.Contains([]string{"Promoted", "PromotedInPlace", "NativeDone"}, d.Rule) && strings.HasPrefix(d.Why, "promoted "):
		return []v1alpha1.Outcome{v1alpha1.OutcomePromoted}
	default:
		return nil
	}
}
