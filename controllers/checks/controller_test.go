package checks

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

var (
	complete = batchv1.JobCondition{Type: batchv1.JobComplete}
	failing  = batchv1.JobCondition{Type: batchv1.JobFailed, Reason: batchv1.JobReasonBackoffLimitExceeded}
)

func TestNoCheckBeforeTheWeightIsAcknowledged(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Step.AcknowledgedAt = nil })
	b.g.Expect(b.look()).To(BeEmpty())
	b.g.Expect(b.jobs()).To(BeEmpty())
}

func TestACheckInEachStepAndInTheBake(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.end(b.look()[0].Job, complete)
	b.look()
	b.nextStep()
	checks := b.look()
	b.g.Expect(checks).To(HaveLen(2))
	b.g.Expect(checks[1].Step).To(Equal(int32(1)))
	b.g.Expect(checks[1].Job).NotTo(Equal(checks[0].Job))
	b.end(checks[1].Job, complete)
	b.look()

	b.editRollout(func(s *v1alpha1.RolloutStatus) {
		s.Phase, s.Promotion = v1alpha1.PhasePromoting, &v1alpha1.PromotionStatus{StartedAt: metav1.NewTime(b.clock.Now())}
	})
	b.g.Expect(b.look()).To(HaveLen(2), "not at 100 %% yet")
	b.editRollout(func(s *v1alpha1.RolloutStatus) {
		s.Phase, s.Promotion.FullAt = v1alpha1.PhaseBaking, &s.Promotion.StartedAt
	})
	checks = b.look()
	b.g.Expect(checks).To(HaveLen(3))
	b.g.Expect(checks[2].Step).To(Equal(int32(2)))
	b.g.Expect(b.jobs()).To(ContainElement(HaveField("Spec.Template.Spec.Containers", ContainElement(HaveField("Env", ContainElement(And(HaveField("Name", "BELAY_WEIGHT"), HaveField("Value", "100"))))))))
}

func TestACheckOnceInARun(t *testing.T) {
	trigger := jobTrigger()
	trigger.Check.Each = v1alpha1.EachRun
	b := newBench(t, trigger, cronJob())
	b.end(b.look()[0].Job, complete)
	b.look()
	b.nextStep()
	b.g.Expect(b.look()).To(HaveLen(1))
	b.g.Expect(b.jobs()).To(HaveLen(1))
}

func TestRetriesAfterInconclusiveAttempts(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.end(b.look()[0].Job, failing, ended("a", 3, "Error", 0))
	checks := b.look()
	b.g.Expect(checks).To(HaveLen(1))
	b.g.Expect(b.next.RequeueAfter).To(Equal(10 * time.Second))
	b.clock.Step(9 * time.Second)
	b.g.Expect(b.look()).To(HaveLen(1))
	b.clock.Step(time.Second)
	checks = b.look()
	b.g.Expect(checks).To(HaveLen(2))
	b.g.Expect(checks[1].Attempt).To(Equal(int32(2)))
	b.g.Expect(checks[1].Job).NotTo(Equal(checks[0].Job))
	b.end(checks[1].Job, failing, ended("b", 3, "Error", 0))
	b.look()
	b.clock.Step(time.Hour)
	b.g.Expect(b.look()).To(HaveLen(2), "retries: 1")
	b.nextStep()
	checks = b.look()
	b.g.Expect(checks).To(HaveLen(3), "each step has its attempts")
	b.g.Expect(checks[2].Attempt).To(Equal(int32(1)))
}

func TestAFailIsFinal(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.end(b.look()[0].Job, failing, ended("a", 1, "Error", 0))
	b.look()
	b.clock.Step(time.Hour)
	b.g.Expect(b.look()).To(HaveLen(1))
	b.nextStep()
	b.g.Expect(b.look()).To(HaveLen(1), "also in the next step")
}

// TestAClockThatWasSetBack neither ends an attempt nor keeps the next one waiting.
func TestAClockThatWasSetBack(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	job := b.look()[0].Job
	b.clock.SetTime(b.clock.Now().Add(-time.Hour))
	b.g.Expect(b.look()[0].Outcome).To(BeEmpty())
	b.g.Expect(b.next.RequeueAfter).To(Equal(time.Minute), "the timeout")
	b.clock.SetTime(b.clock.Now().Add(time.Hour))
	b.end(job, failing, ended("a", 3, "Error", 0))
	b.look()
	b.clock.SetTime(b.clock.Now().Add(-time.Hour))
	b.g.Expect(b.look()).To(HaveLen(2))
}

