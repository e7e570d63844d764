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

// TestNothingIsCompared in the stages of a run that copy nothing to its comparer.
func TestNothingIsCompared(t *testing.T) {
	spec := RolloutSpec{Traffic: &Traffic{Comparer: &Comparer{Service: "shop-comparer"}}, Steps: []Step{{Mirror: 10}, {Weight: 20}}}
	for step, want := range map[int]bool{-1: true, 0: false, 1: true, 2: true} {
		if got := spec.ComparesNothing(step); got != want {
			t.Errorf("step %d: %t", step, got)
		}
	}
	spec.Traffic.Comparer = nil
	if spec.ComparesNothing(1) || (&RolloutSpec{}).ComparesNothing(-1) {
		t.Error("without a comparer")
	}
}
