package gates

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/flowcontrol"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/wake"
)

var start = time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)

func testScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// answering is a client whose dry-runs a function answers.
func answering(t testing.TB, answer func(ctx context.Context, o client.Object, second bool) error) client.Client {
	t.Helper()
	return interceptor.NewClient(fake.NewClientBuilder().WithScheme(testScheme(t)).Build(), interceptor.Funcs{
		Patch: func(ctx context.Context, _ client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if options := (&client.PatchOptions{}).ApplyOptions(opts); len(options.DryRun) != 1 {
				return errors.New("no dry-run")
			}
			return answer(ctx, o, bypasses(t, p))
		},
	})
}

// waiting makes a workload one whose new version waits, or does not.
func waiting(o client.Object, waits bool) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		o.Spec.Paused = waits
	case *appsv1.StatefulSet:
		partition := int32(0)
		if waits {
			partition = v1alpha1.PartitionHold
		}
		o.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition}
	}
}

func denied(reason metav1.StatusReason, causes ...string) error {
	err := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "shop", nil)
	err.ErrStatus.Reason = reason
	for _, message := range causes {
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: message})
	}
	return err
}

const (
	deniedLocked  = "ValidatingAdmissionPolicy 'belay-guard-hold' with binding 'belay-guard-hold' denied request: deployment shop is being handed over by run shop-1: try again in a few seconds"
	deniedBypass  = "ValidatingAdmissionPolicy 'belay-guard-release' with binding 'belay-guard-release' denied request: the annotation belay.dev/bypass-reason asks to let deployment shop roll unjudged, which needs the verb bypass"
	deniedRelease = "ValidatingAdmissionPolicy 'belay-guard-release' with binding 'belay-guard-release' denied request: deployment shop is held by Rollout shop"
)

// bypasses reports whether a dry-run is the second one, which asks for a bypass.
func bypasses(t testing.TB, p client.Patch) bool {
	t.Helper()
	raw, err := p.Data(nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(raw), v1alpha1.AnnotationBypassReason)
}

func TestWhatADryRunShows(t *testing.T) {
	refused := denied(metav1.StatusReasonForbidden, deniedBypass)
	for name, c := range map[string]struct {
		held bool
		// err answers the push; bypass answers the second dry-run, at the generation.
		err, bypass error
		generation  int64
		want        finding
		says        string
	}{
		"held":            {held: true, bypass: refused, want: proven, says: "a changed template is HELD"},
		"not held":        {want: missing, says: "kubectl apply --server-side -k config/guard"},
		"locked":          {err: denied(metav1.StatusReasonForbidden, deniedLocked), want: locked, says: "waiting for a handover"},
		"reached release": {err: denied(metav1.StatusReasonForbidden, deniedRelease), want: missing, says: "refused by policy belay-guard-release instead of being HELD: policy HOLD or its binding"},
		"release could not be evaluated": {err: denied(metav1.StatusReasonInvalid, "ValidatingAdmissionPolicy 'belay-guard-release' with binding 'x' denied request: expression resulted in error"),
			want: unproven, says: "was refused"},
		"another policy quotes it": {err: denied(metav1.StatusReasonForbidden, "ValidatingAdmissionPolicy 'house' denied request: see "+deniedRelease), want: unproven, says: "was refused"},
		"no rights":                {err: apierrors.NewForbidden(schema.GroupResource{}, "", errors.New(deniedLocked)), want: unproven, says: "was refused"},
		"no answer":                {err: context.DeadlineExceeded, want: unproven, says: "had no answer within 2s"},

		"a bypass is accepted":                  {held: true, generation: 8, want: missing, says: "policy belay-guard-release or its binding is not in force"},
		"a bypass for a generation that is old": {held: true, generation: 9, want: unproven, says: "changed between two dry-runs"},
		"a bypass that changes nothing":         {held: true, generation: 7, want: unproven, says: "changed between two dry-runs"},
		"a bypass that another policy refuses":  {held: true, bypass: denied(metav1.StatusReasonForbidden, "ValidatingAdmissionPolicy 'house' denied request: no"), want: unproven, says: "was refused"},
		"locked before the second":              {held: true, bypass: denied(metav1.StatusReasonForbidden, strings.ReplaceAll(deniedLocked, "belay-guard-hold", "belay-guard-release")), want: locked, says: "waiting for a handover"},
		"a bypass without an answer":            {held: true, bypass: context.DeadlineExceeded, want: unproven, says: "had no answer within 2s"},
	} {
		for _, k := range []*kind{deployments, statefulSets} {
			t.Run(k.name+", "+name, func(t *testing.T) {
				g := NewWithT(t)
				as := answering(t, func(ctx context.Context, o client.Object, second bool) error {
					at, bounded := ctx.Deadline()
					g.Expect(bounded && time.Until(at) <= probeTimeout).To(BeTrue(), "a dry-run has an end")
					g.Expect(o).To(BeAssignableToTypeOf(k.empty()))
					err := c.err
					// The push would make generation 8.
					waiting(o, c.held)
					o.SetGeneration(8)
					if second {
						err = c.bypass
						o.SetGeneration(c.generation)
					}
					if errors.Is(err, context.DeadlineExceeded) {
						<-ctx.Done()
					}
					return err
				})
				found, message := k.probe(t.Context(), as, shop, start)
				g.Expect(found).To(Equal(c.want), message)
				g.Expect(message).To(ContainSubstring(strings.NewReplacer("HELD", k.held, "HOLD", k.policy).Replace(c.says)))
			})
		}
	}
}

