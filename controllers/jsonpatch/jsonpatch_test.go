package jsonpatch

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestEncode(t *testing.T) {
	var p Patch
	if raw, err := p.Encode(); raw != nil || err != nil {
		t.Errorf("an empty patch is %q, %v", raw, err)
	}
	p.Test("a && b", "metadata", "uid")
	p.Add(false, "spec", "paused")
	p.Replace(0, "spec", "replicas")
	p.Remove("metadata", "annotations", "belay.dev/a~b")
	const want = `[{"op":"test","path":"/metadata/uid","value":"a \u0026\u0026 b"},{"op":"add","path":"/spec/paused","value":false},` +
		`{"op":"replace","path":"/spec/replicas","value":0},{"op":"remove","path":"/metadata/annotations/belay.dev~1a~0b"}]`
	if raw, err := p.Encode(); string(raw) != want || err != nil {
		t.Errorf("%s, %v; want\n%s", raw, err, want)
	}
}

// TestRemoveLabels: a label that is not there would make the API server refuse the
// whole patch.
func TestRemoveLabels(t *testing.T) {
	var p Patch
	removed := p.RemoveLabels(map[string]string{"a": "1", "b": "2"}, "a", "c")
	want := Patch{{Op: "test", Path: "/metadata/labels/a", Value: "1"}, {Op: "remove", Path: "/metadata/labels/a"}}
	if !slices.Equal(removed, []string{"a"}) || !slices.Equal(p, want) {
		t.Errorf("removed %v by %v", removed, p)
	}
}

func TestTestFailed(t *testing.T) {
	kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	bare := apierrors.NewInvalid(kind, "shop", nil)
	noDetails := apierrors.NewInvalid(kind, "shop", nil)
	noDetails.ErrStatus.Details = nil
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"no error":                     {nil, false},
		"a 422 without a cause":        {bare, true},
		"a 422 without details":        {noDetails, true},
		"wrapped":                      {fmt.Errorf("write: %w", bare), true},
		"refused by a rule":            {apierrors.NewInvalid(kind, "shop", field.ErrorList{field.Required(field.NewPath("spec"), "")}), false},
		"a conflict":                   {apierrors.NewConflict(schema.GroupResource{}, "shop", nil), false},
		"a denial":                     {&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden}}, false},
		"the patch library's own":      {errors.New("testing value /metadata/uid failed: test failed"), true},
		"an error of something else's": {errors.New("connection refused"), false},
	} {
		if got := TestFailed(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
