package checks

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

// refuse lets no Job be created, with what the API server says about its name, and returns
// how often that was tried.
func (b *bench) refuse(says func(job string) error) *int {
	tries := 0
	b.fail(interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
		tries++
		return says(o.GetName())
	}})
	return &tries
}

func forbidden(words string) func(string) error {
	return func(job string) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, job, errors.New(words))
	}
}

// TestWhyAJobCannotBeCreated is said in the API server's words.
func TestWhyAJobCannotBeCreated(t *testing.T) {
	denied := apierrors.NewForbidden(schema.GroupResource{}, "", nil)
	denied.ErrStatus.Message = `admission webhook "policy.example" denied the request: no latest tags`
	for name, tc := range map[string]struct {
		err  func(job string) error
		says string
	}{
		"a quota": {forbidden("exceeded quota: jobs, requested: count/jobs.batch=1, used: count/jobs.batch=3, limited: count/jobs.batch=3"),
			`a quota refuses Job "JOB": "exceeded quota: jobs, requested: count/jobs.batch=1, used: count/jobs.batch=3, limited: count/jobs.batch=3"`},
		"an admission webhook":      {func(string) error { return denied }, `the API server refuses Job "JOB": "admission webhook \"policy.example\" denied the request: no latest tags"`},
		"a policy":                  {forbidden("ValidatingAdmissionPolicy 'p' denied request: no"), `the API server refuses Job "JOB": "ValidatingAdmissionPolicy 'p' denied request: no"`},
		"a webhook that is down":    {func(string) error { return apierrors.NewInternalError(errors.New("failed calling webhook")) }, `Job "JOB" could not be created: "Internal error occurred: failed calling webhook"`},
		"a broken connection":       {func(string) error { return errors.New("the connection broke") }, `Job "JOB" could not be created: "the connection broke"`},
		"many words, which are cut": {forbidden(strings.Repeat("é", 1000)), `é..."`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, jobTrigger(), cronJob())
			b.refuse(tc.err)
			got := b.look()[0]
			job := jobName("smoke", keyOf(b.run(), &got))
			b.g.Expect(got.Message).To(HaveSuffix(strings.ReplaceAll(tc.says, "JOB", job)))
			b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
			b.g.Expect(got.Outcome).To(BeEmpty())
			b.g.Expect(got.Started()).To(BeFalse())
			b.g.Expect(len(got.Message)).To(BeNumerically("<=", 256))
		})
	}
}

// TestARefusalOfTwoMinutes does not use up the attempts of a check, which has one.
func TestARefusalOfTwoMinutes(t *testing.T) {
	trigger := jobTrigger()
	trigger.Check.Retries = new(int32)
	b := newBench(t, trigger, cronJob())
	tries := b.refuse(forbidden("exceeded quota: jobs"))
	var waits []time.Duration
	for began := b.clock.Now(); b.clock.Since(began) < 2*time.Minute; b.clock.Step(b.next.RequeueAfter) {
		got := b.look()[0]
		b.g.Expect(got.Outcome).To(BeEmpty())
		b.g.Expect(got.RetryAt.Sub(b.clock.Now())).To(Equal(b.next.RequeueAfter))
		waits = append(waits, b.next.RequeueAfter)
		// An event in between does not try again.
		b.look()
	}
	b.g.Expect(*tries).To(Equal(len(waits)))
	b.g.Expect(waits).To(Equal([]time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute}))
	b.fail(interceptor.Funcs{})
	got := b.look()
	b.g.Expect(got).To(HaveLen(1))
	b.g.Expect(got[0].Job).NotTo(BeEmpty())
	b.g.Expect(got[0].StartedAt.Time).To(BeTemporally("==", b.clock.Now()), "the timeout begins now")
	b.g.Expect([]any{got[0].Reason, got[0].Message, got[0].RetryAt}).To(Equal([]any{"", "", (*metav1.Time)(nil)}))
	b.end(got[0].Job, complete)
	b.g.Expect(b.look()[0].Outcome).To(Equal(v1alpha1.VerdictPass))
}

