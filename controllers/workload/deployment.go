package workload

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Replicas is what the Deployment declares; the API's default is 1.
func Replicas(deployment *unstructured.Unstructured) int32 { return size(deployment) }

// ProgressDeadline is the Deployment's spec.progressDeadlineSeconds, by default
// the 10 minutes that the API server fills in.
func ProgressDeadline(deployment *unstructured.Unstructured) time.Duration {
	seconds, found, _ := unstructured.NestedInt64(deployment.Object, "spec", "progressDeadlineSeconds")
	if !found {
		seconds = 600
	}
	return time.Duration(seconds) * time.Second
}

// Paused is the Deployment's spec.paused.
func Paused(deployment *unstructured.Unstructured) bool {
	paused, _, _ := unstructured.NestedBool(deployment.Object, "spec", "paused")
	return paused
}

// MaxReplicas is how many pods the Deployment's own strategy may have at once: its
// replicas and its surge (MaxSurge and ResolveFenceposts in
// pkg/controller/deployment/util/deployment_util.go). The Deployment controller writes
// it on its ReplicaSets and computes proportions from it.
func MaxReplicas(deployment *unstructured.Unstructured) (int32, error) {
	replicas := Replicas(deployment)
	declared, found, err := unstructured.NestedMap(deployment.Object, "spec", "strategy")
	if err != nil || !found {
		return replicas, err
	}
	var strategy appsv1.DeploymentStrategy
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(declared, &strategy); err != nil {
		return 0, fmt.Errorf("read the strategy of Deployment %s: %w", token(deployment.GetName(), 253), err)
	}
	if strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || strategy.RollingUpdate == nil {
		return replicas, nil
	}
	none := intstr.FromInt32(0)
	surge, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(strategy.RollingUpdate.MaxSurge, none), int(replicas), true)
	if err != nil {
		return 0, fmt.Errorf("read maxSurge of Deployment %s: %w", token(deployment.GetName(), 253), err)
	}
	return replicas + int32(surge), nil
}

// size is spec.replicas of a Deployment or ReplicaSet.
func size(object *unstructured.Unstructured) int32 {
	if n, ok := integer(object, "spec", "replicas"); ok {
		return int32(n)
	}
	return 1
}

func count(object *unstructured.Unstructured, path ...string) int32 {
	n, _ := integer(object, path...)
	return int32(n)
}

// integer reads a number: an int64 when the API machinery decoded it, a float64 when
// encoding/json did.
func integer(object *unstructured.Unstructured, path ...string) (int64, bool) {
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	if err != nil || !found {
		return 0, false
	}
	switch n := value.(type) {
	case int64:
		return n, true
	case float64:
		return int64(n), true
	default:
		return 0, false
	}
}
