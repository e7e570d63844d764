package plan_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

func armed(kind, name string, outcome v1alpha1.VerdictOutcome) plan.Armed {
	at := metav1.NewMicroTime(now)
	return plan.Armed{Kind: kind, Guardrail: name, Trigger: "errors", Verdict: &v1alpha1.TriggerAnalysis{
		Outcome: outcome, Reason: "Because", EvaluatedAt: &at, SamplesFrom: &at}}
}

func TestATenantsGuardrailDoesNotStandForTheClusters(t *testing.T) {
	sum := plan.Sum([]plan.Armed{armed("Guardrail", "shop", v1alpha1.VerdictPass), armed("ClusterGuardrail", "shop", v1alpha1.VerdictFail)}, now, now)
	if sum.Trigger != "ClusterGuardrail/shop/errors" || sum.Passing != 1 || len(sum.References) != 2 {
		t.Errorf("the sum is %+v", sum)
	}
}

func TestReferencesKeepTheWorst(t *testing.T) {
	var all []plan.Armed
	for i := range plan.MaxTriggers {
		all = append(all, armed("Guardrail", fmt.Sprint("g", i), v1alpha1.VerdictPass))
	}
	all = append(all, armed("Guardrail", "late", v1alpha1.VerdictFail))
	sum := plan.Sum(all, now, now)
	if len(sum.References) != plan.MaxTriggers || sum.References[0].Trigger != "late/errors" || sum.Outcome != v1alpha1.VerdictFail {
		t.Errorf("%d references, first %+v, outcome %s", len(sum.References), sum.References[0], sum.Outcome)
	}
}
