package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Whoever changes a field owns it afterwards, and the next server-side apply by
// anybody else conflicts. A write that changes a field cannot give its ownership
// up: the API server adds it again. So giving up is a write of its own, which
// changes no owned field, and until it is done an annotation marks the object.

// disown removes what the manager owns of an object, but the status: the entries
// are known by their place, which holds for the resource version that was read.
func disown(object client.Object, manager string) []operation {
	var out []operation
	entries := object.GetManagedFields()
	for i, entry := range slices.Backward(entries) {
		if owns(entry, manager) {
			out = append(out, operation{Op: "remove", Path: fmt.Sprintf("/metadata/managedFields/%d", i)})
		}
	}
	if len(out) > 0 && len(out) == len(entries) {
		// The API server takes an empty list for a client that knows no field
		// ownership, and keeps the old one; a single empty entry clears it.
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

// writerOf is the manager that last wrote a field of the spec which is owned as a
// whole, such as a list of rules or a selector. It is empty when own is among the
// field's owners, or nobody is.
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

// marks are the annotations by which Belay says, for one Rollout, that it has
// changed an object and not given it up yet.
func marks(present map[string]string, keys ...string) bool {
	for _, key := range keys {
		if _, ok := present[key]; ok {
			return true
		}
	}
	return false
}

// markedByOthers reports whether another Rollout's annotation with one of the
// prefixes is there: then what Belay owns of the object is that Rollout's too.
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
