package guardrails

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Warning is what the guardrails of a Rollout say of its steps: that they are too short, at
// the present rate of requests, for what regression.exclude demands. Of several it is the
// first; empty for none. It blocks nothing.
func Warning(ctx context.Context, c client.Reader, rollout *v1alpha1.Rollout) (string, error) {
	for _, ref := range rollout.Spec.Guardrails {
		g := &v1alpha1.Guardrail{}
		err := c.Get(ctx, types.NamespacedName{Namespace: rollout.Namespace, Name: ref.Name}, g)
		if client.IgnoreNotFound(err) != nil {
			return "", fmt.Errorf("read Guardrail %q: %w", ref.Name, err)
		}
		if warning := warningOf("Guardrail", g.Name, g.Status, rollout); err == nil && warning != "" {
			return warning, nil
		}
	}
	cluster := &v1alpha1.ClusterGuardrailList{}
	if err := c.List(ctx, cluster, client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("list ClusterGuardrails: %w", err)
	}
	for i := range cluster.Items {
		if warning := warningOf("ClusterGuardrail", cluster.Items[i].Name, cluster.Items[i].Status, rollout); warning != "" {
			return warning, nil
		}
	}
	return "", nil
}

func warningOf(kind, name string, status v1alpha1.GuardrailStatus, rollout *v1alpha1.Rollout) string {
	for _, e := range status.Exclusions {
		if e.Rollout == rollout.Namespace+"/"+rollout.Name {
			return fmt.Sprintf("%s %q, trigger %s: %s", kind, name, e.Trigger, v1alpha1.Bounded(e.Message, 512))
		}
	}
	return ""
}
