package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Reasons of the pods trigger. The set is closed, and each has one outcome.
const (
	// ReasonPodsHealthy: Pass. All pods exist and are ready.
	ReasonPodsHealthy = "Healthy"
	// ReasonPodsRestarting: Fail. A container restarted more often than tolerated.
	ReasonPodsRestarting = "PodsRestarting"
	// ReasonPodsNotReady: Fail. A pod has not become ready in time.
	ReasonPodsNotReady = "PodsNotReady"
	// ReasonPodsNotObserved: Inconclusive. There are no pods yet, or too few.
	ReasonPodsNotObserved = "PodsNotObserved"
	// ReasonPodsRefused: Inconclusive. The API server refuses to create the pods.
	ReasonPodsRefused = "PodsRefused"
	// ReasonPodsUnschedulable: Inconclusive. No node has room.
	ReasonPodsUnschedulable = "PodsUnschedulable"
	// ReasonNodeTrouble: Inconclusive. A pod's node is deleted, draining or not reporting.
	ReasonNodeTrouble = "NodeTrouble"
	// ReasonPodsStarting: Inconclusive. A pod is not ready and has time left.
	ReasonPodsStarting = "PodsStarting"
	// ReasonReadinessLost: Inconclusive. A pod was ready and no longer is.
	ReasonReadinessLost = "ReadinessLost"
)

// maxVerdictMessage is how long the API lets a verdict's message be, in bytes.
const maxVerdictMessage = 512

// PodsVerdict is the verdict of a pods trigger.
type PodsVerdict struct {
	Outcome v1alpha1.VerdictOutcome
	Reason  string
	// Message of at most 512 bytes.
	Message string
}

// JudgePods applies a pods trigger to a set and the pods that it owns, by what the API
// server reports. It needs no metrics, so it works without Prometheus, and no pod specs.
//
// It fails only for what the version can be the cause of: a container (also an init
// container or a sidecar) that restarts too often, and a pod that has a node and does not
// become ready in time, for example because its image cannot be pulled or its probe
// fails. readyWithin no longer applies to a pod that has been ready once. Pods that are
// being deleted or have ended are ignored. Missing room on nodes, problems of nodes and a
// later loss of readiness are Inconclusive.
func JudgePods(trigger v1alpha1.PodsTrigger, set Set, pods []corev1.Pod, now time.Time) PodsVerdict {
	limit := int32(1)
	if trigger.MaxRestarts != nil {
		limit = *trigger.MaxRestarts
	}
	pods = byName(ActivePods(pods))
	for i := range pods {
		if message := restartedTooOften(&pods[i], limit); message != "" {
			return verdict(v1alpha1.VerdictFail, ReasonPodsRestarting, message)
		}
	}
	for i := range pods {
		if message := lateToBecomeReady(&pods[i], trigger.ReadyWithin.Duration, now); message != "" {
			return verdict(v1alpha1.VerdictFail, ReasonPodsNotReady, message)
		}
	}
	if len(pods) == 0 && set.Desired == 0 {
		return verdict(v1alpha1.VerdictInconclusive, ReasonPodsNotObserved, "the candidate has no pods: it is at 0 replicas")
	}
	if cause := Cause(set, pods, now); cause != "" {
		return verdict(v1alpha1.VerdictInconclusive, unreadyReason(set, pods), cause)
	}
	return verdict(v1alpha1.VerdictPass, ReasonPodsHealthy, fmt.Sprintf("%d of %d pods ready, no container restarted more than %s", len(pods), len(pods), counted(int(limit), "time")))
}

func verdict(outcome v1alpha1.VerdictOutcome, reason, message string) PodsVerdict {
	return PodsVerdict{Outcome: outcome, Reason: reason, Message: cut(message, maxVerdictMessage)}
}

// restartedTooOften describes the pod's container with the most restarts, if they are
// more than the limit.
func restartedTooOften(pod *corev1.Pod, limit int32) string {
	var worst *corev1.ContainerStatus
	of := ""
	eachContainer(pod, func(kind string, c *corev1.ContainerStatus) {
		if c.RestartCount > limit && (worst == nil || c.RestartCount > worst.RestartCount) {
			worst, of = c, kind
		}
	})
	if worst == nil {
		return ""
	}
	return fmt.Sprintf("%s in pod %s, at most %d allowed", restarted(of, worst), token(pod.Name, 253), limit)
}

