// Package runs writes RolloutRuns. Both loops do: each owns fields of its own in a
// run's status.
package runs

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// ApplyStatus writes the fields of a run's status that owner has, by server-side
// apply: what another field manager wrote stays, and what owner wrote before and
// leaves out now is removed. A run that was deleted is not made again.
func ApplyStatus(ctx context.Context, c client.Client, run *v1alpha1.RolloutRun, status v1alpha1.RolloutRunStatus, owner string) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("encode the run's status: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RolloutRun"))
	u.SetNamespace(run.Namespace)
	u.SetName(run.Name)
	// The UID keeps a run that was deleted from being made again by this write.
	u.SetUID(run.UID)
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(owner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write the status of run %s: %w", run.Name, err)
	}
	return nil
}
