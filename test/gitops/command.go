package gitops

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
)

// Actions are the scripts of a Customization's Actions.
type Actions struct {
	// Discovery returns the actions, and which of them are disabled.
	Discovery   string   `json:"discovery.lua"`
	Definitions []Action `json:"definitions"`
}

// Action returns the object as it should become.
type Action struct {
	Name   string `json:"name"`
	Script string `json:"action.lua"`
}

// ActionsOf reads the scripts, with no key that Argo CD does not know.
func ActionsOf(t *testing.T, c Customization) Actions {
	t.Helper()
	var a Actions
	if err := yaml.UnmarshalStrict([]byte(c.Actions), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// CheckPatch holds what an action changes in the metadata of a Rollout to the contract of
// commands: the annotations of this command, for this candidate, with a token that no
// earlier state of the object has had, and nothing else.
func CheckPatch(t *testing.T, s State, action string, metadata []byte) {
	t.Helper()
	var patch struct{ Annotations map[string]any }
	if err := json.Unmarshal(metadata, &patch); err != nil {
		t.Fatalf("%s, %s: %s: %v", s.Name, action, metadata, err)
	}
	revision, _, _ := unstructured.NestedString(s.Object.Object, "status", "candidate", "revision")
	want := map[string]any{
		v1alpha1.AnnotationAction:         strings.ToUpper(action[:1]) + action[1:],
		v1alpha1.AnnotationActionToken:    "argocd-" + s.Object.GetResourceVersion(),
		v1alpha1.AnnotationActionRevision: revision,
		v1alpha1.AnnotationActionReason:   "given in Argo CD",
	}
	if revision == "" || !maps.Equal(patch.Annotations, want) {
		t.Errorf("%s: %s writes %s, want the annotations %v and nothing else", s.Name, action, metadata, want)
	}
}
