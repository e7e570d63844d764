package rollout

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/runs"
	"belay.dev/belay/controllers/workload"
)

// TestALookWaitsForWhatWasWritten: each kind of write, until the cache shows it, and
// no longer than a second.
func TestALookWaitsForWhatWasWritten(t *testing.T) {
	key := types.NamespacedName{Namespace: "team", Name: "shop"}
	meta := metav1.ObjectMeta{Namespace: "team", Name: "shop"}
	run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop-1", UID: "run-uid"}}
	label := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))
	for name, write := range map[string]func(context.Context, client.Client) error{
		"a ReplicaSet made": func(ctx context.Context, c client.Client) error {
			set := workload.NewSet()
			set.SetNamespace("team")
			set.SetName("shop-2")
			return c.Create(ctx, set)
		},
		"the Deployment changed": func(ctx context.Context, c client.Client) error {
			d := workload.NewDeployment()
			d.SetNamespace("team")
			d.SetName("shop")
			return c.Patch(ctx, d, label)
		},
		"the status recorded": func(ctx context.Context, c client.Client) error {
			rollout := &v1alpha1.Rollout{}
			if err := c.Get(ctx, key, rollout); err != nil {
				return err
			}
			next := rollout.DeepCopy()
			next.Status.Epoch++
			return c.Status().Patch(ctx, next, client.MergeFrom(rollout))
		},
		"a run completed": func(ctx context.Context, c client.Client) error {
			return runs.ApplyStatus(ctx, c, run, v1alpha1.RolloutRunStatus{Outcome: v1alpha1.OutcomePromoted}, v1alpha1.FieldManager)
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, appsv1.AddToScheme} {
				if err := add(scheme); err != nil {
					t.Fatal(err)
				}
			}
			server := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Rollout{}, &v1alpha1.RolloutRun{}).
				WithObjects(&v1alpha1.Rollout{ObjectMeta: meta}, &appsv1.Deployment{ObjectMeta: meta}, run.DeepCopy()).Build()
			behind := true
			cache := interceptor.NewClient(server, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if behind && key.Name == "shop-2" {
					return apierrors.NewNotFound(appsv1.Resource("replicasets"), key.Name)
				}
				err := c.Get(ctx, key, o, opts...)
				if behind {
					o.SetResourceVersion("1")
				}
				return err
			}})
			var all written
			now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
			own, ctx := all.of(t.Context(), key, now)
			if !own.seen(ctx, cache, now) {
				t.Error("a look waits before anything was written")
			}
			if err := write(ctx, Noting(server)); err != nil {
				t.Fatal(err)
			}
			own, ctx = all.of(t.Context(), key, now.Add(10*time.Millisecond))
			if own.seen(ctx, cache, now.Add(999*time.Millisecond)) {
				t.Error("a look does not wait for its own write")
			}
			behind = false
			if !own.seen(ctx, cache, now.Add(999*time.Millisecond)) {
				t.Error("a look waits although the cache shows the write")
			}
			behind = true
			if err := write(ctx, Noting(server)); name != "a ReplicaSet made" && err != nil {
				t.Fatal(err)
			}
			if !own.seen(ctx, cache, now.Add(time.Second)) {
				t.Error("a look waits for more than a second")
			}
		})
	}
}

// TestWhoWroteLast: the newest version of a Rollout is one's own, or somebody else's.
func TestWhoWroteLast(t *testing.T) {
	own := &writes{behind: map[object]answer{}}
	rollout := &v1alpha1.Rollout{}
	if own.last(rollout) {
		t.Error("after a restart nothing is one's own")
	}
	rollout.ResourceVersion = "7"
	own.note(v1alpha1.GroupVersion.WithKind("Rollout"), rollout)
	other := &unstructured.Unstructured{}
	other.SetResourceVersion("9")
	own.note(appsv1.SchemeGroupVersion.WithKind("Deployment"), other)
	if !own.last(rollout) {
		t.Error("the version that was just written is not known")
	}
	rollout.ResourceVersion = "8"
	if own.last(rollout) {
		t.Error("a version that somebody else wrote is taken for one's own")
	}
}
