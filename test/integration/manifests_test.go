package integration

import (
	"context"
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/test/build"
)

// install puts folders of config in place, and makes the namespace that most tests
// use.
func install(ctx context.Context, c client.Client, folders ...string) error {
	namespace := &corev1.Namespace{}
	namespace.Name = "shop"
	if err := c.Create(ctx, namespace); err != nil {
		return err
	}
	return build.Install(ctx, c, folders...)
}

// TestSamples: every kind has a sample, and a user can apply each as it is.
func TestSamples(t *testing.T) {
	objects, err := build.Config("samples")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, object := range objects {
		seen[object.GetKind()] = true
		err := author(t, object.GetKind()).Create(t.Context(), object, client.DryRunAll, client.FieldValidation("Strict"))
		if err != nil {
			t.Errorf("sample %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
	for _, kind := range []string{"Rollout", "Guardrail", "ClusterGuardrail", "Freeze", "ClusterFreeze", "MetricSource", "CheckEndpoint", "RolloutRun"} {
		if !seen[kind] {
			t.Errorf("no sample of %s", kind)
		}
	}
}

// TestCRDs: each definition fits an annotation of 256 KB, for `kubectl apply`,
// and shows people what they look for.
func TestCRDs(t *testing.T) {
	objects, err := build.Config("crd")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		raw, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) >= 256*1000 {
			t.Errorf("%s has %d bytes, at most 256,000 fit", object.GetName(), len(raw))
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		version := crd.Spec.Versions[0]
		if len(version.AdditionalPrinterColumns) < 3 || len(crd.Spec.Names.ShortNames) == 0 || len(crd.Spec.Names.Categories) == 0 {
			t.Errorf("%s: want printer columns, a short name and a category", crd.Name)
		}
	}
}
