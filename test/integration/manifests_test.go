package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// read returns the objects of every YAML file in a folder of config.
func read(folder string) ([]*unstructured.Unstructured, error) {
	return readFolder(filepath.Join("..", "..", "config", folder))
}

func readFolder(path string) ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(path, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no manifests in %s: %w", path, err)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if len(object.Object) > 0 {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}

// install puts folders of config in place, as config/default would.
func install(ctx context.Context, c client.Client, folders ...string) error {
	for _, name := range []string{"belay", "shop"} {
		namespace := &corev1.Namespace{}
		namespace.Name = name
		if err := c.Create(ctx, namespace); err != nil {
			return err
		}
	}
	for _, folder := range folders {
		objects, err := read(folder)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := c.Create(ctx, object); err != nil {
				return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
			}
		}
	}
	return nil
}

// TestSamples: every kind has a sample, and a user can apply each as it is.
func TestSamples(t *testing.T) {
	objects, err := read("samples")
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
	for _, kind := range []string{"Rollout", "Guardrail", "ClusterGuardrail", "MetricSource", "RolloutRun"} {
		if !seen[kind] {
			t.Errorf("no sample of %s", kind)
		}
	}
}

// TestCRDs: each definition fits an annotation of 256 KB, for `kubectl apply`,
// and shows people what they look for.
func TestCRDs(t *testing.T) {
	objects, err := read("crd")
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
