package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
)

var stateNames = []string{"belay_rollout_phase", "belay_rollout_waiting", "belay_rollout_weight_percent", "belay_rollout_canary_pods",
	"belay_rollout_step", "belay_rollout_since_timestamp_seconds", "belay_evidence_backlog", "belay_trigger_outcome"}

// TestStateSeriesFollowARollout through a step, a rollback and its deletion.
func TestStateSeriesFollowARollout(t *testing.T) {
	began := metav1.NewTime(time.Unix(1000, 0))
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}, Spec: v1alpha1.RolloutSpec{Steps: make([]v1alpha1.Step, 3)}}
	r.Status = v1alpha1.RolloutStatus{
		Phase: v1alpha1.PhaseStepping, RunStartedAt: &began,
		Step: &v1alpha1.StepStatus{Index: 1, EnteredAt: metav1.NewTime(time.Unix(1060, 0)), AwaitsApprovalSince: &metav1.Time{Time: time.Unix(1080, 0)}, Weight: v1alpha1.WeightStatus{Desired: 20, Observed: -1},
			Replicas: v1alpha1.ReplicaStatus{Desired: 2, Ready: 1}},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonHolding}},
		Verdicts: []v1alpha1.VerdictStatus{{Kind: "Guardrail", Guardrail: "shop", Trigger: "errors", Outcome: v1alpha1.VerdictPass},
			{Kind: "ClusterGuardrail", Guardrail: "shop", Trigger: "errors", Outcome: v1alpha1.VerdictInconclusive}},
		Record: &v1alpha1.RecordStatus{Pending: make([]v1alpha1.PendingDecision, 3)},
	}
	showState(r)
	expect(t,
		"belay_evidence_backlog 3",
		"belay_rollout_canary_pods of=desired 2",
		"belay_rollout_canary_pods of=ready 1",
		"belay_rollout_phase phase=Stepping 1",
		"belay_rollout_since_timestamp_seconds of=approval 1080",
		"belay_rollout_since_timestamp_seconds of=run 1000",
		"belay_rollout_since_timestamp_seconds of=step 1060",
		"belay_rollout_step of=all 3",
		"belay_rollout_step of=now 2",
		"belay_rollout_waiting reason=Holding 1",
		"belay_rollout_weight_percent of=desired 20",
		"belay_trigger_outcome outcome=Inconclusive trigger=ClusterGuardrail/shop/errors 1",
		"belay_trigger_outcome outcome=Pass trigger=shop/errors 1")

	r.Status.Phase, r.Status.Record = v1alpha1.PhaseRollingBack, nil
	r.Status.Step.Weight = v1alpha1.WeightStatus{Desired: 0, Observed: 20}
	r.Status.Rollback = &v1alpha1.RollbackStatus{StartedAt: metav1.NewTime(time.Unix(1090, 0))}
	r.Status.Conditions[0].Reason = v1alpha1.ReasonRollingBack
	r.Status.Verdicts = r.Status.Verdicts[:1]
	r.Status.Verdicts[0].Outcome = v1alpha1.VerdictFail
	showState(r)
	expect(t,
		"belay_evidence_backlog 0",
		"belay_rollout_canary_pods of=desired 2",
		"belay_rollout_canary_pods of=ready 1",
		"belay_rollout_phase phase=RollingBack 1",
		"belay_rollout_since_timestamp_seconds of=rollback 1090",
		"belay_rollout_since_timestamp_seconds of=run 1000",
		"belay_rollout_waiting reason=RollingBack 1",
		"belay_rollout_weight_percent of=desired 0",
		"belay_rollout_weight_percent of=observed 20",
		"belay_trigger_outcome outcome=Fail trigger=shop/errors 1")

	r.Status.Phase = v1alpha1.PhaseRolledBack
	showState(r)
	expect(t,
		"belay_evidence_backlog 0",
		"belay_rollout_phase phase=RolledBack 1",
		"belay_rollout_waiting reason=RollingBack 1")

	hideState(client.ObjectKeyFromObject(r))
	expect(t)
}

// expect compares the series of this test's Rollout: metric, label and value.
func expect(t *testing.T, want ...string) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		if !slices.Contains(stateNames, family.GetName()) {
			continue
		}
		for _, m := range family.GetMetric() {
			line, own := family.GetName(), false
			for _, label := range m.GetLabel() {
				switch label.GetName() {
				case "namespace":
					own = label.GetValue() == "shop"
				case "rollout":
				default:
					line += " " + label.GetName() + "=" + label.GetValue()
				}
			}
			if own {
				got = append(got, fmt.Sprint(line, " ", m.GetGauge().GetValue()))
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("shown are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
