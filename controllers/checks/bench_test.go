package checks

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
)

var runKey = types.NamespacedName{Namespace: "shop", Name: "shop-abcdef0123-1"}

// bench is the loop of checks with one run at its first step, on an API server that only
// stands in for one. Nothing runs Jobs: tests set their status.
type bench struct {
	t     *testing.T
	g     *WithT
	clock *clocktesting.FakeClock
	// client can be made to fail by funcs.
	client client.Client
	funcs  interceptor.Funcs
	loop   *Reconciler
	// next is the last result of Reconcile.
	next reconcile.Result
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name)}
}

func jobTrigger() v1alpha1.Trigger {
	return v1alpha1.Trigger{Name: "smoke", Check: &v1alpha1.CheckTrigger{Job: &v1alpha1.JobCheck{CronJob: "shop-smoke"}, Timeout: metav1.Duration{Duration: time.Minute}, Retries: new(int32(1)), Each: v1alpha1.EachStep}}
}

func cronJob() *batchv1.CronJob {
	return &batchv1.CronJob{ObjectMeta: meta("shop-smoke"), Spec: batchv1.CronJobSpec{Suspend: new(true), JobTemplate: batchv1.JobTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"note": "kept"}},
		Spec: batchv1.JobSpec{BackoffLimit: new(int32(0)), TTLSecondsAfterFinished: new(int32(600)), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, InitContainers: []corev1.Container{{Name: "wait"}},
			Containers: []corev1.Container{{Name: "check", Image: "smoke:1", Env: []corev1.EnvVar{{Name: "BELAY_STEP", Value: "mine"}, {Name: "OTHER", Value: "kept"}}}},
		}}},
	}}}
}

func newBench(t *testing.T, trigger v1alpha1.Trigger, objects ...client.Object) *bench {
	t.Helper()
	b := &bench{t: t, g: NewWithT(t), clock: clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		b.g.Expect(add(scheme)).To(Succeed())
	}
	guardrail := &v1alpha1.Guardrail{ObjectMeta: meta("shop"), Spec: v1alpha1.GuardrailSpec{Triggers: []v1alpha1.Trigger{trigger}}}
	pinned, err := guardrails.Pin("Guardrail", guardrail.Name, guardrail.UID, guardrail.Spec)
	b.g.Expect(err).NotTo(HaveOccurred())
	at := metav1.NewTime(b.clock.Now())
	steps := []v1alpha1.Step{{Weight: 10}, {Weight: 50}}
	rollout := &v1alpha1.Rollout{ObjectMeta: meta("shop"), Spec: v1alpha1.RolloutSpec{Guardrails: []v1alpha1.GuardrailRef{{Name: "shop"}}, Steps: steps},
		Status: v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Run: runKey.Name, Step: &v1alpha1.StepStatus{EnteredAt: at, AcknowledgedAt: &at}}}
	template, err := json.Marshal(corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "shop:2"}}}})
	b.g.Expect(err).NotTo(HaveOccurred())
	run := &v1alpha1.RolloutRun{ObjectMeta: meta(runKey.Name), Spec: v1alpha1.RolloutRunSpec{
		Rollout: v1alpha1.RolloutIdentity{Name: "shop", UID: rollout.UID}, Workload: "shop", Revision: "abcdef0123", Traffic: &v1alpha1.Traffic{Service: "shop"},
		Template: runtime.RawExtension{Raw: template}, Steps: steps, Guardrails: []v1alpha1.PinnedGuardrail{pinned}, StartedAt: at}}
	objects = append(objects, guardrail, rollout, run)
	inner := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.RolloutRun{}, &v1alpha1.Rollout{}, &batchv1.Job{}).Build()
	b.client = interceptor.NewClient(inner, b.funcs)
	b.restart()
	return b
}

// fail puts functions in front of the loop's client, and nothing for none.
func (b *bench) fail(funcs interceptor.Funcs) {
	inner, ok := b.client.(client.WithWatch)
	b.g.Expect(ok).To(BeTrue())
	b.loop.Client = interceptor.NewClient(inner, funcs)
}