// guardBench is one Rollout with its Deployment, and a guard whose dry-runs the
// test answers.
type guardBench struct {
	*GomegaWithT
	t      *testing.T
	clock  *clocktesting.FakePassiveClock
	client client.Client
	guard  *Guard
	// paused and err are the API server's next answer.
	paused bool
	err    error
	asked  int
	queue  priorityqueue.PriorityQueue[reconcile.Request]
}

var shop = types.NamespacedName{Namespace: "shop", Name: "shop"}

func newGuardBench(t *testing.T, conditions ...metav1.Condition) *guardBench {
	b := &guardBench{GomegaWithT: NewWithT(t), t: t, clock: clocktesting.NewFakePassiveClock(start), queue: priorityqueue.New[reconcile.Request](t.Name())}
	t.Cleanup(b.queue.ShutDown)
	rollout := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "u1"},
		Spec:       v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Name: "shop"}},
		Status:     v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Conditions: conditions},
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "d1", Labels: map[string]string{v1alpha1.LabelRollout: "shop"}}}
	b.client = fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(rollout, deployment).Build()
	b.guard = &Guard{Client: b.client, Clock: b.clock, Stands: 5 * time.Minute, Probe: answering(t, func(_ context.Context, o client.Object, second bool) error {
		if second {
			return denied(metav1.StatusReasonForbidden, deniedBypass)
		}
		b.asked++
		waiting(o, b.paused)
		return b.err
	})}
	b.Expect(b.guard.Changes().Start(t.Context(), b.queue)).To(Succeed())
	return b
}

func (b *guardBench) rollout() *v1alpha1.Rollout {
	b.t.Helper()
	r := &v1alpha1.Rollout{}
	b.Expect(b.client.Get(b.t.Context(), shop, r)).To(Succeed())
	return r
}

func (b *guardBench) look() reconcile.Result {
	b.t.Helper()
	result, err := b.guard.Reconcile(b.t.Context(), reconcile.Request{NamespacedName: shop})
	b.Expect(err).NotTo(HaveOccurred())
	return result
}

func (b *guardBench) last() plan.Gate {
	b.t.Helper()
	return b.guard.Last(b.rollout())
}

// woken reports whether the Rollout loop was woken since it was last asked.
func (b *guardBench) woken() bool {
	b.t.Helper()
	end, lowest := reconcile.Request{NamespacedName: types.NamespacedName{Name: "end"}}, wake.Idle-1
	b.queue.AddWithOpts(priorityqueue.AddOpts{Priority: &lowest}, end)
	woken := false
	for {
		r, _, _ := b.queue.GetWithPriority()
		b.queue.Done(r)
		if r == end {
			return woken
		}
		woken = woken || r.NamespacedName == shop
	}
}

func (b *guardBench) label(labels map[string]string) {
	b.t.Helper()
	d := &appsv1.Deployment{}
	b.Expect(b.client.Get(b.t.Context(), shop, d)).To(Succeed())
	d.Labels = labels
	b.Expect(b.client.Update(b.t.Context(), d)).To(Succeed())
}

func (b *guardBench) after(d time.Duration) *guardBench {
	b.clock.SetTime(b.clock.Now().Add(d))
	return b
}

