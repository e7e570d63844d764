package checks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

func TestTheJobOfACheck(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	checks := b.look()
	b.g.Expect(checks).To(HaveLen(1))
	c := checks[0]
	b.g.Expect(c.Outcome).To(BeEmpty())
	b.g.Expect(c.Step).To(BeZero())
	b.g.Expect(c.Attempt).To(Equal(int32(1)))
	b.g.Expect(b.next.RequeueAfter).To(Equal(10*time.Second), "until it should run")
	jobs := b.jobs()
	b.g.Expect(jobs).To(HaveLen(1))
	job := jobs[0]
	b.g.Expect(job.Name).To(Equal(c.Job))
	b.g.Expect(job.Name).To(HavePrefix("smoke-"))
	b.g.Expect(job.Labels).To(Equal(map[string]string{"team": "shop", v1alpha1.LabelRollout: "shop", v1alpha1.LabelRun: runKey.Name, v1alpha1.LabelRevision: "abcdef0123", v1alpha1.LabelCheck: "smoke"}))
	b.g.Expect(job.Annotations).To(Equal(map[string]string{"note": "kept"}))
	b.g.Expect(metav1.IsControlledBy(&job, b.run())).To(BeTrue())
	b.g.Expect(job.Spec.ActiveDeadlineSeconds).To(HaveValue(Equal(int64(90))), "timeout and 30 s")
	b.g.Expect(job.Spec.TTLSecondsAfterFinished).To(HaveValue(Equal(int32(600))))
	env := []corev1.EnvVar{{Name: "BELAY_RUN", Value: runKey.Name}, {Name: "BELAY_STEP", Value: "0"}, {Name: "BELAY_WEIGHT", Value: "10"}, {Name: "BELAY_REVISION", Value: "abcdef0123"}, {Name: "BELAY_SERVICE", Value: "shop-canary"}}
	b.g.Expect(job.Spec.Template.Spec.InitContainers[0].Env).To(Equal(env))
	b.g.Expect(job.Spec.Template.Spec.Containers[0].Env).To(Equal(append(env, corev1.EnvVar{Name: "OTHER", Value: "kept"})), "instead of its own BELAY_STEP")

	b.g.Expect(b.look()).To(Equal(checks), "nothing new")
	b.g.Expect(b.jobs()).To(HaveLen(1))
}

func TestOwnDeadlineOfAJob(t *testing.T) {
	for own, want := range map[int64]int64{10: 10, 600: 90} {
		template := cronJob()
		template.Spec.JobTemplate.Spec.ActiveDeadlineSeconds = &own
		b := newBench(t, jobTrigger(), template)
		b.look()
		b.g.Expect(b.jobs()[0].Spec.ActiveDeadlineSeconds).To(HaveValue(Equal(want)))
	}
}

