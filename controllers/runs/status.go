// Package runs writes the status of RolloutRuns, their labels and their finalizer.
// Three loops write the status; each owns other fields of it.
package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
// conflict; an empty version writes to any. run takes the version that the write made.
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
	run.ResourceVersion = u.GetResourceVersion()
	return nil
}

// Labels returns Belay's labels on a run: its Rollout and revision, and its outcome once
// it has one. They are for selectors of people; Belay finds runs by their spec.
func Labels(run *v1alpha1.RolloutRun) map[string]string {
	labels := map[string]string{v1alpha1.LabelRollout: run.Spec.Rollout.Name, v1alpha1.LabelRevision: run.Spec.Revision}
	if run.Status.Outcome != "" {
		labels[v1alpha1.LabelOutcome] = string(run.Status.Outcome)
	}
	return labels
}

// Marked reports whether a run has the labels that Labels returns, no outcome before it ended,
// and the finalizer until then.
func Marked(run *v1alpha1.RolloutRun) bool {
	return len(mislabelled(run)) == 0 && slices.Equal(run.Finalizers, Finalizers(run))
}

// Finalizers returns those that a run is to have: Belay's while it is in progress, and others'.
// One that is being deleted gets none any more, because the API server refuses it.
func Finalizers(run *v1alpha1.RolloutRun) []string {
	has, ended := slices.Contains(run.Finalizers, v1alpha1.RunFinalizer), run.Status.Outcome != ""
	switch {
	case ended && has:
		return slices.DeleteFunc(slices.Clone(run.Finalizers), func(f string) bool { return f == v1alpha1.RunFinalizer })
	case !ended && !has && run.DeletionTimestamp == nil:
		return append(slices.Clone(run.Finalizers), v1alpha1.RunFinalizer)
	default:
		return run.Finalizers
	}
}

// Kept reports whether a run that is being deleted keeps its ReplicaSet until it has ended: it has
// Belay's finalizer, and no collector is to orphan or delete what belongs to it.
func Kept(run *v1alpha1.RolloutRun) bool {
	collected := slices.Contains(run.Finalizers, metav1.FinalizerOrphanDependents) || slices.Contains(run.Finalizers, metav1.FinalizerDeleteDependents)
	return slices.Contains(run.Finalizers, v1alpha1.RunFinalizer) && !collected
}

// mislabelled are the labels to change, by key; nil for one to remove.
func mislabelled(run *v1alpha1.RolloutRun) map[string]any {
	wrong, wanted := map[string]any{}, Labels(run)
	for key, value := range wanted {
		if run.Labels[key] != value {
			wrong[key] = value
		}
	}
	if _, set := run.Labels[v1alpha1.LabelOutcome]; set && wanted[v1alpha1.LabelOutcome] == "" {
		wrong[v1alpha1.LabelOutcome] = nil
	}
	return wrong
}

// Mark gives a run the labels that it lacks, and takes its finalizer away once it has its
// outcome, by a merge patch of owner. A change of finalizers is a conflict when the run has
// changed since it was read: a patch replaces all of them. A run that was deleted needs neither.
func Mark(ctx context.Context, c client.Client, run *v1alpha1.RolloutRun, owner string) error {
	changes := map[string]any{"labels": mislabelled(run)}
	if wanted := Finalizers(run); !slices.Equal(run.Finalizers, wanted) {
		changes["finalizers"], changes["resourceVersion"] = wanted, run.ResourceVersion
	}
	patch, err := json.Marshal(map[string]any{"metadata": changes})
	if err != nil {
		return fmt.Errorf("encode the labels of run %s: %w", run.Name, err)
	}
	marked := &v1alpha1.RolloutRun{}
	marked.Namespace, marked.Name = run.Namespace, run.Name
	err = c.Patch(ctx, marked, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(owner))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("label run %s: %w", run.Name, err)
	}
	return nil
}
