package workload

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"belay.dev/belay/api/v1alpha1"
)

func digest(of string) string { return "sha256:" + strings.Repeat(of, 64) }

// podOf runs containers with these imageIDs.
func podOf(name string, ids map[string]string) corev1.Pod {
	var p corev1.Pod
	p.Name = name
	for container, id := range ids {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: container, ImageID: id})
	}
	return p
}

func TestWithDigests(t *testing.T) {
	images := []v1alpha1.ContainerImage{{Container: "app"}, {Container: "moved"}, {Container: "short"}, {Container: "unseen"}, {Container: "known", Digest: digest("d")}}
	got := WithDigests(images, []corev1.Pod{
		podOf("a", map[string]string{"app": "registry/shop@" + digest("a"), "moved": digest("b"), "short": "sha256:abc", "known": digest("e")}),
		podOf("b", map[string]string{"app": digest("a"), "moved": digest("c")}),
	})
	if got[0].Digest != digest("a") || got[1].Digest != "" || got[2].Digest != "" || got[3].Digest != "" || got[4].Digest != digest("d") {
		t.Errorf("digests %+v", got)
	}
}

// TestMovedImage: a tag that names another image than in the run's first pods.
func TestMovedImage(t *testing.T) {
	image := func(name, known string) []v1alpha1.ContainerImage {
		return []v1alpha1.ContainerImage{{Container: "app", Image: name, Digest: known}}
	}
	runs := func(name, id string) corev1.Pod { return podOf(name, map[string]string{"app": id}) }
	of := func(d string) string { return "registry:5000/shop@" + digest(d) }
	gone := runs("a", of("b"))
	gone.Status.Phase = corev1.PodFailed
	for name, c := range map[string]struct {
		images []v1alpha1.ContainerImage
		pods   []corev1.Pod
		says   string
	}{
		"all the same":                  {image("registry:5000/shop:1", digest("a")), []corev1.Pod{runs("a", of("a")), runs("b", of("a"))}, ""},
		"a later pod has another":       {image("registry:5000/shop:1", digest("a")), []corev1.Pod{runs("a", of("a")), runs("b", of("b"))}, `registry:5000/shop:1 of container "app" was sha256:aaaaaaaaaaaa in the run's first pods and is sha256:bbbbbbbbbbbb in pod b`},
		"all pods are new":              {image("registry:5000/shop:1", digest("a")), []corev1.Pod{runs("c", of("b"))}, "name the image by digest (registry:5000/shop@sha256:…)"},
		"the first pods differ":         {image("shop", ""), []corev1.Pod{runs("a", of("a")), runs("b", of("b"))}, "is sha256:bbbbbbbbbbbb in pod b"},
		"named by digest":               {image("registry:5000/shop@"+digest("a"), digest("a")), []corev1.Pod{runs("a", of("b"))}, ""},
		"from another registry":         {image("shop:1", digest("a")), []corev1.Pod{runs("a", "mirror/shop@"+digest("a"))}, ""},
		"not pulled by the node":        {image("shop:1", digest("a")), []corev1.Pod{runs("a", digest("b"))}, ""},
		"not running yet":               {image("shop:1", digest("a")), []corev1.Pod{runs("a", "")}, ""},
		"a pod that has ended":          {image("shop:1", digest("a")), []corev1.Pod{gone}, ""},
		"an injected container differs": {image("shop:1", digest("a")), []corev1.Pod{podOf("a", map[string]string{"app": of("a"), "proxy": of("b")}), podOf("b", map[string]string{"app": of("a"), "proxy": of("c")})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := MovedImage(c.images, c.pods)
			if c.says == "" && got != "" || !strings.Contains(got, c.says) {
				t.Errorf("says %q, want %q", got, c.says)
			}
		})
	}
}

// TestAnImageThatANodeHadAlready: what its pod reports is no digest of a registry, whichever
// pod is ready first.
func TestAnImageThatANodeHadAlready(t *testing.T) {
	loaded := podOf("loaded", map[string]string{"app": digest("c")})
	fetched := podOf("fetched", map[string]string{"app": "registry/shop@" + digest("a")})
	images := WithDigests([]v1alpha1.ContainerImage{{Container: "app", Image: "registry/shop:1"}}, []corev1.Pod{loaded})
	if images[0].Digest != "" {
		t.Errorf("digest %q", images[0].Digest)
	}
	if got := MovedImage(images, []corev1.Pod{loaded, fetched}); got != "" {
		t.Errorf("says %q", got)
	}
	if images = WithDigests(images, []corev1.Pod{loaded, fetched}); images[0].Digest != digest("a") {
		t.Errorf("digest %q", images[0].Digest)
	}
}
