package evidence

import (
	"slices"
	"sort"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Expired returns the finished runs beyond limit, oldest first. Runs without an outcome
// never expire. Neither does the newest run that rejected a revision in remembered: the
// rejection must still be known after the Rollout was deleted.
func Expired(runs []v1alpha1.RolloutRun, limit int, remembered map[string]bool) []v1alpha1.RolloutRun {
	var finished []v1alpha1.RolloutRun
	for _, r := range runs {
		if r.Status.Outcome != "" {
			finished = append(finished, r)
		}
	}
	sort.SliceStable(finished, func(i, j int) bool {
		return finished[i].Spec.StartedAt.After(finished[j].Spec.StartedAt.Time)
	})
	kept := map[string]bool{}
	var expired []v1alpha1.RolloutRun
	for i, r := range finished {
		memory := r.Status.Outcome == v1alpha1.OutcomeRolledBack && remembered[r.Spec.Revision] && !kept[r.Spec.Revision]
		kept[r.Spec.Revision] = kept[r.Spec.Revision] || memory
		if i >= limit && !memory {
			expired = append(expired, r)
		}
	}
	for i, j := 0, len(expired)-1; i < j; i, j = i+1, j-1 {
		expired[i], expired[j] = expired[j], expired[i]
	}
	return expired
}

// Abandoned returns which runs of a deleted Rollout can be deleted, oldest first: those
// that finished longer than keep ago, and those beyond the newest limit. Next is the
// time until another one expires, or 0 when none will. Runs without an outcome never
// expire: their ReplicaSets may still serve requests.
func Abandoned(runs []v1alpha1.RolloutRun, now time.Time, keep time.Duration, limit int) (expired []v1alpha1.RolloutRun, next time.Duration) {
	finished := slices.DeleteFunc(slices.Clone(runs), func(r v1alpha1.RolloutRun) bool { return r.Status.Outcome == "" })
	slices.SortStableFunc(finished, func(a, b v1alpha1.RolloutRun) int { return finishedAt(&b).Compare(finishedAt(&a)) })
	for i := range finished {
		left := keep - now.Sub(finishedAt(&finished[i]))
		switch {
		case i >= limit || left <= 0:
			expired = append(expired, finished[i])
		case next == 0 || left < next:
			next = left
		}
	}
	slices.Reverse(expired)
	return expired, next
}

// finishedAt is when a run ended, or when it started if the end is not recorded.
func finishedAt(run *v1alpha1.RolloutRun) time.Time {
	if run.Status.FinishedAt != nil {
		return run.Status.FinishedAt.Time
	}
	return run.Spec.StartedAt.Time
}
