package guardrails

import (
	"testing"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/api/v1alpha1"
)

// TestAPresetAndABadWithItsMetric: without a preset the API refuses bad with the metric of
// total and no matcher (every request would be bad). With one it sees no total.
func TestAPresetAndABadWithItsMetric(t *testing.T) {
	spec := presets.Fill(v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "a", Objective: "99", Indicator: v1alpha1.Indicator{
		Preset: "go", Requests: &v1alpha1.RequestsIndicator{Bad: v1alpha1.Series{Metric: "http_requests_total"}}}}}})
	if got := Mistake(spec); got == "" {
		r := spec.SLOs[0].Indicator.Requests
		t.Errorf("total %v and bad %v: no mistake is said, and all requests are bad", r.Total, r.Bad)
	}
}
