package gateway

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/jsonpatch"
)

// operation is one step of a JSON patch.
type operation = jsonpatch.Operation

func annotationPath(key string) string { return jsonpatch.Pointer("metadata", "annotations", key) }

// annotate sets the annotations that differ, in order. It first adds the map of
// annotations when the object has none.
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

// unannotate removes those of the annotations that the object has.
func unannotate(present map[string]string, keys ...string) []operation {
	var out []operation
	for _, key := range keys {
		if _, ok := present[key]; ok {
			out = append(out, operation{Op: "remove", Path: annotationPath(key)})
		}
	}
	return out
}

// renoted brings an annotation up to a value, or removes it for an empty one, beside annotations
// that the same write adds.
func renoted(present map[string]string, key, value string) []operation {
	switch value {
	case "":
		return unannotate(present, key)
	case present[key]:
		return nil
	default:
		return []operation{{Op: "add", Path: annotationPath(key), Value: value}}
	}
}

// write applies the operations to the object that was read; when it has changed since, the
// result is a conflict. Afterwards object is the API server's response. Without
// operations nothing is written.
func (r *Router) write(ctx context.Context, object client.Object, resource schema.GroupResource, operations []operation, options ...client.PatchOption) error {
	if len(operations) == 0 {
		return nil
	}
	operations = append([]operation{{Op: "test", Path: "/metadata/resourceVersion", Value: object.GetResourceVersion()}}, operations...)
	document, err := jsonpatch.Patch(operations).Encode()
	if err != nil {
		return fmt.Errorf("encode the change of %s %q: %w", resource, object.GetName(), err)
	}
	err = r.client.Patch(ctx, object, client.RawPatch(types.JSONPatchType, document), append(options, client.FieldOwner(r.manager))...)
	if jsonpatch.TestFailed(err) {
		err = apierrors.NewConflict(resource, object.GetName(), fmt.Errorf("it changed after it was read"))
	}
	if err != nil {
		return fmt.Errorf("write %s %q: %w", resource, object.GetName(), err)
	}
	return nil
}
