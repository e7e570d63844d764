package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/workload"
)

// TestARefusedRecordBlocksNoRollback: the API server takes no status with a long
// message; the decision to roll back is recorded all the same, and one that gives
// the candidate more is not.
func TestARefusedRecordBlocksNoRollback(t *testing.T) {
	for name, c := range map[string]struct {
		phase    v1alpha1.Phase
		recorded bool
	}{
		"a rollback":  {v1alpha1.PhaseRollingBack, true},
		"a promotion": {v1alpha1.PhasePromoting, false},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "team"}}
			rollout.Status.Phase, rollout.Status.Epoch = v1alpha1.PhaseStepping, 3
			refuse := func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if r, ok := o.(*v1alpha1.Rollout); ok && len(r.Status.Message) > 300 {
					return apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("Rollout").GroupKind(), r.Name, nil)
				}
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			}
			c1 := fake.NewClientBuilder().WithScheme(scheme).WithObjects(rollout).WithStatusSubresource(rollout).
				WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: refuse}).Build()
			observed := &v1alpha1.Rollout{}
			if err := c1.Get(t.Context(), client.ObjectKeyFromObject(rollout), observed); err != nil {
				t.Fatal(err)
			}
			r := &Reconciler{Client: c1, Live: c1, Events: &events.FakeRecorder{}}
			l := &look{rollout: observed, input: plan.Input{Now: time.Now(), Status: observed.Status}}
			d := plan.Decision{Rule: "X", Why: strings.Repeat("why ", 250), Status: *observed.Status.DeepCopy(), Progress: plan.Reconciling, Reason: "X"}
			d.Status.Phase, d.Status.Epoch, d.Status.Message = c.phase, 4, d.Why
			_, err := r.record(t.Context(), l, plan.Result{Decision: d, GoesOn: c.recorded})
			if (err == nil) != c.recorded {
				t.Fatalf("recording ended with %v", err)
			}
			after := &v1alpha1.Rollout{}
			if err := c1.Get(t.Context(), client.ObjectKeyFromObject(rollout), after); err != nil {
				t.Fatal(err)
			}
			if recorded := after.Status.Phase == c.phase && after.Status.Epoch == 4; recorded != c.recorded {
				t.Errorf("the status says %s in epoch %d", after.Status.Phase, after.Status.Epoch)
			}
		})
	}
}

// TestANameThatIsTaken: only our own last write, which the cache is about to show,
// is looked at again at once.
func TestANameThatIsTaken(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: "shop-1", Namespace: "team", UID: "r-1"}}
	deployment := workload.NewDeployment()
	deployment.SetName("shop")
	for name, c := range map[string]struct {
		change func(*unstructured.Unstructured)
		says   string
	}{
		"our own, a moment ago": {func(*unstructured.Unstructured) {}, ""},
		"our own, and not found by its labels": {func(u *unstructured.Unstructured) { u.SetCreationTimestamp(metav1.NewTime(at.Add(-2 * time.Second))) },
			"compare its labels with the Deployment's selector"},
		"being deleted": {func(u *unstructured.Unstructured) {
			u.SetDeletionTimestamp(&metav1.Time{Time: at})
			u.SetFinalizers([]string{"example.com/stay"})
		}, `is being deleted since 2026-11-25T12:00:00Z: Belay makes it again when it is gone; finalizers that keep it: ["example.com/stay"]`},
		"somebody else's": {func(u *unstructured.Unstructured) { u.SetOwnerReferences(nil) }, "is not of this run: delete it"},
	} {
		set := workload.NewSet()
		set.SetNamespace("team")
		set.SetName("shop-0123456789")
		set.SetCreationTimestamp(metav1.NewTime(at.Add(-time.Second)))
		set.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(run, v1alpha1.GroupVersion.WithKind("RolloutRun"))})
		c.change(set)
		r := &Reconciler{Live: fake.NewClientBuilder().WithObjects(set).Build(), Clock: clocktesting.NewFakePassiveClock(at)}
		err := r.nameTaken(t.Context(), decided{look: &look{run: run, workload: deployment}}, set, errors.New("it exists"))
		if atOnce := c.says == ""; err == nil || apierrors.IsConflict(err) != atOnce || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestARefusedEffectIsShownOnce: the status says what the API server does not
// take and since when; a text that differs each time writes nothing more, and a
// conflict is no refusal.
func TestARefusedEffectIsShownOnce(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "team"}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(rollout).WithStatusSubresource(rollout).Build()
	r := &Reconciler{Client: c, Live: c}
	read := func() *v1alpha1.Rollout {
		t.Helper()
		now := &v1alpha1.Rollout{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(rollout), now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	refuse := func(err error) {
		t.Helper()
		d := decided{look: &look{input: plan.Input{Now: at}}, recorded: read()}
		if got := r.noteRefusal(t.Context(), d, plan.ScaleCanary{Replicas: 3}.String(), err); !errors.Is(got, err) {
			t.Errorf("the error became %v", got)
		}
		at = at.Add(time.Second)
	}
	refuse(apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), "shop", nil))
	if got := read().Status.Refusal; got != nil {
		t.Errorf("a conflict is shown as %+v", got)
	}
	refuse(errors.New("exceeded quota:\n pods=4"))
	first := read()
	if got := first.Status.Refusal; got == nil || got.Effect != "scale the canary to 3" || got.Message != "exceeded quota: pods=4" {
		t.Fatalf("shown: %+v", got)
	}
	refuse(errors.New("read tcp 127.0.0.1:40512: connection reset"))
	if again := read(); again.ResourceVersion != first.ResourceVersion {
		t.Errorf("another text wrote the status again: %+v", again.Status.Refusal)
	}
}
