package workload

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"belay.dev/belay/api/v1alpha1"
)

// ReasonImageMoved is the reason of an Inconclusive verdict: a tag names another image than
// it did when the run began, so that what was judged is not what runs.
const ReasonImageMoved = "ImageMoved"

// WithDigests adds the digests that the pods report to images that have none yet. The
// first of a run stays, so that MovedImage sees when a tag moves. When the first pods
// report different ones, there is none: the tag does not identify one image. A digest counts
// only with the repository that it comes from: what a node reports of an image that it did
// not pull differs from node to node.
func WithDigests(images []v1alpha1.ContainerImage, pods []corev1.Pod) []v1alpha1.ContainerImage {
	out := slices.Clone(images)
	for i := range out {
		if out[i].Digest == "" {
			out[i].Digest = sameDigest(pods, out[i].Container)
		}
	}
	return out
}

// sameDigest is the digest of a container in all pods that report one; empty when they differ.
func sameDigest(pods []corev1.Pod, container string) string {
	same := ""
	for i := range pods {
		digest := pulled(&pods[i], container)
		if same == "" {
			same = digest
		}
		if digest != "" && digest != same {
			return ""
		}
	}
	return same
}

// MovedImage says which image of the candidate is not the same in all of its pods, or no
// longer the one of the run's first pods; empty when there is none. Images that are named
// by digest cannot move.
func MovedImage(images []v1alpha1.ContainerImage, pods []corev1.Pod) string {
	active := byName(ActivePods(pods))
	for _, image := range images {
		if strings.Contains(image.Image, "@") {
			continue
		}
		first := image.Digest
		for i := range active {
			digest := pulled(&active[i], image.Container)
			if first == "" {
				first = digest
			}
			if digest != "" && digest != first {
				return fmt.Sprintf("%s of container %s was %s in the run's first pods and is %s in pod %s: the tag was moved, and what was judged is not what would be promoted; name the image by digest (%s@sha256:…) or push a new tag, or abort and retry to judge what the tag names now",
					token(image.Image, 160), quoted(image.Container, 63), shortDigest(first), shortDigest(digest), token(active[i].Name, 253), token(repository(image.Image), 120))
			}
		}
	}
	return ""
}

// pulled is the digest of a container's image, if the node pulled it.
func pulled(pod *corev1.Pod, container string) string {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == container && strings.Contains(c.ImageID, "@") {
			return digestOf(c.ImageID)
		}
	}
	return ""
}

// repository is an image without its tag.
func repository(image string) string {
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		return image[:at]
	}
	return image
}

const digestMarker = "sha256:"

// shortDigest is as much of a digest as tells two apart.
func shortDigest(digest string) string { return digest[:len(digestMarker)+12] }

// digestOf is the digest in an imageID that a kubelet reports, such as
// registry/shop@sha256:….
func digestOf(imageID string) string {
	if i := strings.LastIndex(imageID, digestMarker); i >= 0 && len(imageID)-i == len(digestMarker)+64 {
		return imageID[i:]
	}
	return ""
}
