package judge

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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
