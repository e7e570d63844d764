package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestConfigIsWhole: every kind that Belay defines or needs is known and there.
func TestConfigIsWhole(t *testing.T) {
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}, {Group: "belay.dev", Version: "v1alpha1", Kind: "Rollout"},
	} {
		if !scheme.Recognizes(kind) {
			t.Errorf("%s is unknown", kind)
		}
	}
	definitions, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range definitions {
		objects, err := Objects(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			names = append(names, object.GetName())
		}
	}
	for _, name := range []string{"rollouts.belay.dev", "rolloutruns.belay.dev", "httproutes.gateway.networking.k8s.io"} {
		if !strings.Contains(strings.Join(names, " "), name) {
			t.Errorf("no definition of %s in %s", name, names)
		}
	}
}

func TestObjects(t *testing.T) {
	path := t.TempDir()
	if _, err := Objects(path); err == nil {
		t.Error("an empty folder has manifests")
	}
	for name, text := range map[string]string{
		"a.yaml": "# only a comment\n---\nkind: A\n---\nkind: B\n", "kustomization.yaml": "kind: Kustomization\n", "b.txt": "kind: C\n",
	} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := Objects(path)
	if err != nil || len(objects) != 2 || objects[0].GetKind() != "A" || objects[1].GetKind() != "B" {
		t.Errorf("%v, %v", objects, err)
	}
	if err := os.WriteFile(filepath.Join(path, "c.yaml"), []byte("kind: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Objects(path); err == nil || !strings.Contains(err.Error(), "c.yaml") {
		t.Errorf("a broken file: %v", err)
	}
}
