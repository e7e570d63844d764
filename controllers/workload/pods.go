package workload

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Reasons of the pods trigger. Like every verdict's reason they are a closed set.
const (
	ReasonPodsHealthy     = "Healthy"
	ReasonPodsRestarting  = "PodsRestarting"
	ReasonPodsNotReady    = "PodsNotReady"
	ReasonPodsNotObserved = "PodsNotObserved"
)

// PodsVerdict is what a pods trigger makes of the candidate's pods.
type PodsVerdict struct {
	Outcome v1alpha1.VerdictOutcome
	Reason  string
	Message string
}

// JudgePods applies a pods trigger to the candidate's pods as the API server
// describes them. It needs no metrics, so it works when Prometheus does not.
// Pods that are being deleted do not count. Their specs are not there: the cache
// keeps none.
func JudgePods(trigger v1alpha1.PodsTrigger, pods []corev1.Pod, now time.Time) PodsVerdict {
	limit := int32(1)
	if trigger.MaxRestarts != nil {
		limit = *trigger.MaxRestarts
	}
	judged := 0
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		judged++
		if v, failed := judgePod(pod, limit, trigger.ReadyWithin.Duration, now); failed {
			return v
		}
	}
	if judged == 0 {
		return PodsVerdict{v1alpha1.VerdictInconclusive, ReasonPodsNotObserved, "the candidate has no pods yet"}
	}
	return PodsVerdict{v1alpha1.VerdictPass, ReasonPodsHealthy, fmt.Sprintf("%d pods, no container restarted more than %d times", judged, limit)}
}

func judgePod(pod *corev1.Pod, limit int32, readyWithin time.Duration, now time.Time) (PodsVerdict, bool) {
	for _, c := range pod.Status.ContainerStatuses {
		if c.RestartCount > limit {
			return PodsVerdict{v1alpha1.VerdictFail, ReasonPodsRestarting,
				fmt.Sprintf("container %q of pod %s restarted %d times%s; %d tolerated", c.Name, pod.Name, c.RestartCount, lastExit(c), limit)}, true
		}
	}
	waited := now.Sub(pod.CreationTimestamp.Time)
	if readyWithin > 0 && !IsReady(pod) && waited > readyWithin {
		return PodsVerdict{v1alpha1.VerdictFail, ReasonPodsNotReady,
			fmt.Sprintf("pod %s is not ready %s after its creation%s; %s tolerated", pod.Name, waited.Round(time.Second), waitingBecause(pod), readyWithin)}, true
	}
	return PodsVerdict{}, false
}

func lastExit(c corev1.ContainerStatus) string {
	if t := c.LastTerminationState.Terminated; t != nil {
		return fmt.Sprintf(" (last exit code %d)", t.ExitCode)
	}
	return ""
}

func waitingBecause(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			return fmt.Sprintf(" (container %q waits: %.64q)", c.Name, c.State.Waiting.Reason)
		}
	}
	return ""
}
