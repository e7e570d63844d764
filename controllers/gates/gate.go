// Package gates holds the checks that must be open before a run may start, each
// a small reconciler with workers and a queue of its own: however slow a check
// is, it costs no other loop anything. The Rollout loop reads the newest answer
// and never waits for one.
package gates

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Outcome is what a gate answers. Unknown keeps a run from starting as Closed
// does; but nothing is known to be wrong, so nobody is warned.
type Outcome string

const (
	// Open lets a run start.
	Open Outcome = "Open"
	// Closed keeps a run from starting until a person does what the message says.
	Closed Outcome = "Closed"
	// Unknown keeps a run from starting until the gate has been checked.
	Unknown Outcome = "Unknown"
)

// Gate is the newest answer of one check for one Rollout.
type Gate struct {
	// Name of the check, such as "guard".
	Name    string
	Outcome Outcome
	// Reason is one of the API's condition reasons.
	Reason string
	// Message is one sentence of at most 512 bytes: what is, why, and what to do.
	Message string
	// Until is when the answer is due to be renewed; zero when an event renews it.
	Until time.Time
}

// GuardName is the gate that Guard answers.
const GuardName = "guard"

// guardOfStatus is the answer that a Rollout's status keeps from before the
// controller was restarted.
func guardOfStatus(rollout *v1alpha1.Rollout) (Gate, bool) {
	c := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionGuarded)
	if c == nil {
		return Gate{}, false
	}
	gate := Gate{Name: GuardName, Outcome: Unknown, Reason: c.Reason, Message: c.Message}
	switch {
	case c.Status == metav1.ConditionTrue:
		gate.Outcome = Open
	case c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonGuardMissing:
		gate.Outcome = Closed
	}
	return gate, true
}
