package workload

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// problem is why a pod is not ready, ordered from specific to general.
type problem int

const (
	problemImage         problem = iota + 1 // an image cannot be pulled
	problemWaits                            // a container cannot be created or started, or is in back-off
	problemRestarted                        // a container ended and was started again
	problemUnschedulable                    // no node has room
	problemNode                             // the node is deleted, draining, or does not start it
	problemGate                             // only a readiness gate is missing
	problemLost                             // it was ready, and its probe fails now
	problemStarting                         // no problem is known
)

// diagnosis is one pod's problem and its text.
type diagnosis struct {
	pod     *corev1.Pod
	problem problem
	// one and many are the texts for one pod and for several; many has a %d. Without
	// many, one is about a container.
	one, many string
	// detail is appended to either.
	detail string
}

// diagnose finds out why a pod is not ready.
func diagnose(pod *corev1.Pod) diagnosis {
	d := diagnosis{pod: pod}
	if c := condition(pod, corev1.PodScheduled); c != nil && c.Status != corev1.ConditionTrue {
		d.problem, d.one, d.many, d.detail = problemUnschedulable, "1 pod is unschedulable", "%d pods are unschedulable", because(c.Message, 160)
		return d
	}
	if why := nodeTrouble(pod); why != "" {
		d.problem, d.one, d.many, d.detail = problemNode, "1 pod is on a node with a problem", "%d pods are on nodes with problems", ": "+why
		return d
	}
	if found, clause := containerProblem(pod); found != 0 {
		d.problem, d.one = found, clause
		return d
	}
	if c := condition(pod, corev1.PodReady); c != nil && c.Reason == "ReadinessGatesNotReady" {
		d.problem, d.one, d.many, d.detail = problemGate, "1 pod waits for a readiness gate", "%d pods wait for a readiness gate", because(c.Message, 120)
		return d
	}
	if _, wasReady := UnreadySince(pod); wasReady {
		d.problem, d.one, d.many = problemLost, "1 pod was ready and no longer is", "%d pods were ready and no longer are"
		return d
	}
	if c := unfinishedInit(pod); c != nil {
		d.problem, d.one = problemStarting, fmt.Sprintf("init container %s has not finished", quoted(c.Name, 63))
		return d
	}
	d.problem, d.one, d.many = problemStarting, "1 pod is starting", "%d pods are starting"
	return d
}

// nodeTrouble is the problem of the pod's node; empty when none is known.
func nodeTrouble(pod *corev1.Pod) string {
	if c := condition(pod, corev1.DisruptionTarget); c != nil && c.Status == corev1.ConditionTrue {
		return "the pod is being disrupted, " + token(c.Reason, 63)
	}
	if pod.Status.Reason == "NodeLost" {
		return "NodeLost"
	}
	ready, containers := condition(pod, corev1.PodReady), condition(pod, corev1.ContainersReady)
	// A kubelet sets a reason and keeps the two conditions consistent. The node life cycle
	// controller sets only Ready, without a reason, when a node stops reporting
	// (MarkPodsNotReady in pkg/controller/util/node/controller_utils.go).
	if ready != nil && ready.Status == corev1.ConditionFalse && ready.Reason == "" && containers != nil && containers.Status == corev1.ConditionTrue {
		return "the node does not report"
	}
	scheduled := condition(pod, corev1.PodScheduled)
	if scheduled != nil && scheduled.Status == corev1.ConditionTrue && pod.Status.StartTime == nil &&
		ready == nil && len(pod.Status.ContainerStatuses) == 0 && len(pod.Status.InitContainerStatuses) == 0 {
		return "the kubelet has not started the pod"
	}
	return ""
}

// imageReasons are the kubelet's reasons for a container that waits for its image
// (pkg/kubelet/images/types.go, cri-api/pkg/errors).
var imageReasons = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
	"RegistryUnavailable", "SignatureValidationFailed", "ErrImageVolumePull", "ImageVolumeMountFailed"}

// containerProblem finds the container with the most specific problem; init containers
// and sidecars come before the others.
func containerProblem(pod *corev1.Pod) (problem, string) {
	type finding struct {
		problem problem
		clause  string
	}
	var found []finding
	eachContainer(pod, func(kind string, c *corev1.ContainerStatus) {
		waiting := c.State.Waiting
		switch {
		case waiting != nil && slices.Contains(imageReasons, waiting.Reason):
			found = append(found, finding{problemImage, waits(kind, c)})
		case c.RestartCount > 0 && (waiting != nil || !c.Ready):
			found = append(found, finding{problemRestarted, restarted(kind, c)})
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating":
			found = append(found, finding{problemWaits, waits(kind, c)})
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			found = append(found, finding{problemRestarted, fmt.Sprintf("%s %s ended%s", kind, quoted(c.Name, 63), exit("exit code", c.State.Terminated))})
		}
	})
	if len(found) == 0 {
		return 0, ""
	}
	best := slices.MinFunc(found, func(a, b finding) int { return cmp.Compare(a.problem, b.problem) })
	return best.problem, best.clause
}

// eachContainer calls f for every container but the ephemeral ones, which are for
// debugging.
func eachContainer(pod *corev1.Pod, f func(kind string, c *corev1.ContainerStatus)) {
	for i := range pod.Status.InitContainerStatuses {
		f("init container", &pod.Status.InitContainerStatuses[i])
	}
	for i := range pod.Status.ContainerStatuses {
		f("container", &pod.Status.ContainerStatuses[i])
	}
}

func waits(kind string, c *corev1.ContainerStatus) string {
	waiting, on := c.State.Waiting, ""
	if slices.Contains(imageReasons, waiting.Reason) && c.Image != "" {
		on = " on " + token(c.Image, 160)
	}
	return fmt.Sprintf("%s %s waits: %s%s%s", kind, quoted(c.Name, 63), token(waiting.Reason, 63), on, because(waiting.Message, 120))
}

func restarted(kind string, c *corev1.ContainerStatus) string {
	last := c.LastTerminationState.Terminated
	if last == nil {
		last = c.State.Terminated
	}
	return fmt.Sprintf("%s %s restarted %s%s", kind, quoted(c.Name, 63), counted(int(c.RestartCount), "time"), exit("last exit code", last))
}

func exit(what string, t *corev1.ContainerStateTerminated) string {
	if t == nil {
		return ""
	}
	reason := ""
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		reason = ", " + token(t.Reason, 63)
	}
	return fmt.Sprintf(" (%s %d%s)", what, t.ExitCode, reason)
}

// unfinishedInit is the init container that is still running.
func unfinishedInit(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.InitContainerStatuses {
		c := &pod.Status.InitContainerStatuses[i]
		if c.State.Running != nil && !c.Ready && (c.Started == nil || !*c.Started) {
			return c
		}
	}
	return nil
}
