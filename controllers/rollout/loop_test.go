package rollout

import (
	"context"
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

var shopKey = types.NamespacedName{Namespace: "team", Name: "shop"}

// errRefused is an API server that does not take a write.
var errRefused = errors.New("etcdserver: request timed out")

// unrouted is a router of an application without routes.
type unrouted struct {
	traffic.Router
	// remove is what removing the generated Services ends with.
	remove error
}

func (unrouted) Observe(context.Context, traffic.Target) (traffic.Observation, error) {
	return traffic.Observation{Acknowledged: true}, nil
}

func (u unrouted) Remove(context.Context, traffic.Target) error { return u.remove }

// unasked is a guard that has not been checked.
type unasked struct{}

func (unasked) Last(*v1alpha1.Rollout) plan.Gate {
	return plan.Gate{Name: plan.GateGuard, Outcome: plan.Unknown}
}

func (unasked) Changes() source.Source { return nil }

// loopOn is the loop on a fake API server, whose reads and writes a test may change.
// The client returned goes past that.
func loopOn(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) (*Reconciler, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	build := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Rollout{}, &v1alpha1.RolloutRun{}).
		WithIndex(&autoscalingv2.HorizontalPodAutoscaler{}, wake.ByTarget, wake.Target)
	for field, values := range wake.Values() {
		build = build.WithIndex(&v1alpha1.Rollout{}, field, values)
	}
	t.Cleanup(func() { hideConditions(shopKey) })
	api := build.Build()
	c := interceptor.NewClient(api, funcs)
	return &Reconciler{
		Client: c, Live: api, Router: unrouted{}, Guard: unasked{}, Events: &events.FakeRecorder{}, Watchdog: 10 * time.Second,
		Clock: clocktesting.NewFakePassiveClock(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)),
	}, api
}

// newRollout has nothing of Belay's yet, not even the finalizer.
func newRollout() *v1alpha1.Rollout {
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop", UID: "r-1"}}
	r.Spec.WorkloadRef.Name = "shop"
	r.Spec.Traffic = &v1alpha1.Traffic{Service: "shop"}
	return r
}

// newDeployment has no pods yet.
func newDeployment() *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop", UID: "d-1"}}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}
	d.Spec.Template.Labels = map[string]string{"app": "shop"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "shop", Image: "registry.example/shop:v2"}}
	d.Spec.Replicas = new(int32(3))
	return d
}

func read[T client.Object](t *testing.T, c client.Reader, key client.ObjectKey, into T) T {
	t.Helper()
	if err := c.Get(t.Context(), key, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// TestNothingIsDoneThatIsNotRecorded: where the decision is not recorded, because the
// API server does not take it or because it was made on an older Rollout, its effect
// is not carried out and what somebody else has recorded stays.
func TestNothingIsDoneThatIsNotRecorded(t *testing.T) {
	refused := interceptor.Funcs{SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
		return errRefused
	}}
	stale := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if err := c.Get(ctx, key, o, opts...); err != nil {
			return err
		}
		r, ok := o.(*v1alpha1.Rollout)
		if !ok {
			return nil
		}
		newer := r.DeepCopy()
		newer.Status.Message = "recorded meanwhile"
		return c.Status().Update(ctx, newer)
	}}
	for name, c := range map[string]struct {
		api     interceptor.Funcs
		message string
	}{
		"refused": {refused, ""}, "made on an older Rollout": {stale, "recorded meanwhile"},
	} {
		r, api := loopOn(t, c.api, newRollout(), newDeployment())
		result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopKey})
		if after := read(t, api, shopKey, &v1alpha1.Rollout{}); len(after.Finalizers) > 0 || after.Status.Message != c.message {
			t.Errorf("%s: the finalizers are %q, the status says %q", name, after.Finalizers, after.Status.Message)
		}
		if err == nil && result.RequeueAfter <= 0 {
			t.Errorf("%s: nobody tries again", name)
		}
	}
}

// TestALookSaysWhenToLookAgain: a Rollout that waits is looked at again without any
// event.
func TestALookSaysWhenToLookAgain(t *testing.T) {
	rollout := newRollout()
	rollout.Finalizers = []string{v1alpha1.Finalizer}
	r, api := loopOn(t, interceptor.Funcs{}, rollout, newDeployment())
	result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopKey})
	if err != nil {
		t.Fatal(err)
	}
	if after := read(t, api, shopKey, &v1alpha1.Rollout{}); after.Status.Message == "" || result.RequeueAfter <= 0 || result.RequeueAfter > r.Watchdog {
		t.Errorf("looks again after %s, the status says %q", result.RequeueAfter, after.Status.Message)
	}
}

