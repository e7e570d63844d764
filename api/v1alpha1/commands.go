package v1alpha1

import "slices"

// maxHandledTokens is the API's own bound.
const maxHandledTokens = 10

// Handled reports whether the command with this token was acted on or refused: it
// is one of the last ten. An empty token is no command, and nothing is left to do.
func (s *RolloutStatus) Handled(token string) bool {
	if token == "" {
		return true
	}
	return s.LastHandledAction != nil && s.LastHandledAction.Token == token || slices.Contains(s.HandledTokens, token)
}

// Remember makes action the last one handled. The tokens of the commands before
// it stay handled too, the oldest beyond ten excepted.
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
