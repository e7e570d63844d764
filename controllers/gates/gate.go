// Package gates holds the checks that must be open before a run may start, each
// a small reconciler with workers and a queue of its own: however slow a check
// is, it costs no other loop anything. The Rollout loop reads the newest answer
// and never waits for one.
package gates

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// guardOfStatus is the answer that a Rollout's status keeps from before the
// controller was restarted.
func guardOfStatus(rollout *v1alpha1.Rollout) plan.Gate {
	c := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionGuarded)
	if c == nil {
		return unknown("waiting for the first proof of the guard")
	}
	gate := plan.Gate{Name: plan.GateGuard, Outcome: plan.Unknown, Reason: c.Reason, Message: c.Message}
	switch {
	case c.Status == metav1.ConditionTrue:
		gate.Outcome = plan.Open
	case c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonGuardMissing:
		gate.Outcome = plan.Closed
	}
	return gate
}
