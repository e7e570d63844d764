// Package jsonpatch builds JSON patches (RFC 6902, types.JSONPatchType) for the
// API server, and recognises its answer when a test in one does not hold.
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

// Patch is carried out in order, whole or not at all. A test that does not hold
// makes the API server refuse it with 422 Unprocessable Entity: see TestFailed.
type Patch []Operation

// Test lets the patch through only while the value is what stands at the path.
func (p *Patch) Test(value any, path ...string) { p.do("test", value, path) }

// Add sets a value, also where there is one already.
func (p *Patch) Add(value any, path ...string) { p.do("add", value, path) }

// Replace sets a value where there is one.
func (p *Patch) Replace(value any, path ...string) { p.do("replace", value, path) }

// Remove takes away what stands at the path; nothing there is an error.
func (p *Patch) Remove(path ...string) { p.do("remove", nil, path) }

func (p *Patch) do(op string, value any, path []string) {
	*p = append(*p, Operation{Op: op, Path: Pointer(path...), Value: value})
}

// RemoveLabels removes those of an object's present labels that are named, each
// only while its value is the same, and returns their keys. A patch can take away
// a label that an admission policy has put back; an apply cannot, as such a label
// has no field owner.
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

// Encode is the patch as the API server wants it; nil when it is empty. A test
// compares strings as its own encoder writes them: "a && b" is "a \u0026\u0026 b".
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

// TestFailed reports whether the API server refused a patch because a test in it
// does not hold, or it does not fit the object: the object has changed since it was
// read. The answer is then a 422 without a cause, not the 409 of a conflict; what
// is refused by a rule has causes.
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
