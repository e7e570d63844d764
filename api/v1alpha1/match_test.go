package v1alpha1

import (
	"strings"
	"testing"
)

func TestAMatchInWords(t *testing.T) {
	header := HeaderMatch{Name: "x-canary", Value: "1"}
	for want, match := range map[string]*StepMatch{
		"":                                   nil,
		"header x-canary: 1":                 {Headers: []HeaderMatch{header}},
		"header x-canary ~ ^1":               {Headers: []HeaderMatch{{Type: MatchRegularExpression, Name: "x-canary", Value: "^1"}}},
		"cookie a=b and query parameter c=d": {Cookies: []CookieMatch{{Name: "a", Value: "b"}}, QueryParams: []QueryParamMatch{{Name: "c", Value: "d"}}},
		"query parameter c~d|e":              {QueryParams: []QueryParamMatch{{Type: MatchRegularExpression, Name: "c", Value: "d|e"}}},
		"header x-canary: 1 and header x-canary: 1 and 2 more": {Headers: []HeaderMatch{header, header, header, header}},
	} {
		if got := match.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	long := StepMatch{Headers: []HeaderMatch{{Name: strings.Repeat("n", 256), Value: strings.Repeat("v", 1024)}}}
	if got := long.String(); len(got) > 128 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// TestNothingIsCompared without copies, where there is a comparer.
func TestNothingIsCompared(t *testing.T) {
	spec := RolloutSpec{Traffic: &Traffic{Comparer: &Comparer{}}, Steps: []Step{{Mirror: 1}, {Weight: 1}}}
	for want, all := range map[bool][]RolloutStatus{
		false: {{Phase: PhaseStepping, Step: &StepStatus{}}},
		true:  {{Phase: PhaseStepping, Step: &StepStatus{Index: 1}}, {Phase: PhaseStepping, Step: &StepStatus{Index: 2}}, {Phase: PhaseBaking, Step: &StepStatus{}}, {Phase: PhasePromoting}},
	} {
		for _, status := range all {
			if got := spec.Uncompared(&status); got != want {
				t.Errorf("%+v: %t", status, got)
			}
		}
	}
	spec.Traffic.Comparer = nil
	if spec.Uncompared(&RolloutStatus{Phase: PhaseBaking}) {
		t.Error("without a comparer")
	}
}

// TestAStepIsAPreview only where no user's request reaches the candidate, not even as a copy.
func TestAStepIsAPreview(t *testing.T) {
	spec := RolloutSpec{Traffic: &Traffic{Preview: PreviewEnabled}, Steps: []Step{
		{}, {Weight: 1}, {Match: &StepMatch{}}, {Mirror: 1},
	}}
	for step, want := range map[int]bool{-1: false, 0: true, 1: false, 2: false, 3: false, 4: false} {
		if got := spec.PreviewsCandidate(step); got != want {
			t.Errorf("step %d: %t", step, got)
		}
	}
	spec.Traffic.Preview = PreviewDisabled
	if spec.PreviewsCandidate(0) {
		t.Error("without a preview Service")
	}
}