func TestAProofStandsAndIsRenewed(t *testing.T) {
	b := newGuardBench(t)
	b.Expect(b.last()).To(Equal(unknown("waiting for the first check of the guard")), "nothing is known, and nothing is claimed")
	b.paused = true
	b.Expect(b.look().RequeueAfter).To(Equal(5 * time.Minute))
	b.Expect(b.last().Outcome).To(Equal(plan.Open))
	b.Expect(b.last().Reason).To(Equal(v1alpha1.ReasonGuardProven))
	b.Expect(b.woken()).To(BeTrue())
	b.after(4 * time.Minute)
	b.Expect(b.look().RequeueAfter).To(Equal(time.Minute), "an event between asks nobody")
	b.Expect(b.asked).To(Equal(1))
	b.after(time.Minute).look()
	b.Expect(b.asked).To(Equal(2))
	b.Expect(b.woken()).To(BeFalse(), "the same answer is no news")
}

// TestAFreshGuardIsWaitedFor: the API server reads policies when it gets to it.
func TestAFreshGuardIsWaitedFor(t *testing.T) {
	b := newGuardBench(t)
	for range 6 {
		result := b.look()
		b.Expect(result.RequeueAfter).To(Equal(5 * time.Second))
		b.Expect(*result.Priority).To(Equal(wake.Normal), "a first proof comes before renewals")
		b.Expect(b.last().Outcome).To(Equal(plan.Unknown))
		b.Expect(b.last().Message).To(ContainSubstring("waiting for the API server to enforce the guard"))
		b.after(5 * time.Second)
	}
	b.Expect(b.woken()).To(BeTrue())
	result := b.look()
	b.Expect(b.last().Outcome).To(Equal(plan.Closed), "30 s are over")
	b.Expect(b.last().Reason).To(Equal(v1alpha1.ReasonGuardMissing))
	b.Expect(*result.Priority).To(Equal(wake.Idle))
	b.Expect(b.woken()).To(BeTrue())
	b.paused = true
	b.after(5 * time.Second).look()
	b.Expect(b.last().Outcome).To(Equal(plan.Open))
}

// TestAGuardThatWasProvenIsNotFresh: what goes missing is said at once.
func TestAGuardThatWasProvenIsNotFresh(t *testing.T) {
	b := newGuardBench(t)
	b.paused = true
	b.look()
	b.paused = false
	b.after(5 * time.Minute).look()
	b.Expect(b.last().Outcome).To(Equal(plan.Closed))
}

func TestWithoutItsLabelADeploymentIsNotAsked(t *testing.T) {
	b := newGuardBench(t)
	for labels, says := range map[string]string{"": "is not labelled yet", "other": `labelled for another Rollout, "other"`} {
		b.label(map[string]string{v1alpha1.LabelRollout: labels})
		b.Expect(b.look()).To(Equal(reconcile.Result{}))
		b.Expect(b.last().Outcome).To(Equal(plan.Unknown))
		b.Expect(b.last().Message).To(ContainSubstring(says))
	}
	b.Expect(b.asked).To(BeZero())
	b.after(time.Hour).label(map[string]string{v1alpha1.LabelRollout: "shop"})
	b.look()
	b.Expect(b.last().Message).To(ContainSubstring("waiting for the API server"), "the time counts from the label")
}

func TestADeploymentThatIsGone(t *testing.T) {
	b := newGuardBench(t)
	b.Expect(b.client.Delete(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}})).To(Succeed())
	b.look()
	b.Expect(b.last().Outcome).To(Equal(plan.Unknown))
	b.Expect(b.last().Message).To(ContainSubstring("Deployment shop does not exist"))
	b.Expect(b.asked).To(BeZero())
}

// TestARenewalThatFailsLeavesTheProof for as long again, and no longer.
func TestARenewalThatFailsLeavesTheProof(t *testing.T) {
	for name, err := range map[string]error{"refused": errors.New("webhook down"), "locked": denied(metav1.StatusReasonForbidden, deniedLocked)} {
		t.Run(name, func(t *testing.T) {
			b := newGuardBench(t)
			b.paused = true
			b.look()
			b.Expect(b.woken()).To(BeTrue())
			b.err = err
			b.Expect(b.after(5 * time.Minute).look().RequeueAfter).To(Equal(5 * time.Second))
			b.Expect(b.last().Outcome).To(Equal(plan.Open))
			b.Expect(b.woken()).To(BeFalse())
			b.after(5*time.Minute + time.Second)
			b.Expect(b.last().Outcome).To(Equal(plan.Unknown), "also while the next dry-run waits for a worker")
			b.Expect(b.last().Message).To(ContainSubstring("last proven at 2026-11-25T18:00:00Z"))
			b.look()
			b.Expect(b.last().Outcome).To(Equal(plan.Unknown))
			b.Expect(b.woken()).To(BeTrue())
		})
	}
}