// TestACommandIsAnsweredOnce: its token counts once, also when other commands came
// after it and somebody sets it anew.
func TestACommandIsAnsweredOnce(t *testing.T) {
	rollout := newRollout()
	rollout.Annotations = map[string]string{v1alpha1.AnnotationAction: string(v1alpha1.ActionAbort), v1alpha1.AnnotationActionToken: "1"}
	if a := pendingAction(rollout); a == nil || a.Action != v1alpha1.ActionAbort || a.Token != "1" {
		t.Fatalf("the command is %+v", a)
	}
	for _, token := range []string{"1", "2"} {
		rollout.Status.Remember(v1alpha1.HandledAction{Action: v1alpha1.ActionAbort, Token: token})
		if a := pendingAction(rollout); a != nil {
			t.Errorf("after command %s the first counts again: %+v", token, a)
		}
	}
}

// TestARunInProgressKeepsItsStepsAndTraffic, whatever the Rollout says meanwhile.
func TestARunInProgressKeepsItsStepsAndTraffic(t *testing.T) {
	for phase, pinned := range map[v1alpha1.Phase]bool{
		v1alpha1.PhaseStepping: true, v1alpha1.PhaseRollingBack: true, v1alpha1.PhaseRolledBack: false,
	} {
		run := runOf("shop-1")
		run.Spec.Steps, run.Spec.Traffic = []v1alpha1.Step{{Weight: 5}, {Weight: 50}}, &v1alpha1.Traffic{Service: "shop"}
		rollout := newRollout()
		rollout.Status.Phase, rollout.Spec.Steps, rollout.Spec.Traffic = phase, []v1alpha1.Step{{Weight: 100}}, nil
		w := &world{rollout: rollout, input: plan.Input{Spec: rollout.Spec}}
		w.takeRun(run)
		got := w.input.Spec
		if kept := len(got.Steps) == 2; kept != pinned {
			t.Errorf("in phase %s the steps are %v", phase, got.Steps)
		}
		if kept := got.Traffic != nil && w.target.Service == "shop"; kept != pinned {
			t.Errorf("in phase %s the traffic is %v, for Service %q", phase, got.Traffic, w.target.Service)
		}
	}
}

// inRun is the loop's look at a Rollout whose run has begun, with no canary yet.
func inRun(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) (*Reconciler, *world, client.Client) {
	t.Helper()
	rollout, run := newRollout(), runOf("shop-1")
	r, api := loopOn(t, funcs, append(objects, rollout, newDeployment())...)
	w := &world{rollout: rollout, run: run, deployment: read(t, api, shopKey, workload.NewDeployment())}
	candidate, err := workload.Describe(workload.Template(w.deployment))
	if err != nil {
		t.Fatal(err)
	}
	at := metav1.NewTime(r.Clock.Now())
	s := &rollout.Status
	s.Phase, s.Epoch, s.Run, s.RunStartedAt = v1alpha1.PhaseStepping, 3, run.Name, &at
	s.Stable, s.Candidate = &v1alpha1.Revision{Revision: "0123456789"}, &candidate
	if err := api.Status().Update(t.Context(), rollout); err != nil {
		t.Fatal(err)
	}
	run.Spec.Revision = candidate.Revision
	run.Spec.Rollout = v1alpha1.RolloutIdentity{Name: rollout.Name, UID: rollout.UID}
	return r, w, api
}

// TestARunOfAnotherRolloutIsNotTaken, although it has the name that this one's should
// have.
func TestARunOfAnotherRolloutIsNotTaken(t *testing.T) {
	for uid, own := range map[types.UID]bool{"r-1": true, "r-0": false} {
		there := runOf("shop-1")
		there.Spec.Rollout = v1alpha1.RolloutIdentity{Name: "shop", UID: uid}
		r, w, _ := inRun(t, interceptor.Funcs{}, there)
		if err := r.createRun(t.Context(), w); (err == nil) != own {
			t.Errorf("of a run of Rollout %s it says %v", uid, err)
		}
	}
}

// TestNoCanaryIsMadeAfterItsRun: a controller that was suspended makes none for a run
// that has gone on without it.
func TestNoCanaryIsMadeAfterItsRun(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(*v1alpha1.RolloutStatus)
		made      bool
	}{
		"as decided":       {func(*v1alpha1.RolloutStatus) {}, true},
		"rolled back":      {func(s *v1alpha1.RolloutStatus) { s.Phase, s.Epoch = v1alpha1.PhaseRollingBack, 4 }, false},
		"in the next run":  {func(s *v1alpha1.RolloutStatus) { s.Run = "shop-2" }, false},
		"handed over":      {func(s *v1alpha1.RolloutStatus) { s.Phase = v1alpha1.PhaseHandingOver }, false},
		"in another epoch": {func(s *v1alpha1.RolloutStatus) { s.Epoch = 4 }, false},
	} {
		r, w, api := inRun(t, interceptor.Funcs{})
		live := read(t, api, shopKey, &v1alpha1.Rollout{})
		c.meanwhile(&live.Status)
		if err := api.Status().Update(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		err := r.scaleCanary(t.Context(), w, 1)
		sets := &appsv1.ReplicaSetList{}
		if listErr := api.List(t.Context(), sets); listErr != nil {
			t.Fatal(listErr)
		}
		if made := len(sets.Items) == 1; made != c.made || made != (err == nil) || !made && !apierrors.IsConflict(err) {
			t.Errorf("%s: %d ReplicaSets, %v", name, len(sets.Items), err)
		}
	}
}

