package workload

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestReadVersion(t *testing.T) {
	template := func() map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "web:2", "newField": "kept"}}}}
	}
	want, err := RevisionOf(template())
	if err != nil {
		t.Fatal(err)
	}
	patch := template()
	patch["$patch"] = "replace"
	yes := true
	revision := func(owner string, data any) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{"data": data}}
		u.SetName("web-6d4b75cb6d")
		u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: owner, Name: "web", UID: "1", Controller: &yes}})
		return u
	}
	data := map[string]any{"spec": map[string]any{"template": patch}}
	got, ok, err := ReadVersion(revision("StatefulSet", data))
	if err != nil || !ok || got != (Version{Name: "web-6d4b75cb6d", Revision: want, Image: "web:2", UID: "1"}) {
		t.Errorf("%+v %v (%v), want revision %s", got, ok, err, want)
	}
	if patch["$patch"] != "replace" {
		t.Error("the object that was read was changed")
	}
	if _, ok, err := ReadVersion(revision("DaemonSet", data)); ok || err != nil {
		t.Errorf("a DaemonSet's is taken for a StatefulSet's (%v)", err)
	}
	for name, damaged := range map[string]any{"no template": map[string]any{}, "no text": "", "a wrong type": map[string]any{"spec": map[string]any{"template": map[string]any{"spec": "x"}}}} {
		if _, ok, err := ReadVersion(revision("StatefulSet", damaged)); ok || err == nil || !strings.Contains(err.Error(), "web-6d4b75cb6d") {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}
