// Package jsonpatch builds JSON patches (RFC 6902, types.JSONPatchType) for the API server,
// and recognises its response when a test in a patch fails.
package jsonpatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Operation is one step of a patch. Path is a JSON pointer: see Pointer.
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Patch is applied in order, and as a whole or not at all. When a test fails, the API server
// refuses the patch with 422 Unprocessable Entity: see TestFailed.
type Patch []Operation

// Test makes the API server refuse the patch unless the path has this value.
func (p *Patch) Test(value any, path ...string) { p.do("test", value, path) }

// Add sets a value, also when the path has one already.
func (p *Patch) Add(value any, path ...string) { p.do("add", value, path) }

// Replace sets a value; the path must have one.
func (p *Patch) Replace(value any, path ...string) { p.do("replace", value, path) }

// Remove removes the value at the path; it is an error when there is none.
func (p *Patch) Remove(path ...string) { p.do("remove", nil, path) }

func (p *Patch) do(op string, value any, path []string) {
	*p = append(*p, Operation{Op: op, Path: Pointer(path...), Value: value})
}

// RemoveLabels removes the labels with these keys that the object has, each only while its
// value is the same, and returns their keys. A patch can remove a label that an admission
// policy has put back; an apply cannot, because such a label has no field owner.
func (p *Patch) RemoveLabels(present map[string]string, keys ...string) (removed []string) {
	for _, key := range keys {
		if value, ok := present[key]; ok {
			p.Test(value, "metadata", "labels", key)
			p.Remove("metadata", "labels", key)
			removed = append(removed, key)
		}
	}
	return removed
}

// Encode is the patch as JSON; nil when it is empty. The API server compares strings in a
// test as its own encoder writes them: "a && b" is "a \u0026\u0026 b".
func (p Patch) Encode() ([]byte, error) {
	if len(p) == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	return raw, nil
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// Pointer writes a path as a JSON pointer (RFC 6901).
func Pointer(path ...string) string {
	var b strings.Builder
	for _, key := range path {
		b.WriteString("/" + escape.Replace(key))
	}
	return b.String()
}

// TestFailed reports whether the API server refused a patch because a test in it failed or
// because it does not fit the object: the object has changed since it was read. The
// response is then a 422 without causes, not the 409 of a conflict; a refusal by a
// validation rule has causes.
func TestFailed(err error) bool {
	if err == nil {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		// A client that applies the patch itself returns the error of the patch library.
		return strings.Contains(err.Error(), "test failed")
	}
	details := status.Status().Details
	return status.Status().Reason == metav1.StatusReasonInvalid && (details == nil || len(details.Causes) == 0)
}
