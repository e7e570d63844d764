package workload

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// HPAWarning names the metrics of a HorizontalPodAutoscaler that would scale both versions
// up without need while a canary runs beside stable, and what to do; empty when there are
// none. They are those that do not fall when pods are added: memory, and external or
// object metrics with a target of type Value. With n stable and c canary pods and a metric
// at r times its target, the autoscaler sets r(n+c) pods for each version, and more at
// every sync. With a canary of full size and r above about 0.55 that goes on until it
// reaches its maximum.
//
// A StatefulSet has no second set of pods, so that none runs away. But the pods that are added
// have the last ordinals, which are the candidate's in a run.
func HPAWarning(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
	if target := hpa.Spec.ScaleTargetRef; target.Kind == v1alpha1.KindStatefulSet {
		return orderedHPAWarning(hpa, target.Name)
	}
	var named []string
	for _, metric := range hpa.Spec.Metrics {
		if name := runsAway(metric); name != "" {
			named = append(named, name)
		}
	}
	if len(named) == 0 {
		return ""
	}
	return fmt.Sprintf("HorizontalPodAutoscaler %s scales on %s, which does not fall when pods are added: with a full-size canary beside stable it may scale both to its maximum of %d pods; set spec.promotion.mode to Native, or scale on another metric",
		hpa.Name, firstOf(named), hpa.Spec.MaxReplicas)
}

func orderedHPAWarning(hpa *autoscalingv2.HorizontalPodAutoscaler, scaled string) string {
	if hpa.Spec.MinReplicas != nil && *hpa.Spec.MinReplicas >= hpa.Spec.MaxReplicas {
		return ""
	}
	return fmt.Sprintf("HorizontalPodAutoscaler %s scales StatefulSet %s: pods that it adds during a step run the candidate, until Belay has replaced those that the weight does not ask for; to keep weights exact, set minReplicas to maxReplicas (%d) until the run ends",
		hpa.Name, scaled, hpa.Spec.MaxReplicas)
}

const maxWarned = 3

// firstOf is the first names of a list, and how many more there are.
func firstOf(named []string) string {
	if extra := len(named) - maxWarned; extra > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(named[:maxWarned], ", "), extra)
	}
	return strings.Join(named, ", ")
}

// runsAway names a metric that does not fall when pods are added.
func runsAway(metric autoscalingv2.MetricSpec) string {
	switch {
	case metric.Resource != nil && metric.Resource.Name == corev1.ResourceMemory:
		return "memory"
	case metric.ContainerResource != nil && metric.ContainerResource.Name == corev1.ResourceMemory:
		return fmt.Sprintf("memory of container %s", token(metric.ContainerResource.Container, 63))
	case metric.External != nil && metric.External.Target.Type == autoscalingv2.ValueMetricType:
		return fmt.Sprintf("external metric %s (target type Value)", token(metric.External.Metric.Name, 63))
	case metric.Object != nil && metric.Object.Target.Type == autoscalingv2.ValueMetricType:
		return fmt.Sprintf("metric %s of %s %s (target type Value)", token(metric.Object.Metric.Name, 63),
			token(metric.Object.DescribedObject.Kind, 63), token(metric.Object.DescribedObject.Name, 63))
	default:
		return ""
	}
}

// minHistory is how many idle ReplicaSets a held Deployment must keep, so that the
// Deployment controller does not delete the stable version's ReplicaSet while the
// Deployment is at 0 replicas.
const minHistory = 2

// HistoryWarning is the warning that a Deployment keeps too few old ReplicaSets; empty
// when it keeps enough.
func HistoryWarning(deployment *unstructured.Unstructured) string {
	limit, ok := integer(deployment, "spec", "revisionHistoryLimit")
	if !ok || limit >= minHistory {
		return ""
	}
	return fmt.Sprintf("Deployment %s has spec.revisionHistoryLimit %d: while it is held at 0 replicas, the Deployment controller may delete the ReplicaSet of the stable version; set it to %d or more",
		deployment.GetName(), limit, minHistory)
}
