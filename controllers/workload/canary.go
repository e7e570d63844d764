package workload

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
)

// maxNameLength is how long the API server lets a ReplicaSet's name be.
const maxNameLength = 253

// CanaryName is the name of the ReplicaSet that Belay creates for a revision: the
// Deployment's name, shortened if necessary, and the revision. The Deployment controller
// names its own ReplicaSets in the same form; if its hash is ever the same, it increases
// its collisionCount and takes another.
func CanaryName(deployment, revision string) string {
	if limit := maxNameLength - 1 - len(revision); len(deployment) > limit {
		deployment = strings.TrimRight(deployment[:limit], "-.")
	}
	return deployment + "-" + revision
}

// Canary builds the ReplicaSet of the candidate: the one that the Deployment controller
// would create for the declared template, with the revision as pod-template-hash, but
// controlled by the run. The template has every field of the Deployment's and no mark
// of Belay, so that PodDisruptionBudgets, policies and monitors see ordinary pods, and the
// Deployment can take the set over unchanged. It fails when the Deployment does not
// declare the run's revision.
func Canary(run *v1alpha1.RolloutRun, deployment *unstructured.Unstructured, replicas int32) (*unstructured.Unstructured, error) {
	declared, err := RevisionOf(Template(deployment))
	if err != nil {
		return nil, err
	}
	if declared != run.Spec.Revision {
		return nil, fmt.Errorf("the Deployment %s declares revision %s, but run %s is for revision %s", deployment.GetName(), declared, run.Name, run.Spec.Revision)
	}
	set := newSet(deployment, Template(deployment), declared, replicas)
	set.SetOwnerReferences([]metav1.OwnerReference{runReference(run)})
	labels := set.GetLabels()
	labels[v1alpha1.LabelRollout] = run.Spec.Rollout.Name
	labels[v1alpha1.LabelRole] = v1alpha1.RoleCanary
	labels[v1alpha1.LabelRun] = v1alpha1.RunLabel(run.Name)
	set.SetLabels(labels)
	return set, nil
}

// StableAgain builds the stable version's ReplicaSet when the Deployment's own was
// deleted. It has the template that the run has pinned as stable's or, after a promotion,
// as its own, and is controlled by the Deployment.
func StableAgain(run *v1alpha1.RolloutRun, deployment *unstructured.Unstructured, stable string, replicas int32) (*unstructured.Unstructured, error) {
	raw := run.Spec.Stable.Template.Raw
	if run.Spec.Stable.Revision.Revision != stable && run.Spec.Revision == stable {
		raw = run.Spec.Template.Raw
	}
	template, err := DecodeTemplate(raw)
	if err != nil {
		return nil, fmt.Errorf("the stable version of run %s: %w", run.Name, err)
	}
	revision, err := RevisionOf(template)
	if err != nil {
		return nil, err
	}
	if revision != stable {
		return nil, fmt.Errorf("the stable template in run %s is revision %s, not %s", run.Name, revision, stable)
	}
	maxReplicas, err := MaxReplicas(deployment)
	if err != nil {
		return nil, err
	}
	set := newSet(deployment, template, revision, replicas)
	set.SetOwnerReferences([]metav1.OwnerReference{deploymentReference(deployment)})
	set.SetAnnotations(sizeAnnotations(Replicas(deployment), maxReplicas))
	labels := set.GetLabels()
	labels[v1alpha1.LabelRollout] = run.Spec.Rollout.Name
	labels[v1alpha1.LabelRole] = v1alpha1.RoleStable
	set.SetLabels(labels)
	return set, nil
}

// newSet builds the same ReplicaSet as getNewReplicaSet in
// pkg/controller/deployment/sync.go, without owner and annotations.
func newSet(deployment *unstructured.Unstructured, template map[string]any, hash string, replicas int32) *unstructured.Unstructured {
	template = runtime.DeepCopyJSON(template)
	metadata := childMap(template, "metadata")
	podLabels := childMap(metadata, "labels")
	podLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash

	selector := map[string]any{}
	if declared, found, err := unstructured.NestedMap(deployment.Object, "spec", "selector"); err == nil && found {
		selector = declared
	}
	childMap(selector, "matchLabels")[appsv1.DefaultDeploymentUniqueLabelKey] = hash

	labels := maps.Clone(podLabels)
	spec := map[string]any{"replicas": int64(replicas), "selector": selector, "template": template}
	if seconds, ok := integer(deployment, "spec", "minReadySeconds"); ok && seconds != 0 {
		spec["minReadySeconds"] = seconds
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": appsv1.SchemeGroupVersion.String(), "kind": "ReplicaSet",
		"metadata": map[string]any{"namespace": deployment.GetNamespace(), "name": CanaryName(deployment.GetName(), hash), "labels": labels},
		"spec":     spec,
	}}
}

// childMap returns the map at a key, and adds it when there is none.
func childMap(parent map[string]any, key string) map[string]any {
	if child, ok := parent[key].(map[string]any); ok && child != nil {
		return child
	}
	child := map[string]any{}
	parent[key] = child
	return child
}

func sizeAnnotations(replicas, maxReplicas int32) map[string]string {
	return map[string]string{
		annotationDesiredReplicas: strconv.Itoa(int(replicas)),
		annotationMaxReplicas:     strconv.Itoa(int(maxReplicas)),
	}
}

func runReference(run *v1alpha1.RolloutRun) metav1.OwnerReference {
	return *metav1.NewControllerRef(run, v1alpha1.GroupVersion.WithKind("RolloutRun"))
}

func deploymentReference(deployment *unstructured.Unstructured) metav1.OwnerReference {
	return *metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))
}
