package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// What is asked of a workload whatever its kind.

// New is an empty workload of the kind that a Rollout names.
func New(ref v1alpha1.WorkloadRef) *unstructured.Unstructured {
	if ref.Ordered() {
		return empty(v1alpha1.KindStatefulSet)
	}
	return NewDeployment()
}

// Partition is the first ordinal of a StatefulSet that gets what it declares; the API's
// default is 0, all of them.
func Partition(statefulSet *unstructured.Unstructured) int32 {
	return count(statefulSet, "spec", "updateStrategy", "rollingUpdate", "partition")
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
		return strategy != "OnDelete" && Partition(object) == 0
	}
	return !Paused(object)
}

// ControllerRevisions is an empty list of the objects that hold the templates of StatefulSets.
func ControllerRevisions() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevisionList"))
	return list
}

// TemplateOfRevision is the pod template in a ControllerRevision of a StatefulSet, which is written
// as a patch that replaces the template.
func TemplateOfRevision(revision *unstructured.Unstructured) map[string]any {
	template, _, _ := unstructured.NestedMap(revision.Object, "data", "spec", "template")
	delete(template, "$patch")
	return template
}
