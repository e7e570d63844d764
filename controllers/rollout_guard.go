package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// GuardProbe proves that a pushed template would wait: it asks the API server,
// in a dry-run and as an identity without privileges of Belay's, to change and
// unpause the Deployment, and looks whether the answer is paused.
type GuardProbe struct {
	// client acts as the probe's identity.
	client client.Client
	// proven and unproven are how long a result stands before it is checked again.
	proven, unproven time.Duration

	mu      sync.Mutex
	results map[types.UID]guardResult
}

type guardResult struct {
	guard plan.Guard
	at    time.Time
}

// NewGuardProbe returns a probe that acts through c. A proof is renewed after
// proven, a failed one retried after unproven.
func NewGuardProbe(c client.Client, proven, unproven time.Duration) *GuardProbe {
	return &GuardProbe{client: c, proven: proven, unproven: unproven, results: map[types.UID]guardResult{}}
}

// Check returns the newest result for a Rollout and when it is due again.
func (p *GuardProbe) Check(ctx context.Context, rollout *v1alpha1.Rollout, d *appsv1.Deployment, now time.Time) (plan.Guard, time.Duration) {
	p.mu.Lock()
	last, ok := p.results[rollout.UID]
	p.mu.Unlock()
	stands := p.unproven
	if last.guard.Proven {
		stands = p.proven
	}
	if age := now.Sub(last.at); ok && age < stands {
		return last.guard, stands - age
	}
	guard := p.probe(ctx, d, now)
	p.mu.Lock()
	p.results[rollout.UID] = guardResult{guard, now}
	p.mu.Unlock()
	if guard.Proven {
		return guard, p.proven
	}
	return guard, p.unproven
}

// Forget drops what is known of a Rollout that is gone.
func (p *GuardProbe) Forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.results, uid)
}

func (p *GuardProbe) probe(ctx context.Context, d *appsv1.Deployment, now time.Time) plan.Guard {
	annotations := map[string]string{v1alpha1.AnnotationGuardProbe: now.UTC().Format(time.RFC3339Nano)}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"paused":   false,
		"template": map[string]any{"metadata": map[string]any{"annotations": annotations}},
	}})
	if err != nil {
		return unproven(err.Error())
	}
	answer := &appsv1.Deployment{}
	answer.Namespace, answer.Name = d.Namespace, d.Name
	err = p.client.Patch(ctx, answer, client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
	switch {
	case err == nil && answer.Spec.Paused:
		return plan.Guard{Proven: true, Reason: v1alpha1.ReasonGuardProven, Message: "a pushed template comes back paused"}
	case err == nil:
		return plan.Guard{Reason: v1alpha1.ReasonGuardMissing,
			Message: "a pushed template would roll at once: install Belay's admission policies (config/guard) on this cluster"}
	case deniedByGuard(err):
		return plan.Guard{Proven: true, Reason: v1alpha1.ReasonGuardProven, Message: "a pushed template is denied while pods move"}
	default:
		return unproven(err.Error())
	}
}

func deniedByGuard(err error) bool {
	return (apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsConflict(err)) && strings.Contains(err.Error(), "belay-guard")
}

func unproven(message string) plan.Guard {
	return plan.Guard{Reason: v1alpha1.ReasonGuardUnproven, Message: bounded(fmt.Sprintf("the guard could not be checked: %s", message), 512)}
}