// TestAHandoverReadsPastTheCache: what it decides on is the Deployment as it is, not
// as the cache still has it.
func TestAHandoverReadsPastTheCache(t *testing.T) {
	behind := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		err := c.Get(ctx, key, o, opts...)
		if d, ok := o.(*unstructured.Unstructured); ok && err == nil {
			err = unstructured.SetNestedField(d.Object, int64(1), "spec", "replicas")
		}
		return err
	}}
	at := metav1.Now()
	handed := &v1alpha1.PromotionStatus{HandedAt: &at}
	for name, c := range map[string]struct {
		phase     v1alpha1.Phase
		promotion *v1alpha1.PromotionStatus
		live      bool
	}{
		"in a step":                      {v1alpha1.PhaseStepping, nil, false},
		"handing over":                   {v1alpha1.PhaseHandingOver, nil, true},
		"rolling back":                   {v1alpha1.PhaseRollingBack, nil, false},
		"rolling back from the handover": {v1alpha1.PhaseRollingBack, handed, true},
	} {
		r, w, _ := inRun(t, behind)
		w.rollout.Status.Phase, w.rollout.Status.Promotion = c.phase, c.promotion
		w.rollout.Status.Stable = w.rollout.Status.Candidate
		d, err := r.readDeployment(t.Context(), w, shopKey)
		if err != nil {
			t.Fatal(err)
		}
		if live := workload.Replicas(d) == 3; live != c.live {
			t.Errorf("%s the Deployment has %d replicas, it really has 3", name, workload.Replicas(d))
		}
	}
}

// TestAHandoverRestsOnItsLock: where the lock is refused, or the Deployment that it
// returns is not what the handover was decided on, the canary stays the run's.
func TestAHandoverRestsOnItsLock(t *testing.T) {
	answers := func(change func(*unstructured.Unstructured) error) interceptor.Funcs {
		return interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			d := o.(*unstructured.Unstructured)
			if d.GetKind() != "Deployment" {
				return c.Patch(ctx, o, p, opts...)
			}
			if err := c.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			return change(d)
		}}
	}
	for name, c := range map[string]struct {
		lock func(*unstructured.Unstructured) error
		hand bool
	}{
		"locked":  {func(*unstructured.Unstructured) error { return nil }, true},
		"refused": {func(*unstructured.Unstructured) error { return errRefused }, false},
		"another size": {func(d *unstructured.Unstructured) error {
			return unstructured.SetNestedField(d.Object, int64(5), "spec", "replicas")
		}, false},
		"another template": {func(d *unstructured.Unstructured) error {
			return unstructured.SetNestedField(d.Object, "new", "spec", "template", "metadata", "labels", "version")
		}, false},
	} {
		r, w, api := inRun(t, answers(c.lock))
		set, err := workload.Canary(w.run, w.deployment, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := api.Create(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		w.canary, w.canarySet.Desired = set, 3
		err = r.handOver(t.Context(), w, plan.HandOver{Replicas: 3})
		owner := metav1.GetControllerOf(read(t, api, client.ObjectKeyFromObject(set), workload.NewSet()))
		if handed := owner.Kind == "Deployment"; handed != c.hand || handed != (err == nil) {
			t.Errorf("%s: the owner is %s, %v", name, owner.Kind, err)
		}
	}
}

// TestTheFinalizerGoesLast: while anything of Belay's is left the Rollout stays, and
// then it goes.
func TestTheFinalizerGoesLast(t *testing.T) {
	for name, c := range map[string]struct {
		services, label error
	}{
		"the Services stay": {services: errRefused}, "the label stays": {label: errRefused}, "all is gone": {},
	} {
		rollout, d := newRollout(), newDeployment()
		rollout.Finalizers, rollout.DeletionTimestamp = []string{v1alpha1.Finalizer}, &metav1.Time{Time: time.Now()}
		d.Labels = map[string]string{v1alpha1.LabelRollout: "shop"}
		r, api := loopOn(t, interceptor.Funcs{Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if _, ok := o.(*unstructured.Unstructured); ok && c.label != nil {
				return c.label
			}
			return w.Patch(ctx, o, p, opts...)
		}}, rollout, d)
		r.Router = unrouted{remove: c.services}
		w := &world{rollout: read(t, api, shopKey, &v1alpha1.Rollout{}), deployment: read(t, api, shopKey, workload.NewDeployment())}
		err := r.leave(t.Context(), w)
		gone := apierrors.IsNotFound(api.Get(t.Context(), shopKey, &v1alpha1.Rollout{}))
		if last := c.services == nil && c.label == nil; gone != last || gone != (err == nil) {
			t.Errorf("%s: the Rollout is gone %v, %v", name, gone, err)
		}
	}
}
