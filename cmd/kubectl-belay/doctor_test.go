package main

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/config"
)

// TestWhatDiffers: defaults that the API server fills in do not, what is missing or changed
// does, and its place is told.
func TestWhatDiffers(t *testing.T) {
	manifest := map[string]any{"a": []any{map[string]any{"n": float64(1000000), "s": "x\n"}}, "description": "old", "on": true}
	for want, object := range map[string]map[string]any{
		"":       {"a": []any{map[string]any{"n": int64(1000000), "s": "x", "default": true}}, "on": true, "description": "new"},
		"a[0].n": {"a": []any{map[string]any{"n": int64(2), "s": "x"}}, "on": true},
		"a[0].s": {"a": []any{map[string]any{"n": int64(1000000)}}, "on": true},
		"a":      {"a": []any{}, "on": true},
		"on":     {"a": []any{map[string]any{"n": int64(1000000), "s": "x"}}},
	} {
		if got := difference(manifest, object, ""); got != want {
			t.Errorf("%v differs at %q, want %q", object, got, want)
		}
	}
}

// TestTheManifestsNameTheIdentity, in every policy that exempts the controller.
func TestTheManifestsNameTheIdentity(t *testing.T) {
	for _, folder := range []string{"crd", "guard", "rbac"} {
		objects, err := config.Objects(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if differs(o, o) != "" {
				t.Errorf("%s differs from itself at %s", o.GetName(), differs(o, o))
			}
			if o.GetName() != "belay-guard-hold" || o.GetKind() != "MutatingAdmissionPolicy" {
				continue
			}
			other := renamed(o, "system:serviceaccount:ops:belay")
			if at := identityIn(other); at != "system:serviceaccount:ops:belay" {
				t.Errorf("the identity in %s is %s", o.GetName(), at)
			}
			if at := differs(o, other); !strings.Contains(at, "matchConditions") {
				t.Errorf("with another identity %s differs at %q", o.GetName(), at)
			}
		}
	}
}

func TestTagsThatAreVersions(t *testing.T) {
	for image, want := range map[string]string{
		"registry.example.com:5000/belay/belay-controller:v0.1.0": "v0.1.0", "belay-controller": "", "a:latest": "",
		"registry.example.com:5000/belay": "", "a@sha256:ab": "", "a:0.2.0@sha256:ab": "0.2.0",
	} {
		if got := tagOf(image); got != want {
			t.Errorf("the tag of %s is %q, want %q", image, got, want)
		}
	}
}

func TestFindingsAreOneLineEach(t *testing.T) {
	e := &examination{}
	e.found("Service shop", "create it", "it does\nnot exist\x1b[2J.")
	e.note("Kubernetes %s.", "v1.37.2")
	const want = "Service shop  it does not exist[2J  →  create it\nnote: Kubernetes v1.37.2.\n1 finding.\n"
	if got := findingsScreen(terminal{width: 40}, e.report); got != want {
		t.Errorf("%q", got)
	}
	if got := findingsScreen(terminal{width: 40}, report{}); got != "Nothing is wrong.\n" {
		t.Errorf("%q", got)
	}
}

func TestBackendsOfARoute(t *testing.T) {
	route := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": []any{
		map[string]any{}, map[string]any{"backendRefs": []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}}}}}}}
	if got := strings.Join(backends(route), ","); got != "a,b" {
		t.Error(got)
	}
}
