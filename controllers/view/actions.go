package view

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
)

// actions are the commands of kubectl belay that change something and make sense now, and
// the effect of each in a few words. They are shown beside commands to paste: no effect has
// a character that a shell reads, such as ; or |.
func actions(r *v1alpha1.Rollout) (names []string, effects map[string]string) {
	s := &r.Status
	stable, candidate := Tag(s.Stable), Tag(s.Candidate)
	again := "back to " + stable + ", the Deployment declares it again"
	switch {
	case s.Phase == v1alpha1.PhaseRolledBack:
		return []string{"retry", "rollback"}, map[string]string{
			"retry":    candidate + " runs once more, from its first step",
			"rollback": "the Deployment declares " + stable + " again",
		}
	case returns(s) && (s.Phase == v1alpha1.PhaseGating || s.Phase.Armed()):
		return []string{"abort"}, map[string]string{"abort": stable + " stays, " + candidate + " stays declared and rejected"}
	case returns(s):
		return nil, nil
	case s.Phase == v1alpha1.PhaseGating:
		return []string{"abort", "rollback"}, map[string]string{
			"abort":    candidate + " gets no run, it stays declared and rejected",
			"rollback": candidate + " gets no run, the Deployment declares " + stable + " again",
		}
	case s.Phase.Armed():
		return []string{"abort", "rollback"}, map[string]string{
			"abort":    "back to " + stable + ", " + candidate + " stays declared and rejected",
			"rollback": again,
		}
	case s.Phase == v1alpha1.PhaseStable && len(s.Previous) > 0:
		before := tag(s.Previous[0].Image, s.Previous[0].Revision)
		return []string{"rollback"}, map[string]string{"rollback": "back to " + before + ", the Deployment declares it again"}
	case s.Phase == v1alpha1.PhaseHandingOver:
		return []string{"rollback"}, map[string]string{"rollback": again}
	default:
		return nil, nil
	}
}

// returns is whether the candidate was stable before: to roll it back would bring the version
// again that somebody goes back from.
func returns(s *v1alpha1.RolloutStatus) bool {
	return s.Candidate != nil && slices.ContainsFunc(s.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == s.Candidate.Revision })
}
