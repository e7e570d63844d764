package v1alpha1

import (
	"fmt"
	"slices"
	"testing"
)

// TestAHandledTokenStaysHandled: 1, 2, 1 carries out 1 once.
func TestAHandledTokenStaysHandled(t *testing.T) {
	s := &RolloutStatus{}
	if s.Handled("1") || !s.Handled("") {
		t.Error("an unknown token counts as handled, or no token as a command")
	}
	s.Remember(HandledAction{Action: ActionAbort, Token: "1"})
	s.Remember(HandledAction{Action: ActionRetry, Token: "2"})
	if !s.Handled("1") || !s.Handled("2") || s.Handled("3") {
		t.Errorf("handled tokens %q", s.HandledTokens)
	}
	if s.LastHandledAction.Token != "2" || s.LastHandledAction.Action != ActionRetry {
		t.Errorf("last %+v", s.LastHandledAction)
	}
}

func TestHandledTokensAreBounded(t *testing.T) {
	s := &RolloutStatus{}
	for n := range 30 {
		s.Remember(HandledAction{Token: fmt.Sprint(n)})
		s.Remember(HandledAction{Token: fmt.Sprint(n)})
	}
	if want := []string{"29", "28", "27", "26", "25", "24", "23", "22", "21", "20"}; !slices.Equal(s.HandledTokens, want) {
		t.Errorf("kept %q, want %q", s.HandledTokens, want)
	}
}

// TestAStatusOfTheFirstEdition has the last command alone.
func TestAStatusOfTheFirstEdition(t *testing.T) {
	s := &RolloutStatus{LastHandledAction: &HandledAction{Token: "1"}}
	if !s.Handled("1") {
		t.Error("the last one is not handled")
	}
	s.Remember(HandledAction{Token: "2"})
	if !s.Handled("1") || !slices.Equal(s.HandledTokens, []string{"2", "1"}) {
		t.Errorf("handled tokens %q", s.HandledTokens)
	}
}

func TestRememberSharesNothing(t *testing.T) {
	before := &RolloutStatus{HandledTokens: []string{"2", "1"}, LastHandledAction: &HandledAction{Token: "2"}}
	after := *before
	after.Remember(HandledAction{Token: "3"})
	if !slices.Equal(before.HandledTokens, []string{"2", "1"}) || before.LastHandledAction.Token != "2" {
		t.Errorf("the status before changed: %+v", before)
	}
}
