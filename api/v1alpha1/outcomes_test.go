package v1alpha1

import "testing"

// TestTheWorstAreKept: a status with no room for all verdicts keeps the most severe,
// and one that has room keeps their order.
func TestTheWorstAreKept(t *testing.T) {
	self := func(o VerdictOutcome) VerdictOutcome { return o }
	if got := WorstFirst([]VerdictOutcome{VerdictPass, VerdictFail, VerdictError}, self); len(got) != 3 || got[0] != VerdictPass {
		t.Errorf("three verdicts became %v", got)
	}
	var all []VerdictOutcome
	for range MaxTriggers {
		all = append(all, VerdictPass)
	}
	all = append(all, VerdictInconclusive, "SomethingNew", VerdictFail)
	got := WorstFirst(all, self)
	if len(got) != MaxTriggers || got[0] != VerdictFail || got[1] != "SomethingNew" || got[2] != VerdictInconclusive || got[3] != VerdictPass {
		t.Errorf("%d are kept, the first of them %v", len(got), got[:4])
	}
}

// TestAVerdictIsFoundByItsWholeName: a tenant's Guardrail may have the name of a
// ClusterGuardrail.
func TestAVerdictIsFoundByItsWholeName(t *testing.T) {
	a := &AnalysisStatus{Triggers: []TriggerAnalysis{
		{Kind: "ClusterGuardrail", Guardrail: "shop", Name: "errors", Reason: "house"},
		{Kind: "Guardrail", Guardrail: "bank", Name: "errors", Reason: "bank"},
		{Kind: "Guardrail", Guardrail: "shop", Name: "latency", Reason: "latency"},
		{Kind: "Guardrail", Guardrail: "shop", Name: "errors", Reason: "shop"},
	}}
	if got := a.Trigger("Guardrail", "shop", "errors"); got == nil || got.Reason != "shop" {
		t.Errorf("found %+v", got)
	}
	if got := a.Trigger("Guardrail", "shop", "lost"); got != nil {
		t.Errorf("a trigger without a verdict has %+v", got)
	}
	if got := (*AnalysisStatus)(nil).Trigger("Guardrail", "shop", "errors"); got != nil {
		t.Errorf("before the first evaluation there is %+v", got)
	}
}
