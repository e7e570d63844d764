package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/wake"
)

// Gate is a check that another reconciler makes.
type Gate interface {
	// Last returns the newest answer for a Rollout. It never waits for one.
	Last(rollout *v1alpha1.Rollout) plan.Gate
	// Changes wakes the loop for every Rollout whose answer has changed.
	Changes() source.Source
}

// observeGates collects the answers of the gates, and the guardrails that bind.
func (r *Reconciler) observeGates(ctx context.Context, l *look) error {
	if l.input.Deleting != nil {
		return nil
	}
	if l.workload != nil {
		l.input.Gates = append(l.input.Gates, r.Guard.Last(l.rollout))
	}
	claim, err := r.claim(ctx, l.rollout)
	if err != nil {
		return err
	}
	bound, blocked, err := guardrails.Bind(ctx, r.Client, l.rollout)
	if err != nil {
		return err
	}
	l.guardrails = bound[:min(len(bound), guardrails.MaxPinned)]
	l.input.Gates = append(l.input.Gates, claim, guardrailsGate(blocked))
	if held := freezes.Bind(ctx, cmp.Or[client.Reader](r.freezes, r.Client), l.rollout, l.input.Now); held.Reason != "" {
		l.input.Gates = append(l.input.Gates, freezeGate(held))
	}
	asks := slices.ContainsFunc(bound, guardrails.HasPreflight)
	if asks && l.rollout.Status.Phase == v1alpha1.PhaseGating {
		l.input.Gates = append(l.input.Gates, plan.PreflightGate(l.rollout.Status, l.input.Now))
	}
	return nil
}

// freezeGate is the gate of the freezes that hold. Without any there is none, so that what is
// recorded of Rollouts without freezes does not tell of them.
func freezeGate(held freezes.Held) plan.Gate {
	g := gateOf(plan.GateFreeze, held.Reason, held.Message)
	g.Until = held.Opens
	return g
}

// claim lets one Rollout alone decide about a workload: the oldest.
func (r *Reconciler) claim(ctx context.Context, rollout *v1alpha1.Rollout) (plan.Gate, error) {
	ref := rollout.Spec.WorkloadRef
	all, err := wake.Rollouts(ctx, r.Client, rollout.Namespace, wake.ByWorkload, wake.WorkloadKey(ref.Kind, ref.Name))
	if err != nil {
		return plan.Gate{}, err
	}
	for i := range all {
		if other := &all[i]; claimsBefore(other, rollout) {
			return gateOf(plan.GateClaim, v1alpha1.ReasonWorkloadClaimed, fmt.Sprintf(
				"Rollout %q already guards %s %q: delete one of the two Rollouts", other.Name, cmp.Or(ref.Kind, v1alpha1.KindDeployment), ref.Name)), nil
		}
	}
	return gateOf(plan.GateClaim, "", ""), nil
}

// claimsBefore compares two Rollouts for one workload.
func claimsBefore(other, own *v1alpha1.Rollout) bool {
	if other.UID == own.UID {
		return false
	}
	if other.CreationTimestamp.Equal(&own.CreationTimestamp) {
		return other.Name < own.Name
	}
	return other.CreationTimestamp.Before(&own.CreationTimestamp)
}

// guardrailsGate is not known, where it is not closed, while a check is still to come.
func guardrailsGate(blocked guardrails.Blocked) plan.Gate {
	g := gateOf(plan.GateGuardrails, blocked.Reason, blocked.Message)
	if blocked.Waits {
		g.Outcome = plan.Unknown
	}
	return g
}

// gateOf is a gate that is closed for a reason, and open without one.
func gateOf(name plan.GateName, reason, message string) plan.Gate {
	if reason == "" {
		return plan.Gate{Name: name, Outcome: plan.Open}
	}
	return plan.Gate{Name: name, Outcome: plan.Closed, Reason: reason, Message: message}
}
