package workload

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// generated is a name that changes with its content: the suffix of kustomize's generators
// (api/hasher in sigs.k8s.io/kustomize).
var generated = regexp.MustCompile(`-[245678bcdfghkmt9]{10}$`)

// everywhere is a ConfigMap that Kubernetes keeps in each namespace.
const everywhere = "kube-root-ca.crt"

// FixedConfig names the ConfigMaps and Secrets of a pod template whose content can change
// without another template; sorted. There are none in a template with an annotation whose
// key says that it is their checksum, as many charts have (checksum/config). One that
// cannot be read names none.
func FixedConfig(template map[string]any) []string {
	var typed corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, &typed); err != nil {
		return nil
	}
	for key := range typed.Annotations {
		if key = strings.ToLower(key); strings.Contains(key, "checksum") || strings.Contains(key, "hash") {
			return nil
		}
	}
	found := map[string]bool{}
	add := func(kind, name string) {
		if name != "" && name != everywhere && !generated.MatchString(name) {
			found[kind+" "+token(name, 253)] = true
		}
	}
	for i := range typed.Spec.Volumes {
		ofVolume(&typed.Spec.Volumes[i], add)
	}
	for _, containers := range [][]corev1.Container{typed.Spec.InitContainers, typed.Spec.Containers} {
		for i := range containers {
			ofEnvironment(&containers[i], add)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func ofVolume(v *corev1.Volume, add func(kind, name string)) {
	if v.ConfigMap != nil {
		add("ConfigMap", v.ConfigMap.Name)
	}
	if v.Secret != nil {
		add("Secret", v.Secret.SecretName)
	}
	if v.Projected == nil {
		return
	}
	for _, source := range v.Projected.Sources {
		if source.ConfigMap != nil {
			add("ConfigMap", source.ConfigMap.Name)
		}
		if source.Secret != nil {
			add("Secret", source.Secret.Name)
		}
	}
}

func ofEnvironment(c *corev1.Container, add func(kind, name string)) {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			add("ConfigMap", from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			add("Secret", from.SecretRef.Name)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if ref := e.ValueFrom.ConfigMapKeyRef; ref != nil {
			add("ConfigMap", ref.Name)
		}
		if ref := e.ValueFrom.SecretKeyRef; ref != nil {
			add("Secret", ref.Name)
		}
	}
}

// ConfigWarning says that a change of what the template names is no new version; wrong is
// empty when there is nothing to say. write is what to do.
func ConfigWarning(template map[string]any) (wrong, write string) {
	named := FixedConfig(template)
	if len(named) == 0 {
		return "", ""
	}
	return fmt.Sprintf("the template names %s, and a change of their content alone is no new version: pods take it unjudged", firstOf(named)),
		"give them names that change with their content (kustomize configMapGenerator, secretGenerator), or put a checksum of it into an annotation of the template (checksum/config)"
}
