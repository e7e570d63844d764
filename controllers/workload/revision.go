// Package workload reads and builds Deployments, ReplicaSets and pods: the revision of a
// pod template, which ReplicaSet the Deployment controller would take, why pods are not
// ready, and the writes that hand a ReplicaSet over. It is pure: it has no client and no
// clock, and decides nothing.
//
// Deployments and ReplicaSets are read unstructured, so that fields of a newer
// Kubernetes than Belay's types are compared and copied too.
package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"belay.dev/belay/api/v1alpha1"
)

// Template returns the pod template of a Deployment or ReplicaSet, not a copy;
// nil when it has none.
func Template(object *unstructured.Unstructured) map[string]any {
	template, _, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", "template")
	m, _ := template.(map[string]any)
	return m
}

// DecodeTemplate reads a template from JSON, such as the one in a run. Integers stay
// integers.
func DecodeTemplate(raw []byte) (map[string]any, error) {
	var template map[string]any
	if err := utiljson.Unmarshal(raw, &template); err != nil {
		return nil, fmt.Errorf("decode a pod template: %w", err)
	}
	return template, nil
}

// CanonicalTemplate is the template as JSON with sorted keys. Two templates have the same
// bytes exactly when they are equal for the Deployment controller: quantities are compared
// by value, empty maps and lists are absent, and the label pod-template-hash is ignored.
// Fields that Belay's types do not know are kept unchanged. It fails when a known field
// has the wrong type. The result is itself a template with the same revision.
func CanonicalTemplate(template map[string]any) ([]byte, error) {
	canonical, err := normalise(template)
	if err != nil {
		return nil, err
	}
	return json.Marshal(canonical)
}

// RevisionOf is the first 10 hex digits of SHA-256 over the canonical template.
func RevisionOf(template map[string]any) (string, error) {
	canonical, err := CanonicalTemplate(template)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])[:10], nil
}

// BaseRevision is the revision of a template without the annotations of these keys, which
// spec.restartAnnotations lists; empty where it lists none. revision is the template's own.
func BaseRevision(template map[string]any, revision string, restarts []string) (string, error) {
	if len(restarts) == 0 {
		return "", nil
	}
	annotations, _, err := unstructured.NestedMap(template, "metadata", "annotations")
	if err != nil {
		return "", fmt.Errorf("read the annotations of the pod template: %w", err)
	}
	all := len(annotations)
	for _, key := range restarts {
		delete(annotations, key)
	}
	if len(annotations) == all {
		return revision, nil
	}
	metadata, _ := template["metadata"].(map[string]any)
	base, without := maps.Clone(template), maps.Clone(metadata)
	without["annotations"] = annotations
	base["metadata"] = without
	return RevisionOf(base)
}

// maxImages and maxImageLength are the limits of Revision.images in the API.
const (
	maxImages      = 32
	maxImageLength = 512
)

// Describe returns the revision of a template with the images of its containers, without
// init containers: at most 32, each with at most 512 bytes.
func Describe(template map[string]any) (v1alpha1.Revision, error) {
	revision, err := RevisionOf(template)
	if err != nil {
		return v1alpha1.Revision{}, err
	}
	r := v1alpha1.Revision{Revision: revision, Image: firstImage(template)}
	containers, _, err := unstructured.NestedSlice(template, "spec", "containers")
	if err != nil {
		return v1alpha1.Revision{}, fmt.Errorf("read the containers of the pod template: %w", err)
	}
	for i, c := range containers {
		container, _ := c.(map[string]any)
		name, _ := container["name"].(string)
		image, _ := container["image"].(string)
		image = cut(image, maxImageLength)
		if i < maxImages {
			r.Images = append(r.Images, v1alpha1.ContainerImage{Container: name, Image: image})
		}
	}
	return r, nil
}

// firstImage is the image of the first container; empty when it cannot be read.
func firstImage(template map[string]any) string {
	containers, _, _ := unstructured.NestedFieldNoCopy(template, "spec", "containers")
	list, _ := containers.([]any)
	if len(list) == 0 {
		return ""
	}
	container, _ := list[0].(map[string]any)
	image, _ := container["image"].(string)
	return cut(image, maxImageLength)
}
