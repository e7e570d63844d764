// Package config has the manifests that every installation is made of, so that a program
// can compare a cluster with them.
package config

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

//go:embed crd/*.yaml guard/*.yaml rbac/*.yaml
var files embed.FS

// Identity is the user that the guard's policies exempt, as the manifests name it: the
// ServiceAccount of the controller.
const Identity = "system:serviceaccount:belay:controller"

// Objects of a folder: crd, guard or rbac.
func Objects(folder string) ([]*unstructured.Unstructured, error) {
	return Read(files, folder)
}

// Read returns the objects of every YAML file in a folder, but of its kustomization. A folder
// without such files is an error.
func Read(files fs.FS, folder string) ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(files, path.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, name := range names {
		if path.Base(name) == "kustomization.yaml" {
			continue
		}
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			if len(object.Object) > 0 {
				out = append(out, object)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no manifests in %s", folder)
	}
	return out, nil
}
