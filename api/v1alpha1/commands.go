package v1alpha1

import "slices"

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
