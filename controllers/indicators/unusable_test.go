package indicators

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// TestABrokenPodInTheStatus: by Prometheus' own engine, a pod whose counters are no numbers is
// left out and named, and the guardrail stays usable as long as others can be counted.
func TestABrokenPodInTheStatus(t *testing.T) {
	row := func(total, bad string) string {
		return fmt.Sprintf("requests{status_code=\"200\"} %s\nrequests{status_code=\"500\"} %s\n", total, bad)
	}
	reports := func(pod, value, metric string) string {
		return fmt.Sprintf("pod %q reports the value %s for %s: it must be finite and not negative", pod, value, metric)
	}
	const a, b = "app-0-stable-aaaaa", "app-0-stable-bbbbb"
	for name, tc := range map[string]struct {
		pods   map[string]string
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		"all can be counted": {map[string]string{a: row("90", "10"), b: row("50", "0")}, metav1.ConditionTrue, "Healthy",
			"150 requests, 10 of them bad, since the stable pods of 1 Rollout started"},
		"one says NaN": {map[string]string{a: row("90", "10"), b: row("NaN", "0")}, metav1.ConditionTrue, "Healthy",
			"100 requests, 10 of them bad, since the stable pods of 1 Rollout started; series left out: 1 (" + reports(b, "NaN", "requests") + ")"},
		"one says NaN for bad": {map[string]string{a: row("90", "10"), b: row("50", "NaN")}, metav1.ConditionTrue, "Healthy",
			"150 requests, 10 of them bad, since the stable pods of 1 Rollout started; series left out: 1 (" + reports(b, "NaN", "requests") + ")"},
		"one is negative": {map[string]string{a: row("-90", "10"), b: row("50", "0")}, metav1.ConditionTrue, "Healthy",
			"60 requests, 10 of them bad, since the stable pods of 1 Rollout started; series left out: 1 (" + reports(a, "-90", "requests") + ")"},
		"all are infinite": {map[string]string{a: row("+Inf", "+Inf"), b: row("+Inf", "+Inf")}, metav1.ConditionUnknown, string(analysis.Malformed),
			"nothing can be counted: series left out: 4 (" + reports(a, "+Inf", "requests") + ")"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(app(0, 2), guardrailOf(nil))...)
			e := enginetest.New(w.clock.Now())
			for pod, text := range tc.pods {
				e.Scrape(t, text, map[string]string{"namespace": "shop", "pod": pod, "instance": pod})
			}
			w.readsFrom(e.Serve(t))
			ready, status := w.look()
			if ready.Status != tc.status || len(status.Indicators) != 1 || status.Indicators[0].Reason != tc.reason || status.Indicators[0].Message != tc.says {
				t.Errorf("%s %s: %s; %+v", ready.Status, ready.Reason, ready.Message, status.Indicators)
			}
		})
	}
}

// TestABrokenPodOfOneRolloutOfMany is named with its Rollout; the others, which share the query,
// are counted.
func TestABrokenPodOfOneRolloutOfMany(t *testing.T) {
	w := newWorld(t, append(append(app(0, 1), app(1, 1)...), guardrailOf(func(s *v1alpha1.GuardrailSpec) {
		s.Invariants = []v1alpha1.Invariant{{Name: "ledger", Checks: v1alpha1.Series{Metric: "checks"}, Violations: v1alpha1.Series{Metric: "violations"}}}
		s.Triggers = []v1alpha1.Trigger{{Name: "lag", Saturation: &v1alpha1.SaturationTrigger{Gauge: &v1alpha1.Series{Metric: "lag"}, Max: "1", For: metav1.Duration{Duration: time.Minute}}}}
	}))...)
	e := enginetest.New(w.clock.Now())
	for i, value := range []string{"5", "NaN"} {
		pod := fmt.Sprintf("app-%d-stable-aaaaa", i)
		e.Scrape(t, "requests{status_code=\"200\"} 9\nrequests{status_code=\"500\"} 1\nchecks "+value+"\nviolations 0\nlag "+value+"\n", map[string]string{"namespace": "shop", "pod": pod, "instance": pod})
	}
	w.readsFrom(e.Serve(t))
	_, status := w.look()
	reports := `; Rollout shop/app-1: series left out: 1 (pod "app-1-stable-aaaaa" reports the value NaN for %s: it must be finite and not negative)`
	want := []v1alpha1.IndicatorStatus{
		{Kind: "SLO", Name: "availability", Reason: "Healthy", Message: "20 requests, 2 of them bad, since the stable pods of 2 Rollouts started"},
		{Kind: "Invariant", Name: "ledger", Reason: "Malformed", Message: `Rollout shop/app-1: nothing can be counted: series left out: 1 (pod "app-1-stable-aaaaa" reports the value NaN for checks: it must be finite and not negative)`},
		{Kind: "Saturation", Name: "lag", Reason: "Healthy", Message: "its series exist on the stable pods of 2 Rollouts" + fmt.Sprintf(reports, "lag")},
	}
	if fmt.Sprint(status.Indicators) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", status.Indicators, want)
	}
}
