package workload

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// OwnedBy returns the pods that the owner, a ReplicaSet, controls.
func OwnedBy(pods []corev1.Pod, owner types.UID) []corev1.Pod {
	return filterPods(pods, func(pod *corev1.Pod) bool {
		ref := metav1.GetControllerOfNoCopy(pod)
		return ref != nil && ref.UID == owner
	})
}

// ActivePods returns the pods that are not being deleted and have not ended, for example
// by eviction. The ReplicaSet controller replaces the other ones.
func ActivePods(pods []corev1.Pod) []corev1.Pod { return filterPods(pods, isActive) }

// ReadyPods returns the active pods that are ready.
func ReadyPods(pods []corev1.Pod) []corev1.Pod {
	return filterPods(pods, func(pod *corev1.Pod) bool { return isActive(pod) && IsReady(pod) })
}

func filterPods(pods []corev1.Pod, keep func(*corev1.Pod) bool) []corev1.Pod {
	var kept []corev1.Pod
	for i := range pods {
		if keep(&pods[i]) {
			kept = append(kept, pods[i])
		}
	}
	return kept
}

// isActive is IsPodActive in pkg/controller/controller_utils.go.
func isActive(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// IsReady reports the pod's condition Ready.
func IsReady(pod *corev1.Pod) bool {
	c := condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// ReadySince is when the pod last became ready; false when it is not ready.
func ReadySince(pod *corev1.Pod) (time.Time, bool) {
	if c := condition(pod, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time, true
	}
	return time.Time{}, false
}

// UnreadySince is when an unready pod lost readiness, or, if it was never ready, when it
// was assigned to a node. wasReady tells the two apart. Both results are zero for a pod
// that is ready.
func UnreadySince(pod *corev1.Pod) (since time.Time, wasReady bool) {
	ready := condition(pod, corev1.PodReady)
	if ready != nil && ready.Status == corev1.ConditionTrue {
		return time.Time{}, false
	}
	since = pod.CreationTimestamp.Time
	if c := condition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue && c.LastTransitionTime.After(since) {
		since = c.LastTransitionTime.Time
	}
	if ready == nil {
		return since, false
	}
	began := since
	if start := pod.Status.StartTime; start != nil && start.After(began) {
		began = start.Time
	}
	// A kubelet sets Ready to False in the write that sets startTime, and its transition
	// time changes only with its value. So a later time means that the pod was ready in
	// between.
	if ready.LastTransitionTime.Sub(began) >= startSlack {
		return ready.LastTransitionTime.Time, true
	}
	return since, false
}

// startSlack allows for times that are rounded to seconds and written one after the other.
const startSlack = 2 * time.Second

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
