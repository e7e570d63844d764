package plan

import (
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
