package checks

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// explain tells a failed check from a Job that failed for reasons of the cluster. What
// counts is the exit code of the check's own container: the last one, when the Job tried
// several times. Without any, the check has said nothing.
func explain(job *batchv1.Job, failed *batchv1.JobCondition, pods []corev1.Pod) *outcome {
	last := lastWord(job, pods)
	switch {
	case failed.Reason == batchv1.JobReasonDeadlineExceeded:
		return inconclusive(v1alpha1.ReasonCheckTimedOut, fmt.Sprintf("Job %q has not finished within its activeDeadlineSeconds", job.Name))
	case last != nil && last.state.ExitCode == v1alpha1.ExitInconclusive:
		return inconclusive(v1alpha1.ReasonCheckInconclusive, fmt.Sprintf("Job %q: container %q exited with code %d, which means inconclusive%s", job.Name, last.container, last.state.ExitCode, said(last.state)))
	case last != nil:
		return &outcome{v1alpha1.VerdictFail, v1alpha1.ReasonCheckFailed, fmt.Sprintf("Job %q: container %q exited with code %d%s", job.Name, last.container, last.state.ExitCode, said(last.state))}
	case failed.Reason == batchv1.JobReasonPodFailurePolicy && len(podsOf(job, pods)) == 0:
		// The pods are gone, and the policy of the Job's author says that it failed.
		return &outcome{v1alpha1.VerdictFail, v1alpha1.ReasonCheckFailed, fmt.Sprintf("Job %q failed by its podFailurePolicy: %s", job.Name, quoted(failed.Message))}
	default:
		return inconclusive(v1alpha1.ReasonCheckDisrupted, fmt.Sprintf("Job %q failed without an exit code of its own: %s%s", job.Name, quoted(failed.Reason), disturbed(job, pods)))
	}
}

// word is how a container ended by itself.
type word struct {
	container string
	state     *corev1.ContainerStateTerminated
}

// lastWord is how the container ended that was the last to end by itself with an error; nil
// when there is none. A pod that was evicted, preempted or deleted says nothing about the
// candidate.
func lastWord(job *batchv1.Job, pods []corev1.Pod) *word {
	var last *word
	for _, pod := range podsOf(job, pods) {
		if pod.DeletionTimestamp != nil || pod.Status.Reason != "" || disruption(&pod) != nil {
			continue
		}
		// Sidecars are init containers, and are stopped when the check has ended.
		w := lastOf(pod.Status.ContainerStatuses)
		if w == nil {
			w = lastOf(pod.Status.InitContainerStatuses)
		}
		if w != nil && (last == nil || w.state.FinishedAt.After(last.state.FinishedAt.Time)) {
			last = w
		}
	}
	return last
}

// lastOf leaves out containers that ran out of memory or could not start: for what ends by
// itself with an error the kubelet's word is Error (containerd and CRI-O set it).
func lastOf(statuses []corev1.ContainerStatus) *word {
	var last *word
	for _, c := range statuses {
		ended := c.State.Terminated
		if ended == nil || ended.ExitCode == 0 || ended.Reason != "Error" && ended.Reason != "" {
			continue
		}
		if last == nil || ended.FinishedAt.After(last.state.FinishedAt.Time) {
			last = &word{c.Name, ended}
		}
	}
	return last
}

func podsOf(job *batchv1.Job, pods []corev1.Pod) (out []corev1.Pod) {
	for _, pod := range pods {
		if metav1.IsControlledBy(&pod, job) {
			out = append(out, pod)
		}
	}
	return out
}

func disruption(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// said is what a container wrote to its termination message.
func said(state *corev1.ContainerStateTerminated) string { return because(state.Message) }

// because is ": " and a text from outside; nothing for an empty one.
func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + quoted(text)
}

// disturbed says what happened to the first pod that something happened to.
func disturbed(job *batchv1.Job, pods []corev1.Pod) string {
	for _, pod := range podsOf(job, pods) {
		if c := disruption(&pod); c != nil {
			return fmt.Sprintf(", pod %s: %s", pod.Name, quoted(c.Reason))
		}
		if pod.Status.Reason != "" {
			return fmt.Sprintf(", pod %s: %s", pod.Name, quoted(pod.Status.Reason))
		}
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if ended := c.State.Terminated; ended != nil && ended.ExitCode != 0 {
				return fmt.Sprintf(", container %q of pod %s: %s", c.Name, pod.Name, quoted(ended.Reason))
			}
		}
	}
	return ""
}

// waiting says what the first container that does not run waits for; nothing when all run.
func waiting(job *batchv1.Job, pods []corev1.Pod) string {
	if c := hasCondition(job, batchv1.JobSuspended); c != nil {
		return "it is suspended: " + quoted(c.Message)
	}
	own := podsOf(job, pods)
	if len(own) == 0 {
		return "it has no pod: a quota or an admission webhook may refuse it, see its events with kubectl describe job"
	}
	for _, pod := range own {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return fmt.Sprintf("pod %s is not scheduled: %s", pod.Name, quoted(c.Message))
			}
		}
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if w := c.State.Waiting; w != nil && w.Reason != "PodInitializing" {
				return fmt.Sprintf("container %q waits: %s%s", c.Name, quoted(w.Reason), because(w.Message))
			}
		}
	}
	return ""
}

// quoted is a text from outside: short and quoted.
func quoted(s string) string { return fmt.Sprintf("%q", v1alpha1.Bounded(s, 120)) }
