package guardrails

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilstrings "k8s.io/utils/strings"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// first returns the first that blocks.
func first(all ...Blocked) Blocked {
	for _, b := range all {
		if b.Reason != "" {
			return b
		}
	}
	return Blocked{}
}

// unusable blocks runs while a guardrail cannot be judged by. PromQL is checked by a loop of
// its own, which writes the result to the guardrail's status: what a probe of the source
// found there blocks nothing, because a new version may have the series that are missing.
func unusable(g v1alpha1.PinnedGuardrail, generation int64, status v1alpha1.GuardrailStatus) Blocked {
	if mistake := g.Spec.Mistake(); mistake != "" {
		return invalid(g, mistake)
	}
	if !g.Spec.UsesPromQL() {
		return Blocked{}
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.ObservedGeneration != generation:
		return Blocked{Reason: v1alpha1.ReasonGuardrailUnchecked, Waits: true,
			Message: fmt.Sprintf("%s %q has promQL that has not been checked yet: no run starts before that", g.Kind, g.Name)}
	case ready.Status == metav1.ConditionFalse && ready.Reason == v1alpha1.ReasonInvalidSpec:
		return invalid(g, utilstrings.ShortenString(ready.Message, 700))
	}
	return Blocked{}
}

func invalid(g v1alpha1.PinnedGuardrail, mistake string) Blocked {
	return Blocked{Reason: v1alpha1.ReasonGuardrailInvalid, Message: fmt.Sprintf("%s %q cannot be used: %s", g.Kind, g.Name, mistake)}
}

// AppliedTo returns the Rollouts that a ClusterGuardrail applies to. They are not copied:
// read them only. unreadable says which selector cannot be read.
func AppliedTo(ctx context.Context, c client.Reader, g *v1alpha1.ClusterGuardrail) (rollouts []*v1alpha1.Rollout, unreadable string, err error) {
	namespaces, all := &corev1.NamespaceList{}, &v1alpha1.RolloutList{}
	if err := c.List(ctx, namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return nil, "", fmt.Errorf("list the namespaces: %w", err)
	}
	if err := c.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, "", fmt.Errorf("list the Rollouts: %w", err)
	}
	labels := make(map[string]map[string]string, len(namespaces.Items))
	for i := range namespaces.Items {
		labels[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	for i := range all.Items {
		rollout := &all.Items[i]
		applies, err := appliesTo(g, labels[rollout.Namespace], rollout.Labels)
		if err != nil {
			return nil, utilstrings.ShortenString(err.Error(), 400), nil
		}
		if applies {
			rollouts = append(rollouts, rollout)
		}
	}
	return rollouts, "", nil
}
