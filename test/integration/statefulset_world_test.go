package integration

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Field managers of kubectl's commands, by which the guard tells a person who writes the
// partition from a program that applies a manifest.
const (
	byPatch   = "kubectl-patch"
	byEdit    = "kubectl-edit"
	byReplace = "kubectl-replace"
	byApply   = "kubectl-client-side-apply"
	byGitOps  = "argocd-controller"
)

func statefulSet(name, image string) *appsv1.StatefulSet {
	d := deployment(name, image)
	return &appsv1.StatefulSet{ObjectMeta: d.ObjectMeta, Spec: appsv1.StatefulSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template}}
}

// guardedSet makes a StatefulSet that Belay has adopted, at a partition.
func guardedSet(t *testing.T, name string, partition int32) *appsv1.StatefulSet {
	t.Helper()
	create(t, statefulSet(name, "app:v1"))
	return adoptSet(t, name, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}},"spec":%s}`, v1alpha1.LabelRollout, name, atPartition(partition)))
}

// atPartition is a spec with nothing but a partition.
func atPartition(partition int32) string {
	return fmt.Sprintf(`{"updateStrategy":{"rollingUpdate":{"partition":%d}}}`, partition)
}

// adoptSet is a write of the controller's.
func adoptSet(t *testing.T, name, document string) *appsv1.StatefulSet {
	t.Helper()
	s, err := patchSet(t.Context(), as(t, controller), "belay", name, document)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func patchSet(ctx context.Context, c client.Client, manager, name, document string) (*appsv1.StatefulSet, error) {
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
	return s, c.Patch(ctx, s, client.RawPatch(types.StrategicMergePatchType, []byte(document)), client.FieldOwner(manager))
}

// heldSet pushes a new image, which comes back held.
func heldSet(t *testing.T, c client.Client, name string) *appsv1.StatefulSet {
	t.Helper()
	s, err := patchSet(t.Context(), c, "tests", name, string(templateOf(image())))
	if err != nil {
		t.Fatal(err)
	}
	if at := partitionOf(s); at != v1alpha1.PartitionHold {
		t.Fatalf("a push to %s is not held: its partition is %d", name, at)
	}
	return s
}

// liveSet is the StatefulSet as the API server has it.
func liveSet(t *testing.T, name string) *appsv1.StatefulSet {
	t.Helper()
	s := &appsv1.StatefulSet{}
	if err := admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// partitionOf a StatefulSet; -1 where there is none.
func partitionOf(s *appsv1.StatefulSet) int32 {
	if s.Spec.UpdateStrategy.RollingUpdate == nil || s.Spec.UpdateStrategy.RollingUpdate.Partition == nil {
		return -1
	}
	return *s.Spec.UpdateStrategy.RollingUpdate.Partition
}