func TestALockShowsNothing(t *testing.T) {
	b := newGuardBench(t)
	b.err = denied(metav1.StatusReasonForbidden, deniedLocked)
	b.look()
	b.Expect(b.last().Outcome).To(Equal(plan.Unknown))
	b.Expect(b.last().Message).To(ContainSubstring("waiting for a handover to end"))
}

// TestAfterARestart the status says what was known, until the first look.
func TestAfterARestart(t *testing.T) {
	for name, c := range map[string]struct {
		status metav1.ConditionStatus
		reason string
		before plan.GateOutcome
		then   plan.GateOutcome
	}{
		"proven":   {metav1.ConditionTrue, v1alpha1.ReasonGuardProven, plan.Open, plan.Closed},
		"missing":  {metav1.ConditionFalse, v1alpha1.ReasonGuardMissing, plan.Closed, plan.Closed},
		"unproven": {metav1.ConditionFalse, v1alpha1.ReasonGuardUnproven, plan.Unknown, plan.Unknown},
		"unknown":  {metav1.ConditionUnknown, v1alpha1.ReasonGuardUnproven, plan.Unknown, plan.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			b := newGuardBench(t, metav1.Condition{Type: v1alpha1.ConditionGuarded, Status: c.status, Reason: c.reason, Message: "before"})
			b.Expect(b.last()).To(Equal(plan.Gate{Name: plan.GateGuard, Outcome: c.before, Reason: c.reason, Message: "before"}))
			b.look()
			b.Expect(b.last().Outcome).To(Equal(c.then), "what was judged before is not new: 30 s are not waited for again")
		})
	}
}

func TestAnotherRolloutOfTheSameNameIsNotThisOne(t *testing.T) {
	b := newGuardBench(t)
	b.paused = true
	b.look()
	again := b.rollout()
	again.UID = "u2"
	b.Expect(b.guard.Last(again).Outcome).To(Equal(plan.Unknown))
}

func TestADeletedRolloutIsForgotten(t *testing.T) {
	b := newGuardBench(t)
	b.paused = true
	b.look()
	b.Expect(b.client.Delete(t.Context(), b.rollout())).To(Succeed())
	b.Expect(b.look()).To(Equal(reconcile.Result{}))
	b.Expect(b.guard.answers).To(BeEmpty())
}

// TestLastNeverWaits, not even for the dry-run of its own Rollout.
func TestLastNeverWaits(t *testing.T) {
	b := newGuardBench(t, metav1.Condition{Type: v1alpha1.ConditionGuarded, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonGuardProven})
	asked, done := make(chan struct{}), make(chan error, 1)
	b.guard.Probe = answering(t, func(ctx context.Context, _ client.Object, _ bool) error {
		close(asked)
		<-ctx.Done()
		return ctx.Err()
	})
	go func() {
		_, err := b.guard.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
		done <- err
	}()
	<-asked
	b.Expect(b.last().Outcome).To(Equal(plan.Open), "as the status says, while the first dry-run hangs")
	b.Expect(done).NotTo(Receive())
	b.Eventually(done).WithTimeout(2 * probeTimeout).Should(Receive(BeNil()))
	b.Expect(b.last().Outcome).To(Equal(plan.Open), "one failed renewal leaves the proof of before the restart")
}

// TestDryRunsAreLimited: on a cluster without the guard each Rollout asks every
// 5 s, which must not become a load.
func TestDryRunsAreLimited(t *testing.T) {
	b := newGuardBench(t)
	b.paused = true
	limit := &countingLimit{RateLimiter: flowcontrol.NewFakeAlwaysRateLimiter()}
	b.guard.Limit = limit
	b.look()
	b.after(time.Minute).look()
	b.Expect(limit.waits).To(Equal(1), "once for each dry-run")
	limit.err = context.Canceled
	_, err := b.guard.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
	b.Expect(err).NotTo(HaveOccurred(), "the proof still stands")
	b.after(5 * time.Minute)
	_, err = b.guard.Reconcile(t.Context(), reconcile.Request{NamespacedName: shop})
	b.Expect(err).To(MatchError(context.Canceled))
	b.Expect(b.last().Outcome).To(Equal(plan.Open), "the answer before is kept")
}

type countingLimit struct {
	flowcontrol.RateLimiter
	waits int
	err   error
}

func (l *countingLimit) Wait(context.Context) error {
	l.waits++
	return l.err
}
