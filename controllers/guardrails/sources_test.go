package guardrails

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/api/v1alpha1"
)

// TestAPermittedSource: who lets a run start and who asks the source go by the same
// answer.
func TestAPermittedSource(t *testing.T) {
	team := func(key string, op metav1.LabelSelectorOperator) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: op}}}
	}
	for name, tc := range map[string]struct {
		selector metav1.LabelSelector
		source   string
		allowed  bool
	}{
		"all namespaces":       {metav1.LabelSelector{}, "default", true},
		"this namespace":       {team("team", metav1.LabelSelectorOpExists), "default", true},
		"another namespace":    {team("team", metav1.LabelSelectorOpDoesNotExist), "default", false},
		"a selector that errs": {team("team", "Maybe"), "default", false},
		"no such source":       {metav1.LabelSelector{}, "other", false},
	} {
		t.Run(name, func(t *testing.T) {
			source := &v1alpha1.MetricSource{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
			source.Spec.NamespaceSelector = tc.selector
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "shop"}}}
			c := fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(source, ns).Build()
			got, denied, err := PermittedSource(t.Context(), c, "shop", tc.source)
			if err != nil || (got != nil) != tc.allowed || (denied == "") != tc.allowed {
				t.Errorf("got a source: %v, denied %q, %v; want allowed %v", got != nil, denied, err, tc.allowed)
			}
			bound := []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "shop", Spec: v1alpha1.GuardrailSpec{Source: tc.source, Triggers: []v1alpha1.Trigger{{Name: "errors", SLO: "errors"}}}}}
			blocked, err := sourcesAllowed(t.Context(), c, "shop", bound)
			if err != nil || (blocked.Reason == "") != tc.allowed {
				t.Errorf("a run may start: %v (%s), %v; whoever asks may: %v", blocked.Reason == "", blocked.Message, err, tc.allowed)
			}
		})
	}
}

// TestAPermittedEndpoint: who lets a run start and who sends the request go by the same
// answer. A guardrail with checks alone needs no source.
func TestAPermittedEndpoint(t *testing.T) {
	team := func(op metav1.LabelSelectorOperator) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: op}}}
	}
	for name, tc := range map[string]struct {
		selector metav1.LabelSelector
		endpoint string
		denied   string
	}{
		"all namespaces":       {metav1.LabelSelector{}, "load", ""},
		"this namespace":       {team(metav1.LabelSelectorOpExists), "load", ""},
		"another namespace":    {team(metav1.LabelSelectorOpDoesNotExist), "load", `CheckEndpoint "load" does not allow namespace "shop"`},
		"a selector that errs": {team("Maybe"), "load", `CheckEndpoint "load" cannot be used: namespaceSelector cannot be read`},
		"no such endpoint":     {metav1.LabelSelector{}, "other", `CheckEndpoint "other" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := &v1alpha1.CheckEndpoint{ObjectMeta: metav1.ObjectMeta{Name: "load"}}
			endpoint.Spec.NamespaceSelector = tc.selector
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "shop"}}}
			c := fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(endpoint, ns).Build()
			got, denied, err := PermittedEndpoint(t.Context(), c, "shop", tc.endpoint)
			if err != nil || (got != nil) != (tc.denied == "") || !strings.HasPrefix(denied, tc.denied) || (denied == "") != (tc.denied == "") {
				t.Errorf("got an endpoint: %v, denied %q, %v; want %q", got != nil, denied, err, tc.denied)
			}
			bound := []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "shop", Spec: v1alpha1.GuardrailSpec{Source: "none", Triggers: []v1alpha1.Trigger{
				{Name: "job", Check: &v1alpha1.CheckTrigger{Job: &v1alpha1.JobCheck{CronJob: "smoke"}}},
				{Name: "load", Check: &v1alpha1.CheckTrigger{Webhook: &v1alpha1.WebhookCheck{Endpoint: tc.endpoint}}}}}}}
			blocked, err := sourcesAllowed(t.Context(), c, "shop", bound)
			if err != nil || (blocked.Reason == "") != (tc.denied == "") || blocked.Reason != "" && blocked.Reason != v1alpha1.ReasonCheckDenied {
				t.Errorf("a run may start: %q (%s), %v", blocked.Reason, blocked.Message, err)
			}
		})
	}
}