func TestOutcomesOfJobs(t *testing.T) {
	failed := func(reason string) batchv1.JobCondition {
		return batchv1.JobCondition{Type: batchv1.JobFailed, Reason: reason, Message: "of the Job"}
	}
	limit := failed(batchv1.JobReasonBackoffLimitExceeded)
	disrupted := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler"}}
	}
	evicted := func(p *corev1.Pod) { p.Status.Reason = "Evicted" }
	says := func(text string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.ContainerStatuses[0].State.Terminated.Message = text }
	}
	sidecar := func(p *corev1.Pod) {
		p.Status.InitContainerStatuses = ended("", 143, "Error", time.Minute).Status.ContainerStatuses
	}
	onlyInit := func(p *corev1.Pod) {
		p.Status.InitContainerStatuses, p.Status.ContainerStatuses = p.Status.ContainerStatuses, nil
		p.Status.InitContainerStatuses[0].Name = "wait"
	}
	const pass, fail, unknown = v1alpha1.VerdictPass, v1alpha1.VerdictFail, v1alpha1.VerdictInconclusive
	for name, tc := range map[string]struct {
		condition batchv1.JobCondition
		pods      []corev1.Pod
		outcome   v1alpha1.VerdictOutcome
		reason    string
		says      string
	}{
		"complete":                      {batchv1.JobCondition{Type: batchv1.JobComplete}, nil, pass, v1alpha1.ReasonCheckPassed, " completed"},
		"exit 1":                        {limit, []corev1.Pod{ended("a", 1, "Error", 0)}, fail, v1alpha1.ReasonCheckFailed, `container "check" exited with code 1`},
		"exit 1, with words":            {limit, []corev1.Pod{ended("a", 1, "Error", 0, says("cart\nis empty"))}, fail, v1alpha1.ReasonCheckFailed, `code 1: "cart\nis empty"`},
		"exit 1 of an init container":   {limit, []corev1.Pod{ended("a", 1, "Error", 0, onlyInit)}, fail, v1alpha1.ReasonCheckFailed, `container "wait" exited with code 1`},
		"exit 3":                        {limit, []corev1.Pod{ended("a", 3, "Error", 0)}, unknown, v1alpha1.ReasonCheckInconclusive, "exited with code 3, which means inconclusive"},
		"exit 3, with a sidecar":        {limit, []corev1.Pod{ended("a", 3, "Error", 0, sidecar)}, unknown, v1alpha1.ReasonCheckInconclusive, "code 3"},
		"exit 3, then 1":                {limit, []corev1.Pod{ended("b", 1, "Error", time.Second), ended("a", 3, "Error", 0)}, fail, v1alpha1.ReasonCheckFailed, "code 1"},
		"exit 1, then 3":                {limit, []corev1.Pod{ended("a", 1, "Error", 0), ended("b", 3, "Error", time.Second)}, unknown, v1alpha1.ReasonCheckInconclusive, "code 3"},
		"exit 1, then evicted":          {limit, []corev1.Pod{ended("a", 1, "Error", 0), ended("b", 137, "Error", time.Second, evicted)}, fail, v1alpha1.ReasonCheckFailed, "code 1"},
		"evicted":                       {limit, []corev1.Pod{ended("a", 137, "Error", 0, evicted)}, unknown, v1alpha1.ReasonCheckDisrupted, `"BackoffLimitExceeded", pod a: "Evicted"`},
		"preempted":                     {limit, []corev1.Pod{ended("a", 143, "Error", 0, disrupted)}, unknown, v1alpha1.ReasonCheckDisrupted, `pod a: "PreemptionByScheduler"`},
		"out of memory":                 {limit, []corev1.Pod{ended("a", 137, "OOMKilled", 0)}, unknown, v1alpha1.ReasonCheckDisrupted, `container "check" of pod a: "OOMKilled"`},
		"cannot start":                  {limit, []corev1.Pod{ended("a", 128, "StartError", 0)}, unknown, v1alpha1.ReasonCheckDisrupted, `"StartError"`},
		"no pod is left":                {limit, nil, unknown, v1alpha1.ReasonCheckDisrupted, `failed without an exit code of its own: "BackoffLimitExceeded"`},
		"deadline":                      {failed(batchv1.JobReasonDeadlineExceeded), []corev1.Pod{ended("a", 1, "Error", 0)}, unknown, v1alpha1.ReasonCheckTimedOut, "within its activeDeadlineSeconds"},
		"its policy":                    {failed(batchv1.JobReasonPodFailurePolicy), []corev1.Pod{ended("a", 42, "Error", 0)}, fail, v1alpha1.ReasonCheckFailed, "code 42"},
		"its policy, no pod is left":    {failed(batchv1.JobReasonPodFailurePolicy), nil, fail, v1alpha1.ReasonCheckFailed, `podFailurePolicy: "of the Job"`},
		"its policy, but a disruption":  {failed(batchv1.JobReasonPodFailurePolicy), []corev1.Pod{ended("a", 143, "Error", 0, disrupted)}, unknown, v1alpha1.ReasonCheckDisrupted, "PreemptionByScheduler"},
		"a long text is cut and quoted": {limit, []corev1.Pod{ended("a", 1, "Error", 0, says(strings.Repeat("é", 5000)))}, fail, v1alpha1.ReasonCheckFailed, `é..."`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, jobTrigger(), cronJob())
			job := b.look()[0].Job
			b.end(job, tc.condition, tc.pods...)
			got := b.look()[0]
			b.g.Expect(got.Outcome).To(Equal(tc.outcome))
			b.g.Expect(got.Reason).To(Equal(tc.reason))
			b.g.Expect(got.Message).To(ContainSubstring(tc.says))
			b.g.Expect(len(got.Message)).To(BeNumerically("<=", 256))
			b.g.Expect(got.FinishedAt.Time).To(BeTemporally("==", b.clock.Now()))
		})
	}
}

// TestPodsOfAnotherJob say nothing about this one.
func TestPodsOfAnotherJob(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	job := b.look()[0].Job
	pod := ended("a", 1, "Error", 0)
	pod.Namespace, pod.Labels = "shop", map[string]string{batchv1.JobNameLabel: job}
	b.g.Expect(b.client.Create(t.Context(), &pod)).To(Succeed())
	b.end(job, batchv1.JobCondition{Type: batchv1.JobFailed, Reason: "BackoffLimitExceeded"})
	b.g.Expect(b.look()[0].Reason).To(Equal(v1alpha1.ReasonCheckDisrupted))
}