// TestARefusalForGood ends each attempt after its timeout, at least 5 minutes, and is never
// a Pass.
func TestARefusalForGood(t *testing.T) {
	for timeout, within := range map[time.Duration]time.Duration{time.Second: 5 * time.Minute, 20 * time.Minute: 20 * time.Minute} {
		trigger := jobTrigger()
		trigger.Check.Timeout.Duration = timeout
		b := newBench(t, trigger, cronJob())
		b.refuse(forbidden("exceeded quota: jobs"))
		began := b.clock.Now()
		var got []v1alpha1.CheckStatus
		for i := 0; i == 0 || b.next.RequeueAfter > 0; i++ {
			b.g.Expect(i).To(BeNumerically("<", 100))
			b.clock.Step(b.next.RequeueAfter)
			got = b.look()
		}
		b.g.Expect(got).To(HaveLen(2))
		for _, c := range got {
			b.g.Expect(c.Outcome).To(Equal(v1alpha1.VerdictInconclusive))
			b.g.Expect(c.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
			b.g.Expect(c.Message).To(ContainSubstring("exceeded quota: jobs"))
			b.g.Expect(c.FinishedAt.Sub(c.StartedAt.Time)).To(Equal(within))
			b.g.Expect(c.RetryAt).To(BeNil())
		}
		b.g.Expect(b.clock.Since(began)).To(Equal(2*within + 10*time.Second))
	}
}

// TestARefusalAfterAWaitForAPlace has its whole time.
func TestARefusalAfterAWaitForAPlace(t *testing.T) {
	s := newServer(t, says(200, `{"outcome":"Pass"}`))
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.hang("shop", "other", maxCallsOfNamespace)
	b.look()
	b.clock.Step(time.Hour)
	b.g.Expect(b.client.Delete(t.Context(), endpointAt(s.URL))).To(Succeed())
	got := b.look()[0]
	b.g.Expect(got.Outcome).To(BeEmpty())
	b.g.Expect(got.StartedAt.Time).To(BeTemporally("==", b.clock.Now()))
}

// TestAWaitForAPlaceAfterARefusal has no limit.
func TestAWaitForAPlaceAfterARefusal(t *testing.T) {
	s := newServer(t, says(200, `{"outcome":"Pass"}`))
	b := newBench(t, webhookTrigger(), surroundings(s.URL)[1:]...)
	b.g.Expect(b.look()[0].RetryAt).NotTo(BeNil())
	b.hang("shop", "other", maxCallsOfNamespace)
	b.g.Expect(b.client.Create(t.Context(), endpointAt(s.URL))).To(Succeed())
	b.clock.Step(time.Hour)
	got := b.look()[0]
	b.g.Expect(got.Message).To(ContainSubstring("as many as a namespace may have"))
	b.g.Expect(got.RetryAt).To(BeNil())
}

// TestAClockThatWasSetBackWhileAStartIsTried neither ends it nor keeps it waiting.
func TestAClockThatWasSetBackWhileAStartIsTried(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	tries := b.refuse(forbidden("exceeded quota: jobs"))
	b.look()
	b.clock.SetTime(b.clock.Now().Add(-time.Hour))
	b.g.Expect(b.look()[0].StartedAt.Time).To(BeTemporally("==", b.clock.Now()))
	b.g.Expect(*tries).To(Equal(2))
	b.g.Expect(b.next.RequeueAfter).To(Equal(shortestRetry))
}

// TestACheckThatCouldNotStartInItsStep begins anew in the next one.
func TestACheckThatCouldNotStartInItsStep(t *testing.T) {
	for each, attempts := range map[v1alpha1.CheckEach]int32{v1alpha1.EachStep: 1, v1alpha1.EachRun: 1} {
		trigger := jobTrigger()
		trigger.Check.Each, trigger.Mode = each, v1alpha1.ModeObserve
		b := newBench(t, trigger, cronJob())
		b.refuse(forbidden("exceeded quota: jobs"))
		b.look()
		b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Step.Index, s.Step.AcknowledgedAt = 1, nil })
		b.g.Expect(b.look()).To(BeEmpty(), "not before the weight is acknowledged")
		at := metav1.NewTime(b.clock.Now())
		b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Step.AcknowledgedAt = &at })
		b.fail(interceptor.Funcs{})
		got := b.look()
		b.g.Expect(got).To(HaveLen(1))
		b.g.Expect([]int32{got[0].Step, got[0].Attempt}).To(Equal([]int32{1, attempts}))
		b.g.Expect(got[0].Started()).To(BeTrue())
	}
}

// TestNoStartWhileTheWeightIsNotAcknowledged, also when it was before.
func TestNoStartWhileTheWeightIsNotAcknowledged(t *testing.T) {
	b := newBench(t, jobTrigger(), cronJob())
	tries := b.refuse(forbidden("exceeded quota: jobs"))
	b.look()
	b.editRollout(func(s *v1alpha1.RolloutStatus) { s.Step.AcknowledgedAt = nil })
	b.clock.Step(time.Minute)
	b.look()
	b.g.Expect(*tries).To(Equal(1))
}

// TestAJobWhosePodDoesNotRun says why, until it does.
func TestAJobWhosePodDoesNotRun(t *testing.T) {
	waits := func(reason, message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
		}
	}
	unscheduled := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = nil
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available: 3 Insufficient memory."}}
	}
	runs := func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	}
	for name, tc := range map[string]struct {
		pods    []corev1.Pod
		suspend bool
		says    string
	}{
		"no pod":      {nil, false, "it has no pod: a quota or an admission webhook may refuse it, see its events with kubectl describe job"},
		"suspended":   {nil, true, `it is suspended: "not admitted by cluster queue"`},
		"image":       {[]corev1.Pod{ended("a", 0, "", 0, waits("ImagePullBackOff", "Back-off pulling image smoke:1"))}, false, `container "check" waits: "ImagePullBackOff": "Back-off pulling image smoke:1"`},
		"unscheduled": {[]corev1.Pod{ended("a", 0, "", 0, unscheduled)}, false, `pod a is not scheduled: "0/3 nodes are available: 3 Insufficient memory."`},
		"runs":        {[]corev1.Pod{ended("a", 0, "", 0, runs)}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, jobTrigger(), cronJob())
			job := b.look()[0].Job
			condition := batchv1.JobCondition{Type: "Nothing"}
			if tc.suspend {
				condition = batchv1.JobCondition{Type: batchv1.JobSuspended, Message: "not admitted by cluster queue"}
			}
			b.end(job, condition, tc.pods...)
			b.clock.Step(startGrace - time.Second)
			b.g.Expect(b.look()[0].Message).To(BeEmpty(), "it may be starting")
			b.clock.Step(time.Second)
			got := b.look()[0]
			b.g.Expect(got.Message).To(Equal(tc.says))
			b.g.Expect(got.Outcome).To(BeEmpty())
			if tc.says == "" {
				b.g.Expect(got.Reason).To(BeEmpty())
				b.g.Expect(b.next.RequeueAfter).To(Equal(50*time.Second), "the timeout")
				return
			}
			b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
			b.g.Expect(b.next.RequeueAfter).To(Equal(10 * time.Second))
			running := b.jobs()[0]
			running.Status.Ready = new(int32(1))
			b.g.Expect(b.client.Status().Update(t.Context(), &running)).To(Succeed())
			got = b.look()[0]
			b.g.Expect([]string{got.Reason, got.Message}).To(Equal([]string{"", ""}))
		})
	}
}
