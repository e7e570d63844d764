package controllers

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// deny lets the bench's source allow other namespaces only.
func (b *bench) deny() {
	b.t.Helper()
	source := &v1alpha1.MetricSource{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Name: "default"}, source); err != nil {
		b.t.Fatal(err)
	}
	source.Spec.NamespaceSelector = metav1.LabelSelector{MatchLabels: map[string]string{"team": "bank"}}
	if err := b.client.Update(b.t.Context(), source); err != nil {
		b.t.Fatal(err)
	}
}

// TestADeniedSourceIsNotAsked: neither for a run whose guardrail came to name it
// during the run, nor before one.
func TestADeniedSourceIsNotAsked(t *testing.T) {
	b := newBench(t, 1)
	b.deny()
	b.poll()
	if got := b.recorded(b.runs[0]); got.Reason != string(analysis.SourceMissing) || !strings.Contains(got.Message, "namespaceSelector") {
		t.Errorf("a run is %s: %s", got.Reason, got.Message)
	}
	b.edit(func(g *v1alpha1.GuardrailSpec) { g.Preflight = &v1alpha1.Preflight{BudgetRemaining: "10"} })
	if got := b.preflight(); got == nil || got.Reason != string(analysis.SourceMissing) {
		t.Errorf("a pre-flight is %+v", got)
	}
	if n := b.source.asked; n != 0 {
		t.Errorf("the denied source was asked %d times", n)
	}
}

func TestAllowedSource(t *testing.T) {
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
			b := newBench(t, 0)
			source := &v1alpha1.MetricSource{}
			if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, source); err != nil {
				t.Fatal(err)
			}
			source.Spec.NamespaceSelector = tc.selector
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "shop"}}}
			if err := b.client.Update(t.Context(), source); err != nil {
				t.Fatal(err)
			}
			if err := b.client.Create(t.Context(), ns); err != nil {
				t.Fatal(err)
			}
			got, denied := allowedSource(t.Context(), b.client, "shop", tc.source)
			if (got != nil) != tc.allowed || (denied == nil) != tc.allowed {
				t.Errorf("got a source: %v, denied %v; want allowed %v", got != nil, denied, tc.allowed)
			}
			bound := []v1alpha1.PinnedGuardrail{{Kind: "Guardrail", Name: "shop", Spec: v1alpha1.GuardrailSpec{Source: tc.source, Triggers: []v1alpha1.Trigger{{Name: "errors", SLO: "errors"}}}}}
			blocked, err := sourcesAllowed(t.Context(), b.client, "shop", bound)
			if err != nil || (blocked.Reason == "") != tc.allowed {
				t.Errorf("a run may start: %v (%s), %v; whoever asks may: %v", blocked.Reason == "", blocked.Message, err, tc.allowed)
			}
		})
	}
}
