package workload

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
)

// ControllerRevisions is an empty list to read ControllerRevisions into, including fields of
// templates that Belay's types do not know.
func ControllerRevisions() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevisionList"))
	return list
}

// Version is a version of a StatefulSet: one of its ControllerRevisions. Several may have the
// same Belay revision, because the StatefulSet controller compares bytes.
type Version struct {
	// Name is also the value of the label controller-revision-hash of its pods.
	Name     string
	Revision string
	// Image of its first container.
	Image string
	// Number is the highest of the version that was declared last, also again.
	Number int64
	// UID of the StatefulSet that controls it.
	UID types.UID
}

// ReadVersion reads a ControllerRevision. ok is false for one that no StatefulSet controls. It
// fails when the template cannot be read.
func ReadVersion(revision *unstructured.Unstructured) (v Version, ok bool, err error) {
	owner := metav1.GetControllerOfNoCopy(revision)
	if owner == nil || owner.Kind != v1alpha1.KindStatefulSet {
		return Version{}, false, nil
	}
	template, err := VersionTemplate(revision)
	if err != nil {
		return Version{}, false, err
	}
	of, err := RevisionOf(template)
	if err != nil {
		return Version{}, false, fmt.Errorf("ControllerRevision %s: %w", token(revision.GetName(), 253), err)
	}
	number, _ := integer(revision, "revision")
	return Version{Name: revision.GetName(), Revision: of, Image: firstImage(template), Number: number, UID: owner.UID}, true, nil
}

// VersionTemplate is the pod template in a ControllerRevision.
func VersionTemplate(revision *unstructured.Unstructured) (map[string]any, error) {
	field, _, _ := unstructured.NestedFieldNoCopy(revision.Object, "data", "spec", "template")
	template, isMap := field.(map[string]any)
	if !isMap {
		return nil, fmt.Errorf("ControllerRevision %s has no template", token(revision.GetName(), 253))
	}
	// The object may be shared with the cache.
	template = maps.Clone(template)
	// It says how the template is applied, and belongs to the patch.
	delete(template, "$patch")
	return template, nil
}
