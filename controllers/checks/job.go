package checks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// jobGrace is how much later than the timeout Kubernetes itself ends a Job, should Belay
// not be there to do it.
const jobGrace = 30 * time.Second

// jobName is at most 57 characters: the trigger, cut to 40, and 16 of the key's digits.
func jobName(trigger, key string) string {
	return strings.TrimRight(trigger[:min(40, len(trigger))], "-") + "-" + key[:16]
}

// createJob creates the attempt's Job. One that is there already is this attempt's, from
// before a crash, when the run owns it.
func (r *Reconciler) createJob(ctx context.Context, a attempt) *hindrance {
	template, h := r.template(ctx, a.run.Namespace, a.check.Job.CronJob)
	if h != nil {
		return h
	}
	name := jobName(a.status.Trigger, a.key)
	job, err := buildJob(template, name, a)
	if err != nil {
		return hindered("the jobTemplate of CronJob %q cannot be read: %s", a.check.Job.CronJob, quoted(err.Error()))
	}
	err = r.Client.Create(ctx, job, client.FieldOwner(v1alpha1.ChecksFieldManager))
	switch {
	case err == nil:
		return nil
	case apierrors.IsAlreadyExists(err):
		return r.isOurs(ctx, a.run, name)
	default:
		return refused(name, err)
	}
}

// refused says why the API server did not create a Job, in its own words.
func refused(name string, err error) *hindrance {
	words := strings.TrimPrefix(err.Error(), fmt.Sprintf("jobs.batch %q is forbidden: ", name))
	says := fmt.Sprintf("%q", v1alpha1.Bounded(words, 160))
	switch {
	case apierrors.IsForbidden(err) && strings.HasPrefix(words, "exceeded quota"):
		return hindered("a quota refuses Job %q: %s", name, says)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return hindered("the API server refuses Job %q: %s", name, says)
	default:
		return hindered("Job %q could not be created: %s", name, says)
	}
}

// template reads the CronJob that a check names.
func (r *Reconciler) template(ctx context.Context, namespace, name string) (map[string]any, *hindrance) {
	cronJob := &unstructured.Unstructured{}
	cronJob.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("CronJob"))
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, cronJob)
	if apierrors.IsNotFound(err) {
		return nil, hindered("CronJob %q does not exist in namespace %q: create it, or name another one in the check", name, namespace)
	}
	if err != nil {
		return nil, hindered("CronJob %q cannot be read: %s", name, quoted(err.Error()))
	}
	if suspended, _, _ := unstructured.NestedBool(cronJob.Object, "spec", "suspend"); !suspended {
		return nil, hindered("CronJob %q is not suspended, so it is not a template for checks: set spec.suspend: true", name)
	}
	if restart, _, _ := unstructured.NestedString(cronJob.Object, "spec", "jobTemplate", "spec", "template", "spec", "restartPolicy"); restart != string(corev1.RestartPolicyNever) {
		return nil, hindered("CronJob %q has restartPolicy %s, by which exit codes get lost: set restartPolicy: Never", name, quoted(restart))
	}
	template, _, err := unstructured.NestedMap(cronJob.Object, "spec", "jobTemplate")
	if err != nil {
		return nil, hindered("CronJob %q cannot be read: %s", name, quoted(err.Error()))
	}
	return template, nil
}

func (r *Reconciler) isOurs(ctx context.Context, run *v1alpha1.RolloutRun, name string) *hindrance {
	job := &batchv1.Job{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: name}, job)
	switch {
	case err != nil:
		// Also when it is gone again: creating it is tried again.
		return hindered("Job %q exists and cannot be read: %s", name, quoted(err.Error()))
	case !metav1.IsControlledBy(job, run):
		return hindered("a Job %q exists that this run did not create: delete it", name)
	}
	return nil
}

// buildJob makes a Job of a CronJob's jobTemplate, kept unstructured so that fields newer
// than Belay survive.
func buildJob(template map[string]any, name string, a attempt) (*unstructured.Unstructured, error) {
	from := &unstructured.Unstructured{Object: template}
	job := &unstructured.Unstructured{Object: map[string]any{"spec": template["spec"]}}
	job.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("Job"))
	job.SetNamespace(a.run.Namespace)
	job.SetName(name)
	job.SetAnnotations(from.GetAnnotations())
	labels := from.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.LabelRollout], labels[v1alpha1.LabelRevision] = a.run.Spec.Rollout.Name, a.run.Spec.Revision
	labels[v1alpha1.LabelRun], labels[v1alpha1.LabelCheck] = v1alpha1.RunLabel(a.run.Name), a.status.Trigger
	job.SetLabels(labels)
	job.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(a.run, v1alpha1.GroupVersion.WithKind("RolloutRun"))})
	limit := int64((a.check.TimeoutOrDefault() + jobGrace + time.Second - 1) / time.Second)
	if own, set, err := unstructured.NestedInt64(job.Object, "spec", "activeDeadlineSeconds"); err != nil {
		return nil, err
	} else if set {
		limit = min(limit, own)
	}
	if err := unstructured.SetNestedField(job.Object, limit, "spec", "activeDeadlineSeconds"); err != nil {
		return nil, err
	}
	for _, field := range []string{"initContainers", "containers"} {
		if err := addEnvironment(job, field, environment(a)); err != nil {
			return nil, err
		}
	}
	return job, nil
}

type variable struct{ name, value string }

func environment(a attempt) []variable {
	return []variable{
		{"BELAY_RUN", a.run.Name}, {"BELAY_STEP", strconv.Itoa(int(a.status.Step))}, {"BELAY_WEIGHT", strconv.Itoa(int(a.weight()))},
		{"BELAY_REVISION", a.run.Spec.Revision}, {"BELAY_SERVICE", a.service()},
	}
}

