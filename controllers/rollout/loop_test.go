package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

func (unrouted) Point(context.Context, traffic.Target) error { return nil }

func (u unrouted) Remove(context.Context, traffic.Target) error { return u.remove }

// unasked is a guard that has not been checked.
type unasked struct{}

func (unasked) Last(*v1alpha1.Rollout) plan.Gate {
	return plan.Gate{Name: plan.GateGuard, Outcome: plan.Unknown}
}

func (unasked) Changes() source.Source { return nil }

// open is a guard that holds.
type open struct{ unasked }

func (open) Last(*v1alpha1.Rollout) plan.Gate {
	return plan.Gate{Name: plan.GateGuard, Outcome: plan.Open}
}

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
		WithIndex(&autoscalingv2.HorizontalPodAutoscaler{}, wake.ByTarget, wake.Target).
		WithIndex(&v1alpha1.RolloutRun{}, wake.ByRollout, wake.RolloutOf)
	for field, values := range wake.Values() {
		build = build.WithIndex(&v1alpha1.Rollout{}, field, values)
	}
	t.Cleanup(func() { hideState(shopKey) })
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

// held is a Rollout whose run may start: the Deployment is held at its candidate, and
// its stable version has three ready pods.
func held(t *testing.T) []client.Object {
	t.Helper()
	rollout, d := newRollout(), newDeployment()
	d.Spec.Paused, d.Labels = true, map[string]string{v1alpha1.LabelRollout: "shop"}
	d.Status.ObservedGeneration = d.Generation
	labels := map[string]string{"app": "shop", appsv1.DefaultDeploymentUniqueLabelKey: "abc"}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop-abc", UID: "s-1", Labels: map[string]string{
		"app": "shop", v1alpha1.LabelRollout: "shop", v1alpha1.LabelRole: v1alpha1.RoleStable}}}
	set.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	set.Spec.Replicas, set.Spec.Selector = new(int32(3)), &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template = *d.Spec.Template.DeepCopy()
	set.Spec.Template.Labels, set.Spec.Template.Spec.Containers[0].Image = labels, "registry.example/shop:v1"
	set.Status = appsv1.ReplicaSetStatus{Replicas: 3, ReadyReplicas: 3, AvailableReplicas: 3}
	_, api := loopOn(t, interceptor.Funcs{}, d, set)
	stable, err := workload.Describe(workload.Template(read(t, api, client.ObjectKeyFromObject(set), workload.NewSet())))
	if err != nil {
		t.Fatal(err)
	}
	candidate, err := workload.Describe(workload.Template(read(t, api, shopKey, workload.NewDeployment())))
	if err != nil {
		t.Fatal(err)
	}
	rollout.Finalizers = []string{v1alpha1.Finalizer}
	rollout.Spec.Steps = []v1alpha1.Step{{Weight: 10}}
	rollout.Status.Phase, rollout.Status.Stable, rollout.Status.Candidate = v1alpha1.PhaseGating, &stable, &candidate
	return []client.Object{rollout, d, set}
}

// TestARefusedEffectKeepsNoOtherBack: of a decision's effects none rests on the outcome
// of another. After a conflict all of them are decided anew.
func TestARefusedEffectKeepsNoOtherBack(t *testing.T) {
	conflict := apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("rolloutruns").GroupResource(), "shop-1", errRefused)
	for name, c := range map[string]struct {
		answer              error
		labelled, ok, shown bool
	}{
		"all effects":            {nil, true, true, false},
		"the run is refused":     {errRefused, true, false, true},
		"somebody else is there": {conflict, false, true, false},
	} {
		r, api := loopOn(t, interceptor.Funcs{Create: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if _, ok := o.(*v1alpha1.RolloutRun); ok && c.answer != nil {
				return c.answer
			}
			return w.Create(ctx, o, opts...)
		}}, held(t)...)
		r.Guard = open{}
		_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopKey})
		after := read(t, api, shopKey, &v1alpha1.Rollout{})
		if after.Status.Phase != v1alpha1.PhaseStepping {
			t.Fatalf("%s: no run starts: %s", name, after.Status.Message)
		}
		labelled := read(t, api, shopKey, &appsv1.Deployment{}).Labels[v1alpha1.LabelRun] != ""
		if labelled != c.labelled || c.ok != (err == nil) || c.shown != (after.Status.Refusal != nil) {
			t.Errorf("%s: the Deployment names its run: %v, shown is %+v, %v", name, labelled, after.Status.Refusal, err)
		}
		if err != nil && !strings.Contains(err.Error(), plan.CreateRun{}.String()) {
			t.Errorf("%s: the error does not name what is refused: %v", name, err)
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
		w := &look{rollout: rollout, input: plan.Input{Spec: rollout.Spec}}
		w.takeRun(run)
		got := w.input.Spec
		if later := w.input.Run.Later; (later == "spec.steps and spec.traffic") != pinned || !pinned && later != "" {
			t.Errorf("in phase %s said to be for later: %q", phase, later)
		}
		if kept := len(got.Steps) == 2; kept != pinned {
			t.Errorf("in phase %s the steps are %v", phase, got.Steps)
		}
		if kept := got.Traffic != nil && w.target.Service == "shop"; kept != pinned {
			t.Errorf("in phase %s the traffic is %v, for Service %q", phase, got.Traffic, w.target.Service)
		}
	}
}
