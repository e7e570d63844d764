package evidence

import (
	"sort"

	"belay.dev/belay/api/v1alpha1"
)

// Expired returns the finished runs beyond limit, oldest first. Runs without an
// outcome never expire, and neither does the newest run that rejected a
// revision still remembered: it is the memory that outlives the Rollout.
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