// lateToBecomeReady describes a pod that was never ready and is over its time.
func lateToBecomeReady(pod *corev1.Pod, readyWithin time.Duration, now time.Time) string {
	if readyWithin <= 0 || IsReady(pod) {
		return ""
	}
	since, wasReady := UnreadySince(pod)
	waited := now.Sub(since)
	if wasReady || waited <= readyWithin {
		return ""
	}
	d := diagnose(pod)
	if d.problem == problemUnschedulable || d.problem == problemNode {
		return ""
	}
	late := fmt.Sprintf("pod %s has not become ready in %s, at most %s allowed", token(pod.Name, 253), waited.Round(time.Second), readyWithin)
	if d.problem == problemStarting && d.many != "" {
		return late
	}
	return late + ": " + d.one + d.detail
}

// unreadyReason is the reason that fits the text of Cause.
func unreadyReason(set Set, pods []corev1.Pod) string {
	if int(set.Desired) > len(pods) && set.Failure != "" {
		return ReasonPodsRefused
	}
	found := diagnoses(pods)
	if len(found) == 0 {
		return ReasonPodsNotObserved
	}
	switch found[0].problem {
	case problemUnschedulable:
		return ReasonPodsUnschedulable
	case problemNode:
		return ReasonNodeTrouble
	}
	if _, wasReady := UnreadySince(found[0].pod); wasReady {
		return ReasonReadinessLost
	}
	return ReasonPodsStarting
}

// maxCauses is how many different problems Cause describes.
const maxCauses = 2

// Cause says in one sentence why a set's pods are missing or not ready; it is empty when
// all pods exist and are ready. The most specific problem comes first:
//
//	0 of 1 ready: ReplicaFailure: FailedCreate: "pods \"shop-1\" is forbidden: exceeded quota…"
//	0 of 1 ready: 1 pod is unschedulable: "0/1 nodes are available: 1 Insufficient cpu."
//	0 of 2 ready: container "app" waits: ImagePullBackOff on shop:1.5.O
//
// It has at most 512 bytes, and text from outside is quoted.
func Cause(set Set, pods []corev1.Pod, now time.Time) string {
	active := byName(ActivePods(pods))
	ready := len(ReadyPods(active))
	wanted := max(int(set.Desired), len(active))
	if ready == wanted {
		return ""
	}
	var causes []string
	if missing := int(set.Desired) - len(active); missing > 0 {
		if set.Failure != "" {
			causes = append(causes, "ReplicaFailure: "+set.Failure)
		} else {
			causes = append(causes, fmt.Sprintf("%s not created yet", counted(missing, "pod")))
		}
	}
	found := diagnoses(active)
	kinds := map[problem]int{}
	for _, d := range found {
		kinds[d.problem]++
	}
	said := map[problem]bool{}
	for _, d := range found {
		if said[d.problem] || len(causes) >= maxCauses {
			continue
		}
		said[d.problem] = true
		causes = append(causes, clauseOf(d, kinds[d.problem], now))
	}
	return cut(fmt.Sprintf("%d of %d ready: %s", ready, wanted, strings.Join(causes, "; ")), maxVerdictMessage)
}

// clauseOf describes the problem of one pod, or the same problem of several.
func clauseOf(d diagnosis, pods int, now time.Time) string {
	switch {
	case pods == 1 && d.problem == problemLost:
		since, _ := UnreadySince(d.pod)
		return fmt.Sprintf("%s (for %s)", d.one, max(now.Sub(since), 0).Round(time.Second))
	case pods == 1:
		return d.one + d.detail
	case d.many == "":
		return fmt.Sprintf("%s%s, the same in %d pods", d.one, d.detail, pods)
	default:
		return fmt.Sprintf(d.many, pods) + d.detail
	}
}

// diagnoses of the pods that are not ready, the most specific problem first.
func diagnoses(pods []corev1.Pod) []diagnosis {
	var found []diagnosis
	for i := range pods {
		if isActive(&pods[i]) && !IsReady(&pods[i]) {
			found = append(found, diagnose(&pods[i]))
		}
	}
	slices.SortStableFunc(found, func(a, b diagnosis) int { return cmp.Compare(a.problem, b.problem) })
	return found
}

func byName(pods []corev1.Pod) []corev1.Pod {
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods
}
