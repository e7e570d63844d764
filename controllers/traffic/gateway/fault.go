package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"belay.dev/belay/controllers/traffic"
)

// ServiceFault says why the traffic of the user's Service cannot be split, and what to
// change, as an ErrUnusable; nil when it can. Its selector must match all of own, the
// versions of the Rollout's Deployment, and none of others, the other Deployments of the
// namespace: their requests would go to this Deployment during a run.
func ServiceFault(service *corev1.Service, own, others []traffic.Pods) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: Service %q %s", traffic.ErrUnusable, service.Name, fmt.Sprintf(format, args...))
	}
	selector := maps.Clone(service.Spec.Selector)
	if narrowedByBelay(service) {
		delete(selector, appsv1.DefaultDeploymentUniqueLabelKey)
	}
	hash, pinned := selector[appsv1.DefaultDeploymentUniqueLabelKey]
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return refuse("is of type ExternalName and has no pods: use a Service of type ClusterIP")
	case service.Spec.ClusterIP == corev1.ClusterIPNone:
		return refuse("is headless (clusterIP: None), so its callers choose pods by themselves: create a Service with a cluster IP for the route, and keep the headless one for other callers")
	case len(selector) == 0:
		return refuse("has no selector: give it the labels of the Deployment's pods")
	case pinned:
		return refuse("selects %s=%s, the pods of one version only: remove that key from its selector", appsv1.DefaultDeploymentUniqueLabelKey, quoted(hash))
	}
	for _, pods := range own {
		if key := mismatch(selector, pods.Labels); key != "" {
			return refuse("selects %s, but the pods of %s have %s: change the Service's selector so that it matches the pods of every version", pairWords(selector, key), pods.Of, pairWords(pods.Labels, key))
		}
	}
	var also []string
	for _, pods := range others {
		if labels.SelectorFromSet(selector).Matches(labels.Set(pods.Labels)) {
			also = append(also, pods.Of)
		}
	}
	if len(also) > 0 {
		return refuse("also selects the pods of %s (by %s), which would get no requests during a run: add a label to the selector that only this Deployment's pods have", listed(also), quoted(labels.FormatLabels(selector)))
	}
	return nil
}

func narrowedByBelay(service *corev1.Service) bool {
	for key := range service.Annotations {
		if strings.HasPrefix(key, annotationNarrowed) {
			return true
		}
	}
	return false
}

// mismatch is the first key of the selector, in order, that the labels do not match.
func mismatch(selector, pod map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		if value, ok := pod[key]; !ok || value != selector[key] {
			return key
		}
	}
	return ""
}

func pairWords(set map[string]string, key string) string {
	value, ok := set[key]
	if !ok {
		return "no label " + quoted(key)
	}
	return quoted(key + "=" + value)
}

// listed joins at most three of the words.
func listed(words []string) string {
	const most = 3
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
