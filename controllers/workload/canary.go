package workload

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// CanaryName is the name of the canary ReplicaSet of one revision. The
// Deployment controller's own names end in another alphabet, so they cannot
// collide.
func CanaryName(deployment, revision string) string { return deployment + "-" + revision }

// Canary builds the canary ReplicaSet: the template on trial, controlled by the
// Rollout so that the Deployment controller leaves it alone, and labelled like
// the Deployment's pods so that budgets, policies and monitors keep matching.
func Canary(rollout *v1alpha1.Rollout, deployment *appsv1.Deployment, template corev1.PodTemplateSpec, revision string, replicas int32) *appsv1.ReplicaSet {
	template = TemplateOf(template)
	template.Labels = maps.Clone(template.Labels)
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	template.Labels[v1alpha1.LabelRevision] = revision
	template.Labels[v1alpha1.LabelRole] = v1alpha1.RoleCanary

	selector := deployment.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[v1alpha1.LabelRevision] = revision
	selector.MatchLabels[v1alpha1.LabelRole] = v1alpha1.RoleCanary

	return &appsv1.ReplicaSet{
		TypeMeta: metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "ReplicaSet"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: rollout.Namespace,
			Name:      CanaryName(deployment.Name, revision),
			Labels:    template.Labels,
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(rollout, v1alpha1.GroupVersion.WithKind("Rollout")),
			},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        &replicas,
			MinReadySeconds: deployment.Spec.MinReadySeconds,
			Selector:        selector,
			Template:        template,
		},
	}
}

// Settled reports whether the Deployment controller has observed the declared
// template and all its pods, and only those, are available.
func Settled(d *appsv1.Deployment) bool {
	want := Replicas(d)
	return d.Status.ObservedGeneration >= d.Generation &&
		d.Status.UpdatedReplicas == want &&
		d.Status.AvailableReplicas >= want &&
		d.Status.Replicas == want
}

// Replicas is what the Deployment declares; the API's default is 1.
func Replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// ReadyPods returns the pods that are ready and not going away.
func ReadyPods(pods []corev1.Pod) []corev1.Pod {
	var ready []corev1.Pod
	for i := range pods {
		if pods[i].DeletionTimestamp == nil && IsReady(&pods[i]) {
			ready = append(ready, pods[i])
		}
	}
	return ready
}

// Staying returns the pods that are not going away.
func Staying(pods []corev1.Pod) []corev1.Pod {
	var staying []corev1.Pod
	for i := range pods {
		if pods[i].DeletionTimestamp == nil {
			staying = append(staying, pods[i])
		}
	}
	return staying
}

// IsReady reports the pod's Ready condition.
func IsReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// OwnedBy returns the objects' pods that the ReplicaSet controls.
func OwnedBy(pods []corev1.Pod, owner *appsv1.ReplicaSet) []corev1.Pod {
	var owned []corev1.Pod
	for i := range pods {
		if ref := metav1.GetControllerOf(&pods[i]); ref != nil && ref.UID == owner.UID {
			owned = append(owned, pods[i])
		}
	}
	return owned
}
