// Package runs writes the status of RolloutRuns. Two loops do so; each owns other fields
// of it.
package runs

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// ApplyStatus writes the fields of a run's status that belong to owner, by server-side
// apply: fields of another field manager stay, and fields that owner wrote before and
// leaves out now are removed. It does not create a run that was deleted.
func ApplyStatus(ctx context.Context, c client.Client, run *v1alpha1.RolloutRun, status v1alpha1.RolloutRunStatus, owner string) error {
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
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(owner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write the status of run %s: %w", run.Name, err)
	}
	return nil
}
