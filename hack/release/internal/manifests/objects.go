// Package manifests makes what Belay is installed from: one file for kubectl, and a
// Helm chart. Both hold the objects of config.
package manifests

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Objects builds a folder of config, such as default, as `kubectl kustomize` does.
func Objects(root, folder string) ([]*unstructured.Unstructured, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "config", folder))
	if err != nil {
		return nil, fmt.Errorf("build config/%s: %w", folder, err)
	}
	var objects []*unstructured.Unstructured
	for _, resource := range built.Resources() {
		raw, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		object, err := parse(raw)
		if err != nil {
			return nil, fmt.Errorf("read %s of config/%s: %w", resource.CurId(), folder, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func parse(raw []byte) (*unstructured.Unstructured, error) {
	asJSON, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(asJSON)
}

// placeholder is the image in config. A release puts its own in its place.
const placeholder = "belay-controller"

// Install is config/default with the image of a release, given with its digest. The
// namespace stands before what is in it: kubectl applies a file from its top to its end.
func Install(root, image string) ([]byte, error) {
	objects, err := Objects(root, "default")
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(objects, namespacesFirst)
	var out strings.Builder
	replaced := 0
	for _, object := range objects {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		const line = "image: " + placeholder + "\n"
		replaced += strings.Count(string(text), line)
		out.WriteString("---\n" + strings.ReplaceAll(string(text), line, "image: "+image+"\n"))
	}
	if replaced != 1 {
		return nil, fmt.Errorf("config/default has %d lines \"image: %s\", want exactly 1", replaced, placeholder)
	}
	return []byte(out.String()), nil
}

func namespacesFirst(a, b *unstructured.Unstructured) int {
	rank := func(o *unstructured.Unstructured) int {
		if o.GetKind() == "Namespace" {
			return 0
		}
		return 1
	}
	return rank(a) - rank(b)
}