func TestAJobThatDoesNotFinish(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	job := b.look()[0].Job
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "shop", Labels: map[string]string{batchv1.JobNameLabel: job},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(&b.jobs()[0], batchv1.SchemeGroupVersion.WithKind("Job"))}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "check", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}}}
	b.g.Expect(b.client.Create(t.Context(), &pod)).To(Succeed())
	b.clock.Step(59 * time.Second)
	b.g.Expect(b.look()[0].Outcome).To(BeEmpty())
	b.clock.Step(time.Second)
	got := b.look()[0]
	b.g.Expect(got.Outcome).To(Equal(v1alpha1.VerdictInconclusive))
	b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckTimedOut))
	b.g.Expect(got.Message).To(HaveSuffix(`has not finished within 1m0s: container "check" waits: "ImagePullBackOff"`))
	b.g.Expect(b.jobs()).To(BeEmpty(), "its Job is deleted")
}

func TestAJobThatSomebodyDeletes(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.look()
	b.g.Expect(b.client.Delete(t.Context(), &b.jobs()[0])).To(Succeed())
	got := b.look()
	b.g.Expect(got[0].Reason).To(Equal(v1alpha1.ReasonCheckDisrupted))
	b.g.Expect(b.jobs()).To(BeEmpty(), "it is not run twice")
}

// TestACrashBetweenCreateAndRecord: the next process finds the Job and makes no other one.
func TestACrashBetweenCreateAndRecord(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.fail(interceptor.Funcs{SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
		return errors.New("the process ends here")
	}})
	b.g.Expect(b.reconcile()).NotTo(Succeed())
	b.g.Expect(b.run().Status.Checks).To(BeEmpty())
	first := b.jobs()
	b.g.Expect(first).To(HaveLen(1))

	b.restart()
	b.g.Expect(b.look()[0].Job).To(Equal(first[0].Name))
	b.g.Expect(b.jobs()).To(HaveLen(1))
	b.g.Expect(b.jobs()[0].UID).To(Equal(first[0].UID))
}

// TestAJobOfSomebodyElse with the name that an attempt's Job would have is not believed.
func TestAJobOfSomebodyElse(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	name := jobName("smoke", keyOf(b.run(), &v1alpha1.CheckStatus{Kind: "Guardrail", Guardrail: "shop", Trigger: "smoke", Attempt: 1}))
	b.g.Expect(b.client.Create(t.Context(), &batchv1.Job{ObjectMeta: meta(name)})).To(Succeed())
	b.end(name, batchv1.JobCondition{Type: batchv1.JobComplete})
	got := b.look()[0]
	b.g.Expect(got.Outcome).To(BeEmpty())
	b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
	b.g.Expect(got.Message).To(Equal(fmt.Sprintf("a Job %q exists that this run did not create: delete it", name)))
}

func TestTemplatesThatCannotBeUsed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*batchv1.CronJob)
		says   string
	}{
		"missing":       {func(c *batchv1.CronJob) { c.Name = "other" }, `CronJob "shop-smoke" does not exist in namespace "shop"`},
		"not suspended": {func(c *batchv1.CronJob) { c.Spec.Suspend = nil }, "set spec.suspend: true"},
		"restarts": {func(c *batchv1.CronJob) {
			c.Spec.JobTemplate.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		}, `restartPolicy "OnFailure", by which exit codes get lost`},
	} {
		t.Run(name, func(t *testing.T) {
			template := cronJob()
			tc.change(template)
			b := newBench(t, jobTrigger(), template)
			got := b.look()[0]
			b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
			b.g.Expect(got.Message).To(ContainSubstring(tc.says))
			b.g.Expect(b.jobs()).To(BeEmpty())
		})
	}
}

// TestAJobWithoutAPodIsNoPass: with completions: 0 a Job completes at once.
func TestAJobWithoutAPodIsNoPass(t *testing.T) {
	template := cronJob()
	template.Spec.JobTemplate.Spec.Completions = new(int32(0))
	b := newBench(t, jobTrigger(), template)
	job := b.look()[0].Job
	b.end(job, complete)
	got := b.look()[0]
	b.g.Expect(got.Outcome).To(Equal(v1alpha1.VerdictInconclusive))
	b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
	b.g.Expect(got.Message).To(Equal(fmt.Sprintf("Job %q completed, but no pod of the Job has run: set completions to at least 1 in its CronJob", job)))
}

func TestAJobsName(t *testing.T) {
	g := NewWithT(t)
	key := strings.Repeat("a", 64)
	g.Expect(jobName("smoke", key)).To(Equal("smoke-aaaaaaaaaaaaaaaa"))
	g.Expect(jobName(strings.Repeat("x", 39)+"-"+strings.Repeat("y", 23), key)).To(Equal(strings.Repeat("x", 39) + "-aaaaaaaaaaaaaaaa"))
}
