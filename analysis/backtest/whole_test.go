package backtest

import (
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// TestAGuardrailWithAPreset, as docs/metrics.md recommends it, can be judged from past data.
func TestAGuardrailWithAPreset(t *testing.T) {
	p := newPast(t, pods(from(0))...)
	spec := releases(Window{noon, 30 * time.Minute})
	spec.Guardrail = v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "availability", Objective: "99.9", Indicator: v1alpha1.Indicator{Preset: "go", Requests: &v1alpha1.RequestsIndicator{}}}}}
	if got, err := Run(t.Context(), p.client(t), spec, nil); err != nil {
		t.Errorf("%v\n%s", err, got.Text(10))
	}
}

// TestWhatIsLeftOutIsSaid: saturation triggers and checks are not judged.
func TestWhatIsLeftOutIsSaid(t *testing.T) {
	p := newPast(t, pods(healthy)...)
	spec := releases(Window{noon, 30 * time.Minute})
	spec.Guardrail.Triggers = append(spec.Guardrail.EffectiveTriggers(), v1alpha1.Trigger{Name: "memory", Saturation: &v1alpha1.SaturationTrigger{Gauge: &v1alpha1.Series{Metric: "m"}, Max: "0"}})
	got, err := Run(t.Context(), p.client(t), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := got.Text(10); !strings.Contains(text, "memory") && !strings.Contains(text, "saturation") {
		t.Errorf("%d triggers are reported, nothing is said of the saturation trigger:\n%s", len(got.Triggers), text)
	}
}
