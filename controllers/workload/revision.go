// Package workload knows Deployments and ReplicaSets: revisions of pod
// templates, what runs and is ready, and how the canary ReplicaSet looks. Its
// builders are pure; it decides nothing.
package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TemplateOf returns a copy of a template without what the Deployment
// controller and Belay add to it, so that the same version compares equal
// whichever object it was read from.
func TemplateOf(template corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t := *template.DeepCopy()
	for _, label := range []string{appsv1.DefaultDeploymentUniqueLabelKey, v1alpha1.LabelRevision, v1alpha1.LabelRole} {
		delete(t.Labels, label)
	}
	t.Name, t.GenerateName = "", ""
	return t
}

// CanonicalTemplate is the template's canonical JSON: keys sorted, no white
// space, nothing that depends on where it was read.
func CanonicalTemplate(template corev1.PodTemplateSpec) ([]byte, error) {
	return canonicalJSON(TemplateOf(template))
}

// RevisionOf is the first 10 hex digits of SHA-256 over the canonical JSON.
func RevisionOf(template corev1.PodTemplateSpec) (string, error) {
	canonical, err := CanonicalTemplate(template)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])[:10], nil
}

// canonicalJSON encodes through a generic value, because encoding/json sorts
// the keys of maps but not the fields of structs.
func canonicalJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode the pod template: %w", err)
	}
	var generic map[string]any
	if err := json.Unmarshal(raw, &generic); err != nil {
		return nil, fmt.Errorf("normalise the pod template: %w", err)
	}
	return json.Marshal(generic)
}

// Describe returns the revision of a template with its images.
func Describe(template corev1.PodTemplateSpec) (v1alpha1.Revision, error) {
	revision, err := RevisionOf(template)
	if err != nil {
		return v1alpha1.Revision{}, err
	}
	r := v1alpha1.Revision{Revision: revision}
	for _, c := range template.Spec.Containers {
		if r.Image == "" {
			r.Image = bounded(c.Image)
		}
		r.Images = append(r.Images, v1alpha1.ContainerImage{Container: c.Name, Image: bounded(c.Image)})
	}
	if len(r.Images) > maxImages {
		r.Images = r.Images[:maxImages]
	}
	return r, nil
}

// maxImages and maxImageLength are the API's own bounds.
const (
	maxImages      = 32
	maxImageLength = 512
)

func bounded(image string) string {
	if len(image) > maxImageLength {
		return image[:maxImageLength]
	}
	return image
}

// WithDigests fills in the digests that ready pods report. Where pods disagree
// the digest stays empty: a tag that moved is not evidence of one version.
func WithDigests(images []v1alpha1.ContainerImage, pods []corev1.Pod) []v1alpha1.ContainerImage {
	seen := map[string]string{}
	for i := range pods {
		for _, c := range pods[i].Status.ContainerStatuses {
			digest := digestOf(c.ImageID)
			if digest == "" {
				continue
			}
			if was, ok := seen[c.Name]; ok && was != digest {
				digest = ""
			}
			seen[c.Name] = digest
		}
	}
	out := make([]v1alpha1.ContainerImage, len(images))
	for i, image := range images {
		out[i] = image
		if digest := seen[image.Container]; digest != "" {
			out[i].Digest = digest
		}
	}
	return out
}

// digestOf takes the digest from what a kubelet reports, such as
// registry/shop@sha256:….
func digestOf(imageID string) string {
	const marker = "sha256:"
	for i := len(imageID) - len(marker); i >= 0; i-- {
		if imageID[i:i+len(marker)] == marker && len(imageID)-i == len(marker)+64 {
			return imageID[i:]
		}
	}
	return ""
}
