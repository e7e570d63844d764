package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operation is one step of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// escape makes a map's key one element of a JSON pointer.
func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func annotationPath(key string) string { return "/metadata/annotations/" + escape(key) }

// annotate sets the annotations that differ, in order, and the map that holds
// them first when there is none.
func annotate(present map[string]string, pairs ...[2]string) []operation {
	var out []operation
	for _, pair := range pairs {
		if old, ok := present[pair[0]]; !ok || old != pair[1] {
			out = append(out, operation{Op: "add", Path: annotationPath(pair[0]), Value: pair[1]})
		}
	}
	if len(out) > 0 && len(present) == 0 {
		out = append([]operation{{Op: "add", Path: "/metadata/annotations", Value: map[string]string{}}}, out...)
	}
	return out
}

// unannotate removes the annotations that are there.
func unannotate(present map[string]string, keys ...string) []operation {
	var out []operation
	for _, key := range keys {
		if _, ok := present[key]; ok {
			out = append(out, operation{Op: "remove", Path: annotationPath(key)})
		}
	}
	return out
}

// write carries out the operations on the object as it was read: another version
// of it is a conflict. The object then is what the API server answered. With no
// operation nothing is written.
func (r *Router) write(ctx context.Context, object client.Object, resource schema.GroupResource, operations []operation) error {
	if len(operations) == 0 {
		return nil
	}
	operations = append([]operation{{Op: "test", Path: "/metadata/resourceVersion", Value: object.GetResourceVersion()}}, operations...)
	document, err := json.Marshal(operations)
	if err != nil {
		return fmt.Errorf("encode the change of %s %q: %w", resource, object.GetName(), err)
	}
	err = r.client.Patch(ctx, object, client.RawPatch(types.JSONPatchType, document), client.FieldOwner(r.manager))
	if testFailed(err) {
		err = apierrors.NewConflict(resource, object.GetName(), fmt.Errorf("it changed after it was read"))
	}
	if err != nil {
		return fmt.Errorf("write %s %q: %w", resource, object.GetName(), err)
	}
	return nil
}

// testFailed reports whether a JSON patch was refused because it does not fit the
// object: ours fit the one that was read, so it has changed since. The API server
// answers that with 422 and no cause, not with the 409 of a conflict; a change that
// a rule refuses has causes.
func testFailed(err error) bool {
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
