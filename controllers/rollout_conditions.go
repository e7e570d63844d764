package controllers

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// setConditions shows a decision as conditions that kstatus reads rightly:
// Reconciling and Stalled exclude each other, and every condition carries the
// generation it speaks of.
func setConditions(status *v1alpha1.RolloutStatus, w *world, d plan.Decision) {
	set := func(kind string, value metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: bounded(message, 1024),
			ObservedGeneration: w.rollout.Generation, LastTransitionTime: metav1.NewTime(w.input.Now),
		})
	}
	ready := metav1.ConditionFalse
	if d.Standing.State == plan.Done && w.input.Guard.Proven {
		ready = metav1.ConditionTrue
	}
	set(v1alpha1.ConditionReady, ready, d.Standing.Reason, d.Why)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
	switch d.Standing.State {
	case plan.Working:
		set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, d.Standing.Reason, d.Why)
	case plan.Stuck:
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue, d.Standing.Reason, d.Why)
	}
	if g := w.input.Guard; g.Reason != "" {
		guarded := asStatus(g.Proven)
		if g.Pending {
			guarded = metav1.ConditionUnknown
		}
		set(v1alpha1.ConditionGuarded, guarded, g.Reason, g.Message)
	}
	setTrafficConflict(set, w)
	setInvariantViolated(set, w)
}

func asStatus(v bool) metav1.ConditionStatus {
	if v {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

type setCondition func(kind string, value metav1.ConditionStatus, reason, message string)

// setTrafficConflict names whoever took the routes out of Belay's hands during
// a trial.
func setTrafficConflict(set setCondition, w *world) {
	step, in := w.rollout.Status.Step, w.input.Route
	trial := w.rollout.Status.Phase == v1alpha1.PhaseStepping && step != nil && step.AcknowledgedAt != nil && w.input.Deleting == nil
	taken := trial && w.routeOwner != "" && in.Fault.Reason == "" && (in.Split == nil || *in.Split != step.Weight.Desired)
	if !taken {
		set(v1alpha1.ConditionTrafficConflict, metav1.ConditionFalse, v1alpha1.ReasonNoConflict, "nothing else changes the routes")
		return
	}
	set(v1alpha1.ConditionTrafficConflict, metav1.ConditionTrue, v1alpha1.ReasonForeignWrite,
		"field manager "+bounded(w.routeOwner, 128)+" changed backendRefs during the run: let it ignore spec.rules of this route, or apply it when no run is in progress")
}

func setInvariantViolated(set setCondition, w *world) {
	if broken := plan.SelfCheck(w.input); broken != "" {
		set(v1alpha1.ConditionInvariantViolated, metav1.ConditionTrue, v1alpha1.ReasonSelfCheckFailed, broken)
		return
	}
	set(v1alpha1.ConditionInvariantViolated, metav1.ConditionFalse, v1alpha1.ReasonSelfCheckPassed, "all self-checks pass")
}
