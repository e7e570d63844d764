package guardrails

import (
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