// addEnvironment sets variables in every container of a list, in place of its own ones with
// these names. They come first, so that others can refer to them.
func addEnvironment(job *unstructured.Unstructured, field string, variables []variable) error {
	path := []string{"spec", "template", "spec", field}
	containers, found, err := unstructured.NestedSlice(job.Object, path...)
	if err != nil || !found {
		return err
	}
	for i := range containers {
		container, ok := containers[i].(map[string]any)
		if !ok {
			return fmt.Errorf("%s[%d] is not an object", field, i)
		}
		var env []any
		ours := map[any]bool{}
		for _, v := range variables {
			env, ours[v.name] = append(env, map[string]any{"name": v.name, "value": v.value}), true
		}
		before, _, err := unstructured.NestedSlice(container, "env")
		if err != nil {
			return err
		}
		for _, entry := range before {
			if e, ok := entry.(map[string]any); ok && !ours[e["name"]] {
				env = append(env, entry)
			}
		}
		container["env"] = env
	}
	return unstructured.SetNestedSlice(job.Object, containers, path...)
}

// continueJob looks for the outcome of an attempt's Job; nil while it has none.
func (r *Reconciler) continueJob(ctx context.Context, a attempt) (*outcome, error) {
	job, key := &batchv1.Job{}, types.NamespacedName{Namespace: a.run.Namespace, Name: a.status.Job}
	err := r.Client.Get(ctx, key, job)
	if apierrors.IsNotFound(err) {
		// The cache may not have it yet.
		err = r.Live.Get(ctx, key, job)
	}
	if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(job, a.run) {
		return inconclusive(v1alpha1.ReasonCheckDisrupted, fmt.Sprintf("Job %q was deleted before it had a result", a.status.Job)), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Job %q: %w", a.status.Job, err)
	}
	if hasCondition(job, batchv1.JobComplete) != nil {
		if job.Status.Succeeded == 0 {
			return inconclusive(v1alpha1.ReasonCheckNotStarted, fmt.Sprintf("Job %q completed, but no pod of the Job has run: set completions to at least 1 in its CronJob", job.Name)), nil
		}
		return &outcome{v1alpha1.VerdictPass, v1alpha1.ReasonCheckPassed, fmt.Sprintf("Job %q completed", job.Name)}, nil
	}
	failed := hasCondition(job, batchv1.JobFailed)
	late := !a.now.Before(a.deadline())
	if failed == nil && !late {
		a.lookAt(a.deadline())
		return nil, r.noteWait(ctx, a, job)
	}
	pods := &corev1.PodList{}
	if err := r.Live.List(ctx, pods, podsOfJob(job)...); err != nil {
		return nil, fmt.Errorf("list the pods of Job %q: %w", job.Name, err)
	}
	if failed != nil {
		return explain(job, failed, pods.Items), nil
	}
	a.after = append(a.after, func(ctx context.Context) error { return r.deleteJob(ctx, job) })
	message := fmt.Sprintf("Job %q has not finished within %s", job.Name, a.check.TimeoutOrDefault())
	if cause := waiting(job, pods.Items); cause != "" {
		message += ": " + cause
	}
	return inconclusive(v1alpha1.ReasonCheckTimedOut, message), nil
}

func podsOfJob(job *batchv1.Job) []client.ListOption {
	return []client.ListOption{client.InNamespace(job.Namespace), client.MatchingLabels{batchv1.JobNameLabel: job.Name}}
}

// startGrace is how long the pod of a Job may take to start without a word about it.
const startGrace = 10 * time.Second

// noteWait records what the pod of a Job waits for, until it runs.
func (r *Reconciler) noteWait(ctx context.Context, a attempt, job *batchv1.Job) error {
	c := a.status
	waited := a.now.Sub(c.StartedAt.Time)
	if waited < startGrace {
		a.lookAt(c.StartedAt.Add(startGrace))
		return nil
	}
	cause := ""
	if ptr.Deref(job.Status.Ready, 0) == 0 {
		pods := &corev1.PodList{}
		if err := r.Client.List(ctx, pods, podsOfJob(job)...); err != nil {
			return fmt.Errorf("list the pods of Job %q: %w", job.Name, err)
		}
		cause = waiting(job, pods.Items)
	}
	if cause == "" {
		c.Reason, c.Message = "", ""
		return nil
	}
	c.Reason, c.Message = v1alpha1.ReasonCheckNotStarted, v1alpha1.Bounded(cause, maxMessage)
	a.lookAt(a.now.Add(min(waited, longestRetry)))
	return nil
}

func hasCondition(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Type == kind && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// deleteJobs deletes the Jobs of a run that ended before they did. An error of one does not
// keep the others.
func (r *Reconciler) deleteJobs(ctx context.Context, run *v1alpha1.RolloutRun) error {
	jobs := &batchv1.JobList{}
	err := r.Client.List(ctx, jobs, client.InNamespace(run.Namespace), client.MatchingLabels{v1alpha1.LabelRun: v1alpha1.RunLabel(run.Name)})
	if err != nil {
		return fmt.Errorf("list the Jobs of the run: %w", err)
	}
	var failed error
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if !metav1.IsControlledBy(job, run) || hasCondition(job, batchv1.JobComplete) != nil || hasCondition(job, batchv1.JobFailed) != nil {
			continue
		}
		failed = errors.Join(failed, r.deleteJob(ctx, job))
	}
	return failed
}

// deleteJob deletes a Job once its pods are gone.
func (r *Reconciler) deleteJob(ctx context.Context, job *batchv1.Job) error {
	if job.DeletionTimestamp != nil {
		return nil
	}
	err := r.Client.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationForeground), client.Preconditions{UID: &job.UID})
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete Job %q: %w", job.Name, err)
	}
	return nil
}
