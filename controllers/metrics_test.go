package controllers

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"belay.dev/belay/api/v1alpha1"
)

func TestTriggerSeriesFollowARun(t *testing.T) {
	run := &v1alpha1.RolloutRun{}
	run.Namespace, run.Spec.Rollout.Name = "shop", "checkout"
	verdict := v1alpha1.TriggerAnalysis{Guardrail: "shop", Name: "availability", Outcome: v1alpha1.VerdictPass, Statistics: []v1alpha1.Statistic{
		{Name: "burn", Value: "1.5"}, {Name: "logThreshold", Value: "5.3"}, {Name: "somethingNew", Value: "1"}, {Name: "burnLong", Value: "not a number"}}}
	showTrigger(run, verdict)
	verdict.Outcome = v1alpha1.VerdictFail
	showTrigger(run, verdict)
	if n := testutil.CollectAndCount(triggerOutcome); n != 1 {
		t.Errorf("%d outcomes of one trigger", n)
	}
	if got := testutil.ToFloat64(triggerOutcome.WithLabelValues("shop", "checkout", "shop/availability", "Fail")); got != 1 {
		t.Errorf("outcome Fail is %v", got)
	}
	if n := testutil.CollectAndCount(triggerStatistic); n != 2 {
		t.Errorf("%d statistics, want the two of the closed set that are numbers", n)
	}
	hideTriggers("shop", "checkout")
	if n := testutil.CollectAndCount(triggerStatistic) + testutil.CollectAndCount(triggerOutcome); n != 0 {
		t.Errorf("%d series are left of a run that ended", n)
	}
}
