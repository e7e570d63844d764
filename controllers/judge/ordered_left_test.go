package judge

import (
	"testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// TestErrorsThatAPodBeforeHasLeft: pods push their counters, each from the first thing that it
// counts on, under their names. So for five minutes the source has the errors of the stable web-2
// beside the requests of the candidate's, which fails none.
func TestErrorsThatAPodBeforeHasLeft(t *testing.T) {
	b := newOrderedBench(t, scrapes{instance: ofName, lazy: true}, stablePod("web-0"), stablePod("web-1"),
		life{name: "web-2", version: stableHash, from: -300, until: 62, bad: 1}, life{name: "web-2", version: canaryHash, from: 63})
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		invariant := v1alpha1.Invariant{Name: "i", Checks: v1alpha1.Series{Metric: "requests"}, Violations: v1alpha1.Series{Metric: "errors"}, MissingViolations: v1alpha1.MissingZero}
		g.Invariants = []v1alpha1.Invariant{invariant}
		g.Triggers = append(g.Triggers, v1alpha1.Trigger{Name: "i", Invariant: "i"})
	})
	for second := 90; second < 500; second += 30 {
		b.play(second)
		if got := b.violated("i"); got == nil || got.Outcome == v1alpha1.VerdictFail {
			t.Fatalf("after %d s: %+v", second, got)
		}
	}
	if got := b.violated("i"); got.Outcome != v1alpha1.VerdictPass {
		t.Errorf("when they have expired: %s: %s", got.Outcome, got.Message)
	}
}

// TestErrorsOfTheCandidateItself are counted as soon as there are some.
func TestErrorsOfTheCandidateItself(t *testing.T) {
	b := newOrderedBench(t, scrapes{instance: ofName, lazy: true}, stablePod("web-0"), stablePod("web-1"),
		life{name: "web-2", version: stableHash, from: -300, until: 62, bad: 1}, life{name: "web-2", version: canaryHash, from: 63, bad: 2})
	b.play(200)
	if canary, _ := b.counts(); canary == (analysis.Counts{}) || canary.Bad*5 != canary.Total {
		t.Errorf("counted %v of the candidate, which fails one in five", canary)
	}
}

func (b *orderedBench) violated(name string) *v1alpha1.TriggerAnalysis {
	b.t.Helper()
	run := &v1alpha1.RolloutRun{}
	if err := b.client.Get(b.t.Context(), b.runs[0], run); err != nil || run.Status.Analysis == nil {
		b.t.Fatalf("the run has no verdicts (%v)", err)
	}
	return run.Status.Analysis.Trigger("Guardrail", "shop", name)
}
