package guardrails

import (
	"fmt"
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

// BenchmarkPin is what a look at a run costs for each of its guardrails, when nobody has
// changed it since the run started: a preset adds what it fills in, and no hash.
func BenchmarkPin(b *testing.B) {
	for name, preset := range map[string]v1alpha1.Preset{"written out": "", "preset": "otel-http"} {
		for _, slos := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", name, slos), func(b *testing.B) {
				spec := v1alpha1.GuardrailSpec{Source: "default", MinimumSamples: 200}
				for i := range slos {
					requests := &v1alpha1.RequestsIndicator{}
					if preset == "" {
						requests.Total, requests.Bad = v1alpha1.Series{Metric: "requests"}, v1alpha1.Series{Metric: "requests", Matchers: []v1alpha1.Matcher{{Name: "code", Op: "=~", Value: "5.."}}}
					}
					spec.SLOs = append(spec.SLOs, v1alpha1.SLO{Name: fmt.Sprintf("slo-%d", i), Objective: "99.9", Period: "30d", Indicator: v1alpha1.Indicator{Preset: preset, Requests: requests}})
				}
				pinned, err := Pin("Guardrail", "shop", "1", spec)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if again, err := Pin("Guardrail", "shop", "1", spec, pinned); err != nil || again.Hash != pinned.Hash {
						b.Fatalf("%s, %v", again.Hash, err)
					}
				}
			})
		}
	}
}
