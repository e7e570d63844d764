package rollout

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// TestCountersOfAlertsAreThereFromTheStart: increase() sees nothing of the first event when
// its series is born with it, and an alert would not fire.
func TestCountersOfAlertsAreThereFromTheStart(t *testing.T) {
	if n := testutil.CollectAndCount(runsEnded); n != 5 {
		t.Errorf("%d outcomes have a series, want all 5", n)
	}
	if n := testutil.CollectAndCount(evidenceFailures); n != 3 {
		t.Errorf("%d failures of evidence have a series, want all 3", n)
	}
}

func TestConditionSeriesFollowARollout(t *testing.T) {
	rollout := &v1alpha1.Rollout{}
	rollout.Namespace, rollout.Name = "shop", "checkout"
	rollout.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionGuarded, Status: metav1.ConditionFalse}, {Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRefused}, {Type: "SomethingNew", Status: metav1.ConditionTrue},
	}
	showState(rollout)
	for condition, want := range map[string]float64{v1alpha1.ConditionGuarded: 0, v1alpha1.ConditionStalled: 1} {
		if got := testutil.ToFloat64(rolloutCondition.WithLabelValues("shop", "checkout", condition)); got != want {
			t.Errorf("%s is %v, want %v", condition, got, want)
		}
	}
	rollout.Status.Conditions[1].Reason = v1alpha1.ReasonDeadlineExceeded
	showState(rollout)
	if n := testutil.CollectAndCount(rolloutStalled); n != 1 || testutil.ToFloat64(rolloutStalled.WithLabelValues("shop", "checkout", v1alpha1.ReasonDeadlineExceeded)) != 1 {
		t.Errorf("%d reasons are shown, want the present one", n)
	}
	rollout.Status.Conditions = rollout.Status.Conditions[:1]
	showState(rollout)
	if n := testutil.CollectAndCount(rolloutStalled); n != 0 {
		t.Errorf("%d reasons are shown of a Rollout that goes on", n)
	}
	if n := testutil.CollectAndCount(rolloutCondition); n != 1 {
		t.Errorf("%d conditions are shown, want the one that it has", n)
	}
	hideState(client.ObjectKeyFromObject(rollout))
	if n := testutil.CollectAndCount(rolloutCondition); n != 0 {
		t.Errorf("%d series are left of a Rollout that is gone", n)
	}
}
