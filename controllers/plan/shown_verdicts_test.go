package plan_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestARepeatedVerdictIsShownAnewAfterAWhile, so that the status is not written at
// every poll; another outcome or reason is shown at once.
func TestARepeatedVerdictIsShownAnewAfterAWhile(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	armed := func(outcome v1alpha1.VerdictOutcome, reason, message string, after time.Duration) []plan.Armed {
		evaluated := metav1.NewMicroTime(at.Add(after))
		return []plan.Armed{{Kind: "Guardrail", Guardrail: "shop", Trigger: "errors", Verdict: &v1alpha1.TriggerAnalysis{
			Outcome: outcome, Reason: reason, Message: message, EvaluatedAt: &evaluated,
		}}}
	}
	before := plan.ShownVerdicts(armed(v1alpha1.VerdictPass, "Healthy", "first", 0), nil)
	if len(before) != 1 || before[0].Message != "first" || !before[0].EvaluatedAt.Time.Equal(at) {
		t.Fatalf("shown: %+v", before)
	}
	for name, tc := range map[string]struct {
		armed []plan.Armed
		want  string
	}{
		"the same, soon":    {armed(v1alpha1.VerdictPass, "Healthy", "second", 29*time.Second), "first"},
		"the same, later":   {armed(v1alpha1.VerdictPass, "Healthy", "second", 30*time.Second), "second"},
		"another outcome":   {armed(v1alpha1.VerdictFail, "Healthy", "second", time.Second), "second"},
		"another reason":    {armed(v1alpha1.VerdictPass, "Quiet", "second", time.Second), "second"},
		"no evaluation yet": {[]plan.Armed{{Kind: "Guardrail", Guardrail: "shop", Trigger: "errors"}}, ""},
	} {
		got := plan.ShownVerdicts(tc.armed, before)
		if len(got) != 1 || got[0].Message != tc.want {
			t.Errorf("%s: shown %+v, want %q", name, got, tc.want)
		}
	}
	namesake := armed(v1alpha1.VerdictPass, "Healthy", "house", time.Second)
	namesake[0].Kind = "ClusterGuardrail"
	if got := plan.ShownVerdicts(namesake, before); got[0].Message != "house" {
		t.Errorf("another guardrail of the same name is shown as %+v", got)
	}
}
