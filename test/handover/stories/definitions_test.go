package stories

import (
	"context"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/build"
)

// TestDefinitionsDeleted: somebody deletes Belay's CustomResourceDefinitions, and with them every
// Rollout and run, at a point of a release. The API server deletes objects of the kinds one after
// the other and asks no policy. No request goes unanswered, and the Deployment is free.
//
// It has the API server for itself: the other tests need the definitions.
func TestDefinitionsDeleted(t *testing.T) {
	for _, p := range points {
		if !extended && !slices.Contains([]string{"step", "bake", "owner changed"}, p.name) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			s := open(t, replicas, nil)
			t.Cleanup(func() { reinstall(t) })
			p.reach(s, func() { deleteDefinitions(t) })
			s.onWrite(nil)
			s.Eventually("the definitions are gone", func(g Gomega) { g.Expect(definitions(t)).To(BeEmpty()) })
			// A promotion that nothing holds any more may be quicker.
			racing := !p.fails && !p.owned
			held, version := s.Deployment().Spec.Paused, "v2"
			if held {
				version = "v1"
			}
			if held == p.owned && !racing {
				t.Errorf("the Deployment is paused: %t", held)
			}
			s.alone(version, replicas)
			s.Served()
		})
	}
}

// definitions of Belay that the API server has.
func definitions(t *testing.T) (out []*unstructured.Unstructured) {
	all := &unstructured.UnstructuredList{}
	all.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	if err := admin.List(context.WithoutCancel(t.Context()), all); err != nil {
		t.Error(err)
	}
	for i := range all.Items {
		if strings.HasSuffix(all.Items[i].GetName(), "."+v1alpha1.GroupVersion.Group) {
			out = append(out, &all.Items[i])
		}
	}
	return out
}

func deleteDefinitions(t *testing.T) {
	for _, definition := range definitions(t) {
		if err := admin.Delete(t.Context(), definition); err != nil {
			t.Error(err)
		}
	}
}

// reinstall puts the definitions and what all tests share back.
func reinstall(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	NewWithT(t).Eventually(func() int { return len(definitions(t)) }).WithTimeout(soon).Should(BeZero())
	own, err := build.Config("crd")
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range own {
		if err := admin.Create(ctx, definition); err != nil {
			t.Fatal(err)
		}
	}
	NewWithT(t).Eventually(func() error { return share(ctx) }).WithTimeout(soon).Should(Succeed())
}
