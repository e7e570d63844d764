package workload

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/controllers/jsonpatch"
)

// jsonPatch is a patch of a Deployment or ReplicaSet.
type jsonPatch struct{ jsonpatch.Patch }

// testUnchanged makes the API server refuse the patch when the object was written since
// it was read.
func (p *jsonPatch) testUnchanged(object *unstructured.Unstructured) {
	p.Test(object.GetResourceVersion(), "metadata", "resourceVersion")
}

// entries adds to metadata.labels or metadata.annotations. When the object has none, the
// whole map is added; that would replace what others added since, so the resource version
// is tested.
func (p *jsonPatch) entries(object *unstructured.Unstructured, field string, set map[string]string) {
	if len(set) == 0 {
		return
	}
	existing, found, err := unstructured.NestedMap(object.Object, "metadata", field)
	if err != nil || !found || existing == nil {
		p.testUnchanged(object)
		p.Add(set, "metadata", field)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		p.Add(set[key], "metadata", field, key)
	}
}

// own replaces the present controller, whose uid is tested, by owner.
func (p *jsonPatch) own(object *unstructured.Unstructured, owner metav1.OwnerReference) error {
	i, present := controllerOf(object)
	if i < 0 {
		return fmt.Errorf("the ReplicaSet %s has no controller owner that could be replaced", object.GetName())
	}
	index := fmt.Sprint(i)
	p.Test(string(present.UID), "metadata", "ownerReferences", index, "uid")
	p.Replace(owner, "metadata", "ownerReferences", index)
	return nil
}

// controllerOf is the controller owner and its index in the list; -1 without one.
func controllerOf(object *unstructured.Unstructured) (int, metav1.OwnerReference) {
	for i, owner := range object.GetOwnerReferences() {
		if owner.Controller != nil && *owner.Controller {
			return i, owner
		}
	}
	return -1, metav1.OwnerReference{}
}

func isControlledBy(object *unstructured.Unstructured, uid types.UID) bool {
	_, owner := controllerOf(object)
	return uid != "" && owner.UID == uid
}