func TestTheJobsOfARunThatEnds(t *testing.T) {
	for name, change := range map[string]func(*bench){
		"rolled back": func(b *bench) { b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Phase = v1alpha1.PhaseRollingBack }) },
		"another run": func(b *bench) { b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Run = "shop-abcdef0123-2" }) },
		"no Rollout": func(b *bench) {
			b.g.Expect(b.client.Delete(b.t.Context(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}})).To(Succeed())
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, jobTrigger(), cronJob())
			done := b.look()[0].Job
			b.end(done, complete)
			b.look()
			b.nextStep()
			running := b.look()[1].Job
			foreign := &batchv1.Job{ObjectMeta: meta("foreign")}
			foreign.Labels = map[string]string{v1alpha1.LabelRun: runKey.Name}
			b.g.Expect(b.client.Create(t.Context(), foreign)).To(Succeed())
			var policy metav1.DeletionPropagation
			b.fail(interceptor.Funcs{Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				policy = *(&client.DeleteOptions{}).ApplyOptions(opts).PropagationPolicy
				return c.Delete(ctx, o, opts...)
			}})
			change(b)
			b.look()
			b.g.Expect(isGone(b.client.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: running}, &batchv1.Job{}))).To(BeTrue())
			b.g.Expect(policy).To(Equal(metav1.DeletePropagationForeground))
			b.g.Expect(b.jobs()).To(ConsistOf(HaveField("Name", done), HaveField("Name", "foreign")))
		})
	}
}

// TestAConflict: what the cache had before the last write is not recorded.
func TestAConflict(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	b.end(b.look()[0].Job, complete)
	read := b.run().ResourceVersion
	b.fail(interceptor.Funcs{SubResourceApply: func(ctx context.Context, c client.Client, sub string, a runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
		applied, err := runtime.DefaultUnstructuredConverter.ToUnstructured(a)
		b.g.Expect(err).NotTo(HaveOccurred())
		b.g.Expect(applied).To(HaveKeyWithValue("metadata", HaveKeyWithValue("resourceVersion", read)))
		return apierrors.NewConflict(schema.GroupResource{Resource: "rolloutruns"}, runKey.Name, nil)
	}})
	b.g.Expect(b.reconcile()).To(Succeed())
	b.g.Expect(b.next.RequeueAfter).To(Equal(50 * time.Millisecond))
	b.restart()
	b.g.Expect(b.look()[0].Outcome).To(Equal(v1alpha1.VerdictPass))
}

func TestRoomForAttempts(t *testing.T) {
	g := NewWithT(t)
	l := &round{run: &v1alpha1.RolloutRun{}}
	add := func(trigger string, attempt int32, outcome v1alpha1.VerdictOutcome) {
		l.run.Status.Checks = append(l.run.Status.Checks, v1alpha1.CheckStatus{Kind: "Guardrail", Guardrail: "g", Trigger: trigger, Attempt: attempt, Outcome: outcome})
	}
	add("failed", 1, v1alpha1.VerdictFail)
	add("failed", 2, v1alpha1.VerdictPass)
	add("once", 1, v1alpha1.VerdictPass)
	add("many", 1, v1alpha1.VerdictInconclusive)
	for len(l.run.Status.Checks) < v1alpha1.MaxChecks {
		add("many", int32(len(l.run.Status.Checks)), v1alpha1.VerdictPass)
	}
	g.Expect(l.makeRoom()).To(BeTrue())
	g.Expect(l.run.Status.Checks).To(HaveLen(v1alpha1.MaxChecks - 1))
	g.Expect(l.run.Status.Checks[3].Attempt).To(Equal(int32(4)), "the oldest that does not count is gone")

	l.run.Status.Checks = nil
	for i := range v1alpha1.MaxChecks {
		add(fmt.Sprint("t", i), 1, v1alpha1.VerdictPass)
	}
	g.Expect(l.makeRoom()).To(BeFalse(), "each is the newest of its trigger")
}

func TestKeysOfAttempts(t *testing.T) {
	g := NewWithT(t)
	run := &v1alpha1.RolloutRun{ObjectMeta: meta("run")}
	base := v1alpha1.CheckStatus{Kind: "Guardrail", Guardrail: "g", Trigger: "t", Step: 1, Attempt: 1}
	seen := map[string]bool{keyOf(run, &base): true}
	for _, change := range []func(*v1alpha1.CheckStatus){
		func(c *v1alpha1.CheckStatus) { c.Kind = "ClusterGuardrail" }, func(c *v1alpha1.CheckStatus) { c.Guardrail = "h" },
		func(c *v1alpha1.CheckStatus) { c.Trigger = "u" }, func(c *v1alpha1.CheckStatus) { c.Step = 2 }, func(c *v1alpha1.CheckStatus) { c.Attempt = 2 },
	} {
		c := base
		change(&c)
		g.Expect(seen).NotTo(HaveKey(keyOf(run, &c)))
		seen[keyOf(run, &c)] = true
	}
	g.Expect(seen).NotTo(HaveKey(keyOf(&v1alpha1.RolloutRun{ObjectMeta: meta("other")}, &base)))
}
