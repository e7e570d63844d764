package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// jsonPatch collects the operations of RFC 6902. A test that does not hold makes
// the API server refuse the whole patch with 422 Unprocessable Entity.
type jsonPatch []operation

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func (p *jsonPatch) test(value any, path ...string)    { p.do("test", value, path) }
func (p *jsonPatch) add(value any, path ...string)     { p.do("add", value, path) }
func (p *jsonPatch) replace(value any, path ...string) { p.do("replace", value, path) }
func (p *jsonPatch) remove(path ...string)             { p.do("remove", nil, path) }

func (p *jsonPatch) do(op string, value any, path []string) {
	*p = append(*p, operation{Op: op, Path: pointer(path), Value: value})
}

// pointer writes a path as RFC 6901 wants it.
func pointer(path []string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, key := range path {
		b.WriteString("/" + escape.Replace(key))
	}
	return b.String()
}

// testUnchanged lets the patch through only while nobody has written the object
// since it was read.
func (p *jsonPatch) testUnchanged(object *unstructured.Unstructured) {
	p.test(object.GetResourceVersion(), "metadata", "resourceVersion")
}

// entries adds to metadata.labels or metadata.annotations. Where there are none a
// whole map is added, which would replace what others have added since: the
// resource version is tested then.
func (p *jsonPatch) entries(object *unstructured.Unstructured, field string, set map[string]string) {
	if len(set) == 0 {
		return
	}
	existing, found, err := unstructured.NestedMap(object.Object, "metadata", field)
	if err != nil || !found || existing == nil {
		p.testUnchanged(object)
		p.add(set, "metadata", field)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		p.add(set[key], "metadata", field, key)
	}
}

// removeLabels removes those of the labels that are there, if their values are
// still the same.
func (p *jsonPatch) removeLabels(object *unstructured.Unstructured, keys ...string) {
	labels := object.GetLabels()
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			p.test(value, "metadata", "labels", key)
			p.remove("metadata", "labels", key)
		}
	}
}

// own makes owner the controller in the place of the present one, whose uid is
// tested.
func (p *jsonPatch) own(object *unstructured.Unstructured, owner metav1.OwnerReference) error {
	i, present := controllerOf(object)
	if i < 0 {
		return fmt.Errorf("the ReplicaSet %s has no controller owner to take it from", object.GetName())
	}
	index := fmt.Sprint(i)
	p.test(string(present.UID), "metadata", "ownerReferences", index, "uid")
	p.replace(owner, "metadata", "ownerReferences", index)
	return nil
}

func (p jsonPatch) encode() ([]byte, error) {
	if len(p) == 0 {
		return nil, nil
	}
	// The API server compares the strings of a test as they are written, so they
	// must be escaped as its own encoder does: "a && b" is "a \u0026\u0026 b".
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	return raw, nil
}

// controllerOf is the controller owner and its place in the list; -1 without one.
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

// TestFailed reports whether the API server refused one of these patches because a
// test in it does not hold: the object has changed since it was read. The answer is
// then a 422 without a cause; what is refused by a rule has causes.
func TestFailed(err error) bool {
	if err == nil {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		// A client that applies the patch itself has the patch library's words.
		return strings.Contains(err.Error(), "test failed")
	}
	details := status.Status().Details
	return status.Status().Reason == metav1.StatusReasonInvalid && (details == nil || len(details.Causes) == 0)
}
