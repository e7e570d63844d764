package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
)

var stateNames = []string{"belay_rollout_phase", "belay_rollout_waiting", "belay_rollout_weight_percent", "belay_rollout_canary_pods",
	"belay_rollout_step", "belay_rollout_since_timestamp_seconds", "belay_evidence_backlog"}

// TestStateSeriesFollowARollout through a step, a rollback and its deletion.
func TestStateSeriesFollowARollout(t *testing.T) {
	began := metav1.NewTime(time.Unix(1000, 0))
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}, Spec: v1alpha1.RolloutSpec{Steps: make([]v1alpha1.Step, 3)}}
	r.Status = v1alpha1.RolloutStatus{
		Phase: v1alpha1.PhaseStepping, RunStartedAt: &began,
		Step: &v1alpha1.StepStatus{Index: 1, EnteredAt: metav1.NewTime(time.Unix(1060, 0)), Weight: v1alpha1.WeightStatus{Desired: 20, Observed: -1},
			Replicas: v1alpha1.ReplicaStatus{Desired: 2, Ready: 1}},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonHolding}},
		Record:     &v1alpha1.RecordStatus{Pending: make([]v1alpha1.PendingDecision, 3)},
	}
	showState(r)
	expect(t, `
# HELP belay_evidence_backlog Decisions about a Rollout that could not be written to its RolloutRun yet.
# TYPE belay_evidence_backlog gauge
belay_evidence_backlog{namespace="shop",rollout="checkout"} 3
# HELP belay_rollout_canary_pods Pods of the candidate in a run: desired and ready.
# TYPE belay_rollout_canary_pods gauge
belay_rollout_canary_pods{namespace="shop",of="desired",rollout="checkout"} 2
belay_rollout_canary_pods{namespace="shop",of="ready",rollout="checkout"} 1
# HELP belay_rollout_phase 1 for the phase that a Rollout is in; other phases have no series.
# TYPE belay_rollout_phase gauge
belay_rollout_phase{namespace="shop",phase="Stepping",rollout="checkout"} 1
# HELP belay_rollout_since_timestamp_seconds Unix time at which the run, step, bake or rollback in progress began.
# TYPE belay_rollout_since_timestamp_seconds gauge
belay_rollout_since_timestamp_seconds{namespace="shop",of="run",rollout="checkout"} 1000
belay_rollout_since_timestamp_seconds{namespace="shop",of="step",rollout="checkout"} 1060
# HELP belay_rollout_step The step that a run is at, from 1, and the number of its steps.
# TYPE belay_rollout_step gauge
belay_rollout_step{namespace="shop",of="all",rollout="checkout"} 3
belay_rollout_step{namespace="shop",of="now",rollout="checkout"} 2
# HELP belay_rollout_waiting 1 while Belay works on a Rollout or waits for something, by the reason of its condition Reconciling.
# TYPE belay_rollout_waiting gauge
belay_rollout_waiting{namespace="shop",reason="Holding",rollout="checkout"} 1
# HELP belay_rollout_weight_percent The candidate's share of the requests in percent, in a run: desired, and observed once the gateway has acknowledged one.
# TYPE belay_rollout_weight_percent gauge
belay_rollout_weight_percent{namespace="shop",of="desired",rollout="checkout"} 20
`)

	r.Status.Phase, r.Status.Record = v1alpha1.PhaseRollingBack, nil
	r.Status.Step.Weight = v1alpha1.WeightStatus{Desired: 0, Observed: 20}
	r.Status.Rollback = &v1alpha1.RollbackStatus{StartedAt: metav1.NewTime(time.Unix(1090, 0))}
	r.Status.Conditions[0].Reason = v1alpha1.ReasonRollingBack
	showState(r)
	for name, c := range map[string]struct {
		of   prometheus.Collector
		want float64
	}{
		"weight":  {rolloutWeight.WithLabelValues("shop", "checkout", "observed"), 20},
		"since":   {rolloutSince.WithLabelValues("shop", "checkout", "rollback"), 1090},
		"backlog": {evidenceBacklog.WithLabelValues("shop", "checkout"), 0},
		"reason":  {rolloutWaiting.WithLabelValues("shop", "checkout", v1alpha1.ReasonRollingBack), 1},
	} {
		if got := testutil.ToFloat64(c.of); got != c.want {
			t.Errorf("%s is %v, want %v", name, got, c.want)
		}
	}
	if n := testutil.CollectAndCount(rolloutStep); n != 0 {
		t.Errorf("%d steps are shown of a rollback", n)
	}
	if n := testutil.CollectAndCount(rolloutPhase) + testutil.CollectAndCount(rolloutWaiting); n != 2 {
		t.Errorf("%d phases and reasons are shown, want one of each", n)
	}

	hideState(client.ObjectKeyFromObject(r))
	expect(t, "")
}

func expect(t *testing.T, text string) {
	t.Helper()
	if err := testutil.GatherAndCompare(metrics.Registry, strings.NewReader(text), stateNames...); err != nil {
		t.Error(err)
	}
}
