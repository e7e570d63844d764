package view

import (
	"fmt"
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Ending is what somebody who waits for a version is told.
type Ending struct {
	// Over is set when waiting longer changes nothing. Outcome then is how it ended; empty
	// when the version is stable without a run.
	Over    bool
	Outcome v1alpha1.Outcome
	// Said is one sentence: how it ended, or what is waited for.
	Said string
}

// Await says how a revision has ended. Declared is the revision that the workload
// declares, empty when that is not known. Only runs that ended at or after from count, and
// what is still so.
func Await(r *v1alpha1.Rollout, revision, declared string, from time.Time) Ending {
	s := &r.Status
	if s.Stable != nil && s.Stable.Revision == revision && s.Phase == v1alpha1.PhaseStable {
		outcome := v1alpha1.OutcomePromoted
		if h := newest(s, revision); h != nil {
			outcome = h.Outcome
		}
		if outcome != v1alpha1.OutcomeBypassed {
			outcome = v1alpha1.OutcomePromoted
		}
		return Ending{true, outcome, fmt.Sprintf("%s is the stable version and serves", Tag(s.Stable))}
	}
	if rejected := s.IsRejected(revision); rejected != nil && (!candidateIs(s, revision) || s.Phase == v1alpha1.PhaseRolledBack) {
		return Ending{true, v1alpha1.OutcomeRolledBack, Text(s.Message, 1024)}
	}
	if h := newest(s, revision); h != nil && !h.FinishedAt.Time.Before(from.Truncate(time.Second)) && h.Outcome != v1alpha1.OutcomePromoted {
		return Ending{true, h.Outcome, Text(h.Message, 1024)}
	}
	if declared != "" && declared != revision && !candidateIs(s, revision) {
		outcome := v1alpha1.OutcomeSuperseded
		if s.Stable != nil && s.Stable.Revision == declared {
			outcome = v1alpha1.OutcomeCancelled
		}
		return Ending{true, outcome, fmt.Sprintf("%s declares revision %s now, not %s", workloadOf(r), declared, revision)}
	}
	return Ending{Said: Text(s.Message, 1024)}
}

func candidateIs(s *v1alpha1.RolloutStatus, revision string) bool {
	return s.Candidate != nil && s.Candidate.Revision == revision
}

func newest(s *v1alpha1.RolloutStatus, revision string) *v1alpha1.HistoryEntry {
	if i := slices.IndexFunc(s.History, func(h v1alpha1.HistoryEntry) bool { return h.Revision == revision }); i >= 0 {
		return &s.History[i]
	}
	return nil
}
