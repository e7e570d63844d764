package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Whoever changes a field owns it afterwards, and the next server-side apply by anybody
// else conflicts. A write that changes a field cannot give up its ownership, because the
// API server adds it again. So ownership is given up in a write of its own, which changes
// no owned field; until it is done, an annotation marks the object.

// disown removes the manager's field ownership of an object, except of the status. The
// entries are removed by index, which is valid for the resource version that was read.
func disown(object client.Object, manager string) []operation {
	var out []operation
	entries := object.GetManagedFields()
	for i, entry := range slices.Backward(entries) {
		if owns(entry, manager) {
			out = append(out, operation{Op: "remove", Path: fmt.Sprintf("/metadata/managedFields/%d", i)})
		}
	}
	if len(out) > 0 && len(out) == len(entries) {
		// The API server ignores an empty list, as that of a client that does not know
		// field ownership; a single empty entry clears it.
		return []operation{{Op: "replace", Path: "/metadata/managedFields", Value: []metav1.ManagedFieldsEntry{{}}}}
	}
	return out
}

func owned(object client.Object, manager string) bool {
	return slices.ContainsFunc(object.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool { return owns(e, manager) })
}

func owns(entry metav1.ManagedFieldsEntry, manager string) bool {
	return entry.Manager == manager && entry.Subresource == ""
}

// writerOf is the manager that last wrote a field of the spec that is owned as a whole,
// such as a list of rules or a selector. It is empty when own is among the field's owners
// or when the field has none.
func writerOf(object client.Object, field, own string) string {
	newest, at := "", metav1.Time{}
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource != "" || !coversSpecField(entry, field) {
			continue
		}
		if entry.Manager == own {
			return ""
		}
		if entry.Time == nil && newest == "" || entry.Time != nil && !entry.Time.Before(&at) {
			newest = entry.Manager
			if entry.Time != nil {
				at = *entry.Time
			}
		}
	}
	return newest
}

func coversSpecField(entry metav1.ManagedFieldsEntry, field string) bool {
	if entry.FieldsV1 == nil {
		return false
	}
	var fields struct {
		Spec map[string]json.RawMessage `json:"f:spec"`
	}
	if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
		return false
	}
	_, ok := fields.Spec["f:"+field]
	return ok
}

// marks reports whether one of the annotations is present by which Belay marks an object
// that it has changed for a Rollout and not given up yet.
func marks(present map[string]string, keys ...string) bool {
	for _, key := range keys {
		if _, ok := present[key]; ok {
			return true
		}
	}
	return false
}

// markedByOthers reports whether there is an annotation with one of the prefixes for
// another Rollout: then Belay's field ownership is needed for that Rollout too.
func markedByOthers(present map[string]string, owner string, prefixes ...string) bool {
	for key := range present {
		for _, prefix := range prefixes {
			if other, ok := strings.CutPrefix(key, prefix); ok && other != owner {
				return true
			}
		}
	}
	return false
}
