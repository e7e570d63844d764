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
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/runs"
	"belay.dev/belay/controllers/workload"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

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
			return runs.ApplyStatus(ctx, c, run, "", v1alpha1.RolloutRunStatus{Outcome: v1alpha1.OutcomePromoted}, v1alpha1.FieldManager)
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
			now := clocktesting.NewFakePassiveClock(noon)
			own, ctx := all.of(t.Context(), key, now)
			if !own.seen(ctx, cache) {
				t.Error("a look waits before anything was written")
			}
			if err := write(ctx, TrackWrites(server)); err != nil {
				t.Fatal(err)
			}
			own, ctx = all.of(t.Context(), key, now)
			now.SetTime(noon.Add(999 * time.Millisecond))
			if own.seen(ctx, cache) {
				t.Error("a look does not wait for its own write")
			}
			behind = false
			if !own.seen(ctx, cache) {
				t.Error("a look waits although the cache shows the write")
			}
			behind = true
			if err := write(ctx, TrackWrites(server)); name != "a ReplicaSet made" && err != nil {
				t.Fatal(err)
			}
			now.SetTime(now.Now().Add(time.Second))
			if !own.seen(ctx, cache) {
				t.Error("a look waits for more than a second")
			}
		})
	}
}

// TestWhoWroteLast: the newest version of a Rollout is one's own, or somebody else's.
func TestWhoWroteLast(t *testing.T) {
	own := &writes{clock: clocktesting.NewFakePassiveClock(noon), behind: map[object]answer{}}
	rollout := &v1alpha1.Rollout{}
	if own.wroteLast(rollout) {
		t.Error("after a restart nothing is one's own")
	}
	rollout.ResourceVersion = "7"
	own.note(v1alpha1.GroupVersion.WithKind("Rollout"), rollout)
	other := &unstructured.Unstructured{}
	other.SetResourceVersion("9")
	own.note(appsv1.SchemeGroupVersion.WithKind("Deployment"), other)
	if !own.wroteLast(rollout) {
		t.Error("the version that was just written is not known")
	}
	rollout.ResourceVersion = "8"
	if own.wroteLast(rollout) {
		t.Error("a version that somebody else wrote is taken for one's own")
	}
}

// late is what one process has written, with a cache that shows only the Rollout's.
type late struct {
	t      *testing.T
	server client.Client
	cache  client.Reader
	clock  *clocktesting.FakePassiveClock
	all    written
	shows  bool
}

var shop = types.NamespacedName{Namespace: "team", Name: "shop"}

func openLate(t *testing.T) *late {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	meta := metav1.ObjectMeta{Namespace: shop.Namespace, Name: shop.Name}
	server := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Rollout{}).
		WithObjects(&v1alpha1.Rollout{ObjectMeta: meta}, &appsv1.ReplicaSet{ObjectMeta: meta}).Build()
	l := &late{t: t, server: server, clock: clocktesting.NewFakePassiveClock(noon)}
	l.cache = interceptor.NewClient(server, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		err := c.Get(ctx, key, o, opts...)
		if _, ok := o.(*v1alpha1.Rollout); !ok && !l.shows {
			o.SetResourceVersion("1")
		}
		return err
	}})
	return l
}

// records a status in a handover.
func (l *late) records() *v1alpha1.Rollout {
	l.t.Helper()
	_, ctx := l.all.of(l.t.Context(), shop, l.clock)
	rollout := &v1alpha1.Rollout{}
	if err := l.server.Get(ctx, shop, rollout); err != nil {
		l.t.Fatal(err)
	}
	next := rollout.DeepCopy()
	next.Status.Phase, next.Status.Epoch = v1alpha1.PhaseHandingOver, rollout.Status.Epoch+1
	if err := TrackWrites(l.server).Status().Patch(ctx, next, client.MergeFrom(rollout)); err != nil {
		l.t.Fatal(err)
	}
	return next
}

// handsOver changes the ReplicaSet.
func (l *late) handsOver() {
	l.t.Helper()
	_, ctx := l.all.of(l.t.Context(), shop, l.clock)
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: shop.Namespace, Name: shop.Name}}
	if err := TrackWrites(l.server).Patch(ctx, set, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"owner":"deployment"}}}`))); err != nil {
		l.t.Fatal(err)
	}
}

// looks reports whether a look goes on after so long, and whether it reads live.
func (l *late) looks(after time.Duration, rollout *v1alpha1.Rollout) (goesOn, live bool) {
	l.clock.SetTime(l.clock.Now().Add(after))
	own, ctx := l.all.of(l.t.Context(), shop, l.clock)
	goesOn = own.seen(ctx, l.cache)
	w := &look{rollout: rollout, follows: own.wroteLast(rollout)}
	return goesOn, w.mustReadLive()
}

// TestASlowLookStillWaitsForItsWrites: the second is counted from each write, not from
// the beginning of the look that wrote.
func TestASlowLookStillWaitsForItsWrites(t *testing.T) {
	l := openLate(t)
	rollout := l.records()
	l.clock.SetTime(noon.Add(1200 * time.Millisecond))
	l.handsOver()
	if goesOn, _ := l.looks(5*time.Millisecond, rollout); goesOn {
		t.Error("5 ms after the write the look goes on, although the cache does not show it")
	}
	if goesOn, _ := l.looks(995*time.Millisecond, rollout); !goesOn {
		t.Error("a look waits for more than a second")
	}
}

// TestALookThatGaveUpWaitingReadsLive, until the cache shows what was written.
func TestALookThatGaveUpWaitingReadsLive(t *testing.T) {
	l := openLate(t)
	rollout := l.records()
	l.handsOver()
	for range 2 {
		if goesOn, live := l.looks(1100*time.Millisecond, rollout); !goesOn || !live {
			t.Errorf("a second after the write a look goes on: %t, and reads live: %t", goesOn, live)
		}
		// It writes the status again, and still does not see the ReplicaSet.
		rollout = l.records()
	}
	l.shows = true
	if goesOn, live := l.looks(0, rollout); !goesOn || live {
		t.Errorf("once the cache shows the write a look goes on: %t, and reads live: %t", goesOn, live)
	}
}
