package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
)

var _ = Describe("A check by a Job", func() {
	It("that fails rolls a release back", func(ctx context.Context) {
		j := begin(ctx, "check")
		By("giving the guardrail a smoke test that exits with 1")
		// The shop itself, which crashes after a second: no other image is needed.
		crash := corev1.Container{Name: "smoke", Image: images["v1"], Env: []corev1.EnvVar{{Name: "SHOP_CRASH_AFTER", Value: "1s"}}}
		Expect(set.Client.Create(ctx, &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: j.Namespace, Name: "smoke"}, Spec: batchv1.CronJobSpec{
			Suspend: new(true), Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{BackoffLimit: new(int32(0)), Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "smoke"}},
				Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{crash}}}}},
		}})).To(Succeed())
		j.guardrail(ctx, func(spec *v1alpha1.GuardrailSpec) {
			spec.Triggers = append(spec.EffectiveTriggers(), v1alpha1.Trigger{Name: "smoke", Check: &v1alpha1.CheckTrigger{Job: &v1alpha1.JobCheck{CronJob: "smoke"}}})
		})

		entry := j.release(ctx, "v2")
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomeRolledBack))
		Expect(entry.Trigger).To(Equal("shop/smoke"))
		j.onlyServed(ctx, "v1")
		j.noneFailed("")
		run := j.evidenceOf(ctx, entry)
		Expect(run.Status.Checks).To(HaveExactElements(And(HaveField("Trigger", "smoke"), HaveField("Outcome", v1alpha1.VerdictFail),
			HaveField("Message", ContainSubstring(`container "smoke" exited with code 1`)))))
		job := &batchv1.Job{}
		Expect(set.Client.Get(ctx, types.NamespacedName{Namespace: j.Namespace, Name: run.Status.Checks[0].Job}, job)).To(Succeed(), "it stays, with its logs")
	}, NodeTimeout(journeyLimit))
})
