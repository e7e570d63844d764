package v1alpha1

import (
	"slices"
	"time"
)

// maxHandledTokens is the limit of status.handledTokens.
const maxHandledTokens = 10

// Handled reports whether the command with this token was carried out or refused: it is
// one of the last ten. An empty token is not a command and counts as handled.
func (s *RolloutStatus) Handled(token string) bool {
	if token == "" {
		return true
	}
	return s.LastHandledAction != nil && s.LastHandledAction.Token == token || slices.Contains(s.HandledTokens, token)
}

// Remember makes action the last command handled. The tokens of the nine commands before
// it stay handled too.
func (s *RolloutStatus) Remember(action HandledAction) {
	tokens := []string{action.Token}
	if last := s.LastHandledAction; last != nil && len(s.HandledTokens) == 0 {
		// A status from before handledTokens.
		tokens = append(tokens, last.Token)
	}
	for _, token := range s.HandledTokens {
		if !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	s.LastHandledAction = &action
	s.HandledTokens = tokens[:min(len(tokens), maxHandledTokens)]
}

// CommandedPause is the pause of the present candidate that the command Pause began; nil
// without one. It does not tell of spec.paused.
func (s *RolloutStatus) CommandedPause() *PauseStatus {
	if s.Pause == nil || s.Candidate == nil || s.Pause.Revision != s.Candidate.Revision {
		return nil
	}
	return s.Pause
}

// FreezeOverridden is the override of freezes for the present candidate; nil without one.
func (s *RolloutStatus) FreezeOverridden() *FreezeOverrideStatus {
	if s.FreezeOverride == nil || s.Candidate == nil || s.FreezeOverride.Revision != s.Candidate.Revision {
		return nil
	}
	return s.FreezeOverride
}

// ApprovalMissing reports whether a step of these needs an approval that nobody has given; s
// is the step in progress. A later step has none yet.
func (s *StepStatus) ApprovalMissing(steps []Step, index int32) bool {
	if int(index) >= len(steps) || steps[index].Approval != ApprovalRequired {
		return false
	}
	return s == nil || s.Index != index || s.Approval == nil
}

// Waited is how long the run could not go on in this step and what follows it, because it
// was paused or the Deployment had 0 replicas.
func (s *StepStatus) Waited(now time.Time) time.Duration {
	waited := time.Duration(s.WaitedSeconds) * time.Second
	if s.WaitsSince != nil {
		waited += max(0, now.Sub(s.WaitsSince.Time))
	}
	return waited
}

// Stood is how much of that time belongs to the hold or the bake in progress, which is so
// much longer.
func (s *StepStatus) Stood(now time.Time) time.Duration {
	return max(0, s.Waited(now)-time.Duration(s.WaitedBefore)*time.Second)
}
