package guardrails

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/api/v1alpha1"
)

// TestNoRunStartsWithAnUnusableGuardrail: one that is older than the API's rule, and one
// whose PromQL nobody has checked, or that the check refused. What a probe found blocks
// nothing.
func TestNoRunStartsWithAnUnusableGuardrail(t *testing.T) {
	custom := v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "a", Bad: "b"}}
	typed := v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "a"}, Bad: v1alpha1.Series{Metric: "b"}}}
	ready := func(status metav1.ConditionStatus, reason string, generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: "promQL.total: no", ObservedGeneration: generation}}
	}
	for name, tc := range map[string]struct {
		objective  string
		indicator  v1alpha1.Indicator
		conditions []metav1.Condition
		reason     string
		says       string
	}{
		"typed, never looked at":          {"99.9", typed, nil, "", ""},
		"typed, with a wrong label":       {"99.9", typed, ready(metav1.ConditionFalse, v1alpha1.ReasonUnknownLabel, 2), "", ""},
		"a budget too large":              {"50", typed, nil, v1alpha1.ReasonGuardrailInvalid, `"checkout" cannot be used: slo median: the objective 50 % leaves a budget of 50 %, and regression.burn 2 times that is not below 90 %: lower regression.burn of trigger median, or raise the objective`},
		"promQL, never looked at":         {"99.9", custom, nil, v1alpha1.ReasonGuardrailUnchecked, "has promQL that has not been checked yet"},
		"promQL, changed since":           {"99.9", custom, ready(metav1.ConditionTrue, v1alpha1.ReasonMeasured, 1), v1alpha1.ReasonGuardrailUnchecked, ""},
		"promQL, well":                    {"99.9", custom, ready(metav1.ConditionTrue, v1alpha1.ReasonMeasured, 2), "", ""},
		"promQL, refused":                 {"99.9", custom, ready(metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, 2), v1alpha1.ReasonGuardrailInvalid, `"checkout" cannot be used: promQL.total: no`},
		"promQL, with a wrong label":      {"99.9", custom, ready(metav1.ConditionFalse, v1alpha1.ReasonUnknownLabel, 2), "", ""},
		"promQL, while the source is out": {"99.9", custom, ready(metav1.ConditionUnknown, v1alpha1.ReasonSourceUnusable, 2), "", ""},
	} {
		spec := v1alpha1.GuardrailSpec{Source: "default", SLOs: []v1alpha1.SLO{{Name: "median", Objective: tc.objective, Indicator: tc.indicator}}}
		status := v1alpha1.GuardrailStatus{Conditions: tc.conditions}
		own := &v1alpha1.Guardrail{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout", Generation: 2}, Spec: spec, Status: status}
		cluster := &v1alpha1.ClusterGuardrail{ObjectMeta: metav1.ObjectMeta{Name: "checkout", Generation: 2}, Spec: v1alpha1.ClusterGuardrailSpec{GuardrailSpec: spec}, Status: status}
		source := &v1alpha1.MetricSource{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
		rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}}
		for kind, c := range map[string]*fake.ClientBuilder{"Guardrail": fake.NewClientBuilder().WithObjects(own), "ClusterGuardrail": fake.NewClientBuilder().WithObjects(cluster)} {
			rollout.Spec.Guardrails = nil
			if kind == "Guardrail" {
				rollout.Spec.Guardrails = []v1alpha1.GuardrailRef{{Name: "checkout"}}
			}
			c = c.WithScheme(testScheme(t)).WithObjects(source, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
			bound, blocked, err := Bind(t.Context(), c.Build(), rollout)
			if err != nil || len(bound) != 1 {
				t.Fatal(err, len(bound))
			}
			if blocked.Reason != tc.reason || !strings.Contains(blocked.Message, tc.says) || tc.reason != "" && !strings.HasPrefix(blocked.Message, kind+` "checkout" `) {
				t.Errorf("%s, %s: %s: %s", name, kind, blocked.Reason, blocked.Message)
			}
			if blocked.Waits != (tc.reason == v1alpha1.ReasonGuardrailUnchecked) {
				t.Errorf("%s, %s: waits is %v", name, kind, blocked.Waits)
			}
		}
	}
}