// restart lets another process go on, which knows only what the API server does.
func (b *bench) restart() {
	b.loop = &Reconciler{Client: b.client, Live: b.client, Namespace: "belay", Clock: b.clock, Workers: 1}
}

// pin lets other triggers guard the run.
func (b *bench) pin(triggers ...v1alpha1.Trigger) {
	b.t.Helper()
	guardrail := &v1alpha1.Guardrail{}
	b.g.Expect(b.client.Get(b.t.Context(), types.NamespacedName{Namespace: "shop", Name: "shop"}, guardrail)).To(Succeed())
	guardrail.Spec.Triggers = triggers
	b.g.Expect(b.client.Update(b.t.Context(), guardrail)).To(Succeed())
	pinned, err := guardrails.Pin("Guardrail", guardrail.Name, guardrail.UID, guardrail.Spec)
	b.g.Expect(err).NotTo(HaveOccurred())
	run := b.run()
	run.Spec.Guardrails = []v1alpha1.PinnedGuardrail{pinned}
	b.g.Expect(b.client.Update(b.t.Context(), run)).To(Succeed())
}

func (b *bench) reconcile() error {
	b.t.Helper()
	var err error
	b.next, err = b.loop.Reconcile(b.t.Context(), reconcile.Request{NamespacedName: runKey})
	return err
}

// look reconciles once and returns the run's checks.
func (b *bench) look() []v1alpha1.CheckStatus {
	b.t.Helper()
	b.g.Expect(b.reconcile()).To(Succeed())
	return b.run().Status.Checks
}

func (b *bench) run() *v1alpha1.RolloutRun {
	b.t.Helper()
	run := &v1alpha1.RolloutRun{}
	b.g.Expect(b.client.Get(b.t.Context(), runKey, run)).To(Succeed())
	return run
}

func (b *bench) jobs() []batchv1.Job {
	b.t.Helper()
	list := &batchv1.JobList{}
	b.g.Expect(b.client.List(b.t.Context(), list)).To(Succeed())
	return list.Items
}

// editRollout changes the Rollout's status.
func (b *bench) editRollout(change func(*v1alpha1.RolloutStatus)) {
	b.t.Helper()
	rollout := &v1alpha1.Rollout{}
	b.g.Expect(b.client.Get(b.t.Context(), types.NamespacedName{Namespace: "shop", Name: "shop"}, rollout)).To(Succeed())
	change(&rollout.Status)
	b.g.Expect(b.client.Status().Update(b.t.Context(), rollout)).To(Succeed())
}

// nextStep lets the second step's weight be acknowledged.
func (b *bench) nextStep() {
	b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Step.Index = 1 })
}

// end gives a Job a final condition, and pods of it. One that completes has as many
// successes as it needs.
func (b *bench) end(name string, condition batchv1.JobCondition, pods ...corev1.Pod) {
	b.t.Helper()
	job := &batchv1.Job{}
	b.g.Expect(b.client.Get(b.t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, job)).To(Succeed())
	for i := range pods {
		pod := pods[i].DeepCopy()
		pod.Namespace, pod.Labels = "shop", map[string]string{batchv1.JobNameLabel: name}
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
		b.g.Expect(b.client.Create(b.t.Context(), pod)).To(Succeed())
	}
	condition.Status = corev1.ConditionTrue
	if condition.Type == batchv1.JobComplete {
		job.Status.Succeeded = ptr.Deref(job.Spec.Completions, 1)
	}
	job.Status.Conditions = append(job.Status.Conditions, condition)
	b.g.Expect(b.client.Status().Update(b.t.Context(), job)).To(Succeed())
}

func isGone(err error) bool { return apierrors.IsNotFound(err) }

// ended is a pod whose container ended.
func ended(name string, code int32, reason string, at time.Duration, change ...func(*corev1.Pod)) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{Name: "check",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: metav1.NewTime(time.Unix(1_800_000_000, 0).Add(at))}}}}}}
	for _, c := range change {
		c(&pod)
	}
	return pod
}
