// Package runs writes the status of RolloutRuns, and the label that says how one ended.
// Two loops write the status; each owns other fields of it.
package runs

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// ApplyStatus writes the fields of a run's status that belong to owner, by server-side
// apply: fields of another field manager stay, and fields that owner wrote before and
// leaves out now are removed. It does not create a run that was deleted. version is the
// resource version of the run that the status was computed from, and another one is a
// conflict; an empty version writes to any.
func ApplyStatus(ctx context.Context, c client.Client, run *v1alpha1.RolloutRun, version string, status v1alpha1.RolloutRunStatus, owner string) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("encode the run's status: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RolloutRun"))
	u.SetNamespace(run.Namespace)
	u.SetName(run.Name)
	// With the UID, this write cannot create a run that was deleted.
	u.SetUID(run.UID)
	if version != "" {
		u.SetResourceVersion(version)
	}
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(owner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write the status of run %s: %w", run.Name, err)
	}
	return nil
}

// LabelOutcome labels a run with its outcome, by a merge patch of owner. A run that was
// deleted needs none.
func LabelOutcome(ctx context.Context, c client.Client, run *v1alpha1.RolloutRun, outcome v1alpha1.Outcome, owner string) error {
	labelled := &v1alpha1.RolloutRun{}
	labelled.Namespace, labelled.Name = run.Namespace, run.Name
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelOutcome, outcome)
	err := c.Patch(ctx, labelled, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(owner))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("label run %s with its outcome: %w", run.Name, err)
	}
	return nil
}