// TestMistake: the limits of the API's own rules, and numbers that older rules let pass.
func TestMistake(t *testing.T) {
	for name, tc := range map[string]struct {
		objective string
		trigger   v1alpha1.Trigger
		says      string
	}{
		"default trigger":      {"99.9", v1alpha1.Trigger{}, ""},
		"as low as it may be":  {"55.1", v1alpha1.Trigger{}, ""},
		"one that is too low":  {"55", v1alpha1.Trigger{}, "regression.burn 2 times that is not below 90 %"},
		"a ratio":              {"0.999", v1alpha1.Trigger{}, "leaves a budget of 99 %"},
		"not a number":         {"many", v1alpha1.Trigger{}, `the objective "many" is not a percentage`},
		"burn.rate that fits":  {"93.1", v1alpha1.Trigger{Burn: &v1alpha1.BurnTrigger{Rate: "14.4"}}, ""},
		"burn.rate too high":   {"93", v1alpha1.Trigger{Burn: &v1alpha1.BurnTrigger{Rate: "14.4"}}, "burn.rate 14.4 times that is not below 100 %: lower burn.rate of trigger t"},
		"burn.rate of nothing": {"99", v1alpha1.Trigger{Burn: &v1alpha1.BurnTrigger{Rate: "0"}}, `burn.rate "0" is not a number above 0`},
		"budgetSpent":          {"50", v1alpha1.Trigger{BudgetSpent: "2"}, ""},
	} {
		spec := v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "median", Objective: tc.objective}}}
		if tc.trigger.Burn != nil || tc.trigger.BudgetSpent != "" {
			tc.trigger.Name, tc.trigger.SLO = "t", "median"
			spec.Triggers = []v1alpha1.Trigger{tc.trigger}
		}
		if got := Mistake(spec); (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Expressions of a pre-flight are checked like those of an slo.
func TestRecordedPromQLIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		recorded v1alpha1.RecordedSLO
		want     bool
	}{
		"two expressions": {v1alpha1.RecordedSLO{PromQL: &v1alpha1.RecordedPromQL{BudgetRemaining: "a", BurnRate: "b"}}, true},
		"rules of Sloth":  {v1alpha1.RecordedSLO{Sloth: &v1alpha1.SlothSLO{Service: "shop", SLO: "availability"}}, false},
	} {
		spec := v1alpha1.GuardrailSpec{Preflight: &v1alpha1.Preflight{Recorded: []v1alpha1.RecordedSLO{tc.recorded}}}
		if got := usesPromQL(spec); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestWhatAPresetLacks is said, with what to write in its place.
func TestWhatAPresetLacks(t *testing.T) {
	for name, tc := range map[string]struct {
		of   v1alpha1.Indicator
		says string
	}{
		"filled":            {v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{}}, ""},
		"an unknown preset": {v1alpha1.Indicator{Preset: "later", Latency: &v1alpha1.LatencyIndicator{}}, `slo median: the preset "later" is not one that this version of Belay knows`},
		"by the preset's":   {v1alpha1.Indicator{Preset: "istio", Requests: &v1alpha1.RequestsIndicator{}}, ""},
		"by Pod, in words":  {v1alpha1.Indicator{Preset: "otel-http", By: v1alpha1.CountedByPod, Requests: &v1alpha1.RequestsIndicator{}}, ""},
		"by another one":    {v1alpha1.Indicator{Preset: "otel-http", By: v1alpha1.CountedByService, Requests: &v1alpha1.RequestsIndicator{}}, "slo median: the preset otel-http counts by Pod, not by Service: write destination"},
		"by Workload":       {v1alpha1.Indicator{Preset: "istio", By: v1alpha1.CountedByWorkload, Requests: &v1alpha1.RequestsIndicator{}}, "the preset istio counts by Service, not by Workload"},
		"with a destination": {v1alpha1.Indicator{Preset: "otel-http", By: v1alpha1.CountedByService, Requests: &v1alpha1.RequestsIndicator{},
			Destination: &v1alpha1.Destination{Label: "service", Value: "$(namespace)/$(service)"}}, ""},
		"without the name": {v1alpha1.Indicator{Preset: "istio", Requests: &v1alpha1.RequestsIndicator{},
			Destination: &v1alpha1.Destination{Label: "workload", Value: "$(namespace)/$(replicaSet)"}}, "slo median: by Service needs $(service) in destination.value"},
		"unknown, written": {v1alpha1.Indicator{Preset: "later", Latency: &v1alpha1.LatencyIndicator{Histogram: "own"}}, ""},
	} {
		spec := v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "median", Objective: "99", Indicator: tc.of}}}
		if got := Mistake(presets.Fill(spec)); (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
