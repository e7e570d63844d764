package judge

import (
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// TestAClockThatWasSetBack leaves no old pass standing, whether the process goes on or
// another one reads what it wrote: the run is judged anew from what is counted now.
func TestAClockThatWasSetBack(t *testing.T) {
	for name, restart := range map[string]bool{"the same process": false, "another process": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			for range 12 {
				b.source.serve(500, 0)
				b.poll()
			}
			if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictPass {
				t.Fatalf("a healthy candidate is %s", got.Outcome)
			}
			b.clock.SetTime(b.clock.Now().Add(-10 * time.Minute))
			if restart {
				b.restart()
			}
			b.poll()
			if got := b.recorded(b.runs[0]); got.Outcome == v1alpha1.VerdictPass || got.EvaluatedAt.After(b.clock.Now()) {
				t.Errorf("after the clock was set back to %s: %s at %s", b.clock.Now(), got.Outcome, got.EvaluatedAt)
			}
			polls := 0
			for ; polls < 24 && b.recorded(b.runs[0]).Outcome != v1alpha1.VerdictFail; polls++ {
				b.source.serve(500, 25)
				b.poll()
			}
			got := b.recorded(b.runs[0])
			if got.Outcome != v1alpha1.VerdictFail || statistic(&got, "restarts") != 1 {
				t.Errorf("two minutes of 50 %% errors are %s, with %v lost states: %s", got.Outcome, statistic(&got, "restarts"), got.Message)
			}
		})
	}
}

// TestAPreflightFromTheFuture is made again.
func TestAPreflightFromTheFuture(t *testing.T) {
	b := newBench(t, 1)
	b.edit(func(g *v1alpha1.GuardrailSpec) { g.Preflight = &v1alpha1.Preflight{BudgetRemaining: "10"} })
	b.preflight()
	b.clock.SetTime(b.clock.Now().Add(-10 * time.Minute))
	if got := b.preflight(); got.EvaluatedAt.After(b.clock.Now()) {
		t.Errorf("at %s the newest pre-flight is from %s", b.clock.Now(), got.EvaluatedAt)
	}
}
