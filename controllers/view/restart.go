package view

import "belay.dev/belay/api/v1alpha1"

// restarts is whether the candidate is a restart of the stable version: by the status while it
// is on its way, by its run, which may be nil, also once it is rejected.
func restarts(s *v1alpha1.RolloutStatus, run *v1alpha1.RolloutRun) bool {
	if s.Promotion != nil && s.Promotion.Restart {
		return true
	}
	return run != nil && run.Spec.Restart && candidateIs(s, run.Spec.Revision)
}

// restartTag marks the tag of a restart, which is that of the version that it restarts.
func restartTag(tag string, restart bool) string {
	if restart {
		return tag + " (restart)"
	}
	return tag
}

// ofRestart is a tag in a sentence about the restart of its version.
func ofRestart(tag string, restart bool) string {
	if restart {
		return "the restart of " + tag
	}
	return tag
}

// trialTag names the candidate in the words about its run.
func trialTag(s *v1alpha1.RolloutStatus) string { return ofRestart(Tag(s.Candidate), restarts(s, nil)) }
