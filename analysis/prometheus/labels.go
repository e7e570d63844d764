package prometheus

import (
	"strconv"

	"belay.dev/belay/api/v1alpha1"
)

// labelNames are the labels by which a source's series name their namespace and pod. The
// zero value has Belay's own names.
type labelNames struct {
	namespace, pod string
	// noNamespace is set when no label names the namespace alone.
	noNamespace bool
}

func labelsOf(l v1alpha1.MetricSourceLabels) labelNames {
	return labelNames{namespace: l.Namespace, pod: l.Pod}
}

func (l labelNames) namespaceName() string { return orElse(l.namespace, "namespace") }

func (l labelNames) podName() string { return orElse(l.pod, "pod") }

func orElse(name, standard string) string {
	if name == "" {
		return standard
	}
	return name
}

// byTarget groups by the labels of the pod and of the scraped target. If the containers of
// a pod were one sum, a failed scrape of one of them would look like a restart, and
// everything would count again.
func (l labelNames) byTarget() string {
	if l.noNamespace {
		return "by (" + quotedName(l.podName()) + ", instance) "
	}
	return "by (" + quotedName(l.namespaceName()) + ", " + quotedName(l.podName()) + ", instance) "
}

func (l labelNames) byNamespacedPod() string {
	return "by (" + quotedName(l.namespaceName()) + ", " + quotedName(l.podName()) + ") "
}

func (l labelNames) byPod() string { return "by (" + quotedName(l.podName()) + ") " }

// quotedName writes a label's name as PromQL does: in quotes when it has characters beyond
// those of classic names (Prometheus documentation, "UTF-8 in Prometheus").
func quotedName(label string) string {
	if labelName.MatchString(label) {
		return label
	}
	return strconv.Quote(label)
}
