package plan

import (
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

// TestOnlyAJudgedVersionReturnsWithoutSteps: one that became stable by a bypass is
// no version to go back to at once.
func TestOnlyAJudgedVersionReturnsWithoutSteps(t *testing.T) {
	for outcome, remembered := range map[v1alpha1.Outcome]int{v1alpha1.OutcomePromoted: 1, v1alpha1.OutcomeBypassed: 0, "": 1} {
		in := Input{}
		in.Status.Stable = &v1alpha1.Revision{Revision: "bbbbbbbbbb"}
		if outcome != "" {
			in.Status.History = []v1alpha1.HistoryEntry{{Revision: "bbbbbbbbbb", Outcome: outcome}}
		}
		d := Decision{Status: *in.Status.DeepCopy()}
		newFacts(in).becomeStable(&d, Set{Revision: "cccccccccc"})
		if len(d.Status.Previous) != remembered || d.Status.Stable.Revision != "cccccccccc" {
			t.Errorf("after a run that ended %q: previous %v", outcome, d.Status.Previous)
		}
	}
}

// TestTheWayBackPromisesNoMoreThanItHolds: whoever is sent back to a version reads
// which one, and that it returns without steps only where it does.
func TestTheWayBackPromisesNoMoreThanItHolds(t *testing.T) {
	none, two := int32(0), int32(2)
	before, serves := "declare shop:a again (revision aaaaaaaaaa;", "declare shop:b again (revision bbbbbbbbbb;"
	for name, c := range map[string]struct {
		change func(*Input)
		names  string
		fast   bool
	}{
		"stable":                       {func(*Input) {}, before, true},
		"stable, two fast reverts":     {func(in *Input) { in.Spec.FastRevert.Revisions = &two }, before, true},
		"stable, no fast revert":       {func(in *Input) { in.Spec.FastRevert.Revisions = &none }, before, false},
		"stable, promoted natively":    {func(in *Input) { in.Spec.Promotion.Mode = v1alpha1.PromotionNative }, before, false},
		"stable, the first version":    {func(in *Input) { in.Status.Previous = nil }, "declare the version you want", false},
		"handing over":                 {func(in *Input) { in.Status.Phase = v1alpha1.PhaseHandingOver }, serves, true},
		"rolling back":                 {func(in *Input) { in.Status.Phase = v1alpha1.PhaseRollingBack }, serves, true},
		"handing over, no fast revert": {func(in *Input) { in.Status.Phase, in.Spec.FastRevert.Revisions = v1alpha1.PhaseHandingOver, &none }, serves, false},
		"handing over, stable was never judged": {func(in *Input) {
			in.Status.Phase = v1alpha1.PhaseHandingOver
			in.Status.History = []v1alpha1.HistoryEntry{{Revision: "bbbbbbbbbb", Outcome: v1alpha1.OutcomeBypassed}}
		}, serves, false},
	} {
		in := Input{}
		in.Status.Phase = v1alpha1.PhaseStable
		in.Status.Stable = &v1alpha1.Revision{Revision: "bbbbbbbbbb", Image: "shop:b"}
		in.Status.Previous = []v1alpha1.PreviousRevision{{Revision: "aaaaaaaaaa", Image: "shop:a"}}
		c.change(&in)
		say := newFacts(in).wayBack()
		if !strings.HasPrefix(say, c.names) || strings.Contains(say, "without steps") != c.fast {
			t.Errorf("%s: %q", name, say)
		}
	}
}
