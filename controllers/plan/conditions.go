package plan

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// setConditions shows a decision as conditions that kstatus reads rightly:
// Reconciling and Stalled exclude each other, and every condition carries the
// generation it speaks of.
func setConditions(in Input, d *Decision) {
	set := func(kind string, value metav1.ConditionStatus, reason, message string) {
		SetCondition(in, d, kind, value, reason, message)
	}
	ready := metav1.ConditionFalse
	if d.Progress == Ready {
		ready = metav1.ConditionTrue
	}
	set(v1alpha1.ConditionReady, ready, d.Reason, d.Why)
	// One that stays keeps the time since when it holds.
	for _, p := range []Progress{Reconciling, Stalled} {
		if d.Progress == p {
			set(string(p), metav1.ConditionTrue, d.Reason, d.Why)
		} else {
			meta.RemoveStatusCondition(&d.Status.Conditions, string(p))
		}
	}
	if g, ok := in.gate(GateGuard); ok {
		set(v1alpha1.ConditionGuarded, guarded(g), g.Reason, g.Message)
	}
	setTrafficConflict(set, in)
}

// SetCondition sets a condition of a decision's status, which speaks of the Input's
// generation and keeps its time while it does not change.
func SetCondition(in Input, d *Decision, kind string, value metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&d.Status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: v1alpha1.Bounded(message, 1024),
		ObservedGeneration: in.Generation, LastTransitionTime: metav1.NewTime(in.Now.Truncate(time.Second)),
	})
}

func guarded(g Gate) metav1.ConditionStatus {
	switch g.Outcome {
	case Open:
		return metav1.ConditionTrue
	case Closed:
		return metav1.ConditionFalse
	default:
		return metav1.ConditionUnknown
	}
}

type setCondition func(kind string, value metav1.ConditionStatus, reason, message string)

// setTrafficConflict names whoever changed the routes during a step.
func setTrafficConflict(set setCondition, in Input) {
	f, step, r := newFacts(in), in.Status.Step, in.Route
	trial := in.Status.Phase == v1alpha1.PhaseStepping && step != nil && step.AcknowledgedAt != nil && in.Deleting == nil
	taken := trial && r.Owner != "" && r.Fault.Reason == "" && (r.Split == nil || *r.Split != step.Weight.Desired || f.extraWrong())
	if !taken {
		set(v1alpha1.ConditionTrafficConflict, metav1.ConditionFalse, v1alpha1.ReasonNoConflict, "nothing else changes the routes")
		return
	}
	set(v1alpha1.ConditionTrafficConflict, metav1.ConditionTrue, v1alpha1.ReasonForeignWrite,
		"field manager "+v1alpha1.Bounded(r.Owner, 128)+" changed backendRefs during the run: "+f.endsConflict(r.Owner))
}
