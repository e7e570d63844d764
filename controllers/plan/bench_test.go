package plan_test

import (
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// BenchmarkDecide is one decision: the rule table from its first row.
func BenchmarkDecide(b *testing.B) {
	for name, in := range map[string]plan.Input{
		"stable": given(), "holding": given(stepAt(0), acknowledgedAt(&justNow)),
		"trigger": given(stepAt(0), verdict(v1alpha1.VerdictFail)), "rollback": given(rollingBack(nil), split(10)),
		"handover": given(handingOver), "promoted": given(handedAlone),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := plan.Decide(in); d.Rule == "" {
					b.Fatal("no decision")
				}
			}
		})
	}
}
