package main

import (
	"strings"
	"testing"
	"time"

	"belay.dev/belay/controllers/view"
)

// TestAStepSaysWhoseRequestsItIsFor: while it runs, and before.
func TestAStepSaysWhoseRequestsItIsFor(t *testing.T) {
	step := view.Step{Name: "smoke", Hold: time.Minute, Testers: "header x-canary: 1"}
	for progress, want := range map[view.Progress]string{
		view.ToCome: "○ smoke 0 % and testers (header x-canary: 1) for 1m",
		view.Now:    "◐ smoke 0 % and testers (header x-canary: 1) ",
		view.Passed: "● smoke 0 %",
	} {
		step.Progress = progress
		if got := stepCell(step).text; !strings.HasPrefix(got, want) || progress == view.Passed && got != want {
			t.Errorf("%s: %q, want %q", progress, got, want)
		}
	}
}

// TestAStepSaysHowMuchItMirrors: while it runs, and before.
func TestAStepSaysHowMuchItMirrors(t *testing.T) {
	step := view.Step{Name: "shadow", Hold: time.Minute, Mirror: 10}
	for progress, want := range map[view.Progress]string{
		view.ToCome: "○ shadow 0 %, mirrors 10 % for 1m",
		view.Now:    "◐ shadow 0 %, mirrors 10 % ",
		view.Passed: "● shadow 0 %",
	} {
		step.Progress = progress
		if got := stepCell(step).text; !strings.HasPrefix(got, want) || progress == view.Passed && got != want {
			t.Errorf("%s: %q, want %q", progress, got, want)
		}
	}
}
