package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// GuardProbe proves that a pushed template would wait: it asks the API server,
// in a dry-run and as an identity without privileges of Belay's, to change the
// Deployment's template and to let it roll, and looks whether the answer is
// paused. That only the policy can have done, even for a Deployment that was
// paused before: the request itself says otherwise.
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
	until time.Time
}

// probeTimeout bounds what a slow admission webhook of somebody else's can cost.
const probeTimeout = 2 * time.Second

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
	if ok && now.Before(last.until) {
		return last.guard, last.until.Sub(now)
	}
	guard, stands := p.probe(ctx, d, now)
	p.mu.Lock()
	p.results[rollout.UID] = guardResult{guard, now.Add(stands)}
	p.mu.Unlock()
	return guard, stands
}

// Last returns the newest result without a new look. After a restart that is
// the one in the Rollout's status.
func (p *GuardProbe) Last(rollout *v1alpha1.Rollout) plan.Guard {
	p.mu.Lock()
	last, ok := p.results[rollout.UID]
	p.mu.Unlock()
	if ok {
		return last.guard
	}
	if c := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionGuarded); c != nil {
		return plan.Guard{Proven: c.Status == metav1.ConditionTrue, Reason: c.Reason, Message: c.Message}
	}
	return plan.Guard{}
}

// Forget drops what is known of a Rollout that is gone.
func (p *GuardProbe) Forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.results, uid)
}

// probe asks once, and says how long the answer stands.
func (p *GuardProbe) probe(ctx context.Context, d *appsv1.Deployment, now time.Time) (plan.Guard, time.Duration) {
	annotations := map[string]string{v1alpha1.AnnotationGuardProbe: now.UTC().Format(time.RFC3339Nano)}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"paused":   false,
		"template": map[string]any{"metadata": map[string]any{"annotations": annotations}},
	}})
	if err != nil {
		return unproven(err.Error()), p.unproven
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answer := &appsv1.Deployment{}
	answer.Namespace, answer.Name = d.Namespace, d.Name
	err = p.client.Patch(ctx, answer, client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
	switch {
	case err == nil && answer.Spec.Paused:
		return plan.Guard{Proven: true, Reason: v1alpha1.ReasonGuardProven, Message: "a pushed template comes back paused"}, p.proven
	case err == nil:
		return plan.Guard{Reason: v1alpha1.ReasonGuardMissing,
			Message: "a pushed template would roll at once: install Belay's admission policies (config/guard) on this cluster"}, p.unproven
	case deniedBy(err, unpausePolicy, unpauseWords):
		// The request reached this policy unpaused: nothing had paused it before.
		return plan.Guard{Reason: v1alpha1.ReasonGuardMissing,
			Message: "a pushed template does not come back paused: belay-guard-pause or its binding is not in force; apply config/guard again"}, p.unproven
	case deniedBy(err, busyPolicy, busyWords):
		// True while pods move, and silent about the time after.
		return plan.Guard{Proven: true, Reason: v1alpha1.ReasonGuardProven, Message: "a pushed template is denied while pods move"}, p.unproven
	default:
		return unproven(err.Error()), p.unproven
	}
}

// The policies whose denial says something about the guard, and the words that
// tell their judgement from their failure to judge.
const (
	unpausePolicy = "belay-guard-unpause"
	unpauseWords  = " is held by Rollout "
	busyPolicy    = "belay-guard-busy"
	busyWords     = " is moving pods of deployment "
)

// deniedBy reports whether this policy denied a request, with these words. The
// API server gives a cause for each denial and begins it in one way; other
// errors, and other people's policies, may quote a name but not begin so.
func deniedBy(err error, policy, words string) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if strings.HasPrefix(cause.Message, "ValidatingAdmissionPolicy '"+policy+"' ") && strings.Contains(cause.Message, words) {
			return true
		}
	}
	return false
}

func unproven(message string) plan.Guard {
	return plan.Guard{Reason: v1alpha1.ReasonGuardUnproven, Message: bounded(fmt.Sprintf("the guard could not be checked: %s", message), 512)}
}
