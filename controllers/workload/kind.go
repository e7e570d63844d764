package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// What is asked of a workload whatever its kind.

// New is an empty workload of the kind that a Rollout names.
func New(ref v1alpha1.WorkloadRef) *unstructured.Unstructured {
	if ref.Ordered() {
		return NewStatefulSet()
	}
	return NewDeployment()
}

// Held reports whether no pod of a workload gets what it declares: a Deployment that is paused, a
// StatefulSet with the partition that no ordinal reaches.
func Held(object *unstructured.Unstructured) bool {
	if object.GetKind() == v1alpha1.KindStatefulSet {
		return Partition(object) == v1alpha1.PartitionHold
	}
	return Paused(object)
}

// Rolls reports whether a workload brings all of its pods to what it declares by itself.
func Rolls(object *unstructured.Unstructured) bool {
	if object.GetKind() == v1alpha1.KindStatefulSet {
		strategy, _, _ := unstructured.NestedString(object.Object, "spec", "updateStrategy", "type")
		return strategy != string(appsv1.OnDeleteStatefulSetStrategyType) && Partition(object) == 0
	}
	return !Paused(object)
}

// VersionOf is the name of the ControllerRevision that a pod of a StatefulSet runs.
func VersionOf(pod *corev1.Pod) string { return pod.Labels[appsv1.ControllerRevisionHashLabelKey] }
