package rollout

import (
	"context"
	"reflect"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// catchUp is how long a look waits for the cache to show what this process wrote
// before it: a watch is some milliseconds behind. What is decided without seeing
// one's own last write is decided again, and conflicts with it. After so long a
// look goes on with what it sees, and loses by the resource versions that it tests.
const catchUp = time.Second

// againAfter is when a look is tried again while the cache is behind. The event that
// it waits for wakes the Rollout as well.
const againAfter = 25 * time.Millisecond

// written keeps, by Rollout, the objects that this process wrote and that the cache
// may not show yet, and the version of the status that it wrote last.
type written struct {
	mu       sync.Mutex
	rollouts map[types.NamespacedName]*writes
}

type writes struct {
	mu    sync.Mutex
	clock clock.PassiveClock
	// behind are the objects that the cache may not show yet, and status the Rollout's
	// newest version.
	behind map[object]answer
	status string
	// lags is set by a look that went on although the cache does not show everything.
	lags bool
}

// answer is the version that a write has given an object and when, and an empty one to
// read it into.
type answer struct {
	empty   client.Object
	version string
	at      time.Time
}

// object names one of any kind.
type object struct {
	kind schema.GroupVersionKind
	types.NamespacedName
}

type writesKey struct{}

// of returns what was written for a Rollout, and a context in which a client that
// TrackWrites returned adds to it.
func (w *written) of(ctx context.Context, rollout types.NamespacedName, now clock.PassiveClock) (*writes, context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rollouts == nil {
		w.rollouts = map[types.NamespacedName]*writes{}
	}
	known := w.rollouts[rollout]
	if known == nil {
		known = &writes{clock: now, behind: map[object]answer{}}
		w.rollouts[rollout] = known
	}
	return known, context.WithValue(ctx, writesKey{}, known)
}

func (w *written) forget(rollout types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.rollouts, rollout)
}

// seen reports whether the cache shows everything that was written, or was waited
// for long enough. An object that was given up stays known until the cache shows it, or
// does not have it.
func (w *writes) seen(ctx context.Context, cache client.Reader) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	waits := false
	w.lags = false
	for key, written := range w.behind {
		cached := written.empty
		err := cache.Get(ctx, key.NamespacedName, cached)
		order, malformed := resourceversion.CompareResourceVersion(cached.GetResourceVersion(), written.version)
		givenUp := w.clock.Since(written.at) >= catchUp
		switch shown := err == nil && (malformed != nil || order >= 0); {
		case shown:
			delete(w.behind, key)
		case !givenUp:
			waits = true
		default:
			w.lags = true
			if err != nil {
				delete(w.behind, key)
			}
		}
	}
	return !waits
}

// wroteLast reports whether the newest write of a Rollout was this process's, and the cache
// shows all of its writes: then what it has seen of them is all that was decided.
func (w *writes) wroteLast(rollout *v1alpha1.Rollout) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.lags && w.status != "" && w.status == rollout.ResourceVersion
}

func (w *writes) note(kind schema.GroupVersionKind, answered client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind[object{kind, client.ObjectKeyFromObject(answered)}] = answer{emptyLike(answered), answered.GetResourceVersion(), w.clock.Now()}
	if kind.Kind == "Rollout" {
		w.status = answered.GetResourceVersion()
	}
}

func emptyLike(o client.Object) client.Object {
	if u, ok := o.(*unstructured.Unstructured); ok {
		out := &unstructured.Unstructured{}
		out.SetGroupVersionKind(u.GroupVersionKind())
		return out
	}
	return reflect.New(reflect.TypeOf(o).Elem()).Interface().(client.Object)
}

// TrackWrites returns a client whose creates and patches a Reconciler can wait for in its
// cache. The Reconciler's Router and the Reconciler itself write through one.
func TrackWrites(c client.Client) client.Client { return tracked{c} }

type tracked struct{ client.Client }

func (t tracked) note(ctx context.Context, o client.Object, err error) error {
	if known, ok := ctx.Value(writesKey{}).(*writes); ok && err == nil {
		kind, unknown := t.GroupVersionKindFor(o)
		if unknown == nil {
			known.note(kind, o)
		}
	}
	return err
}

// Create notes what was made.
func (t tracked) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	return t.note(ctx, o, t.Client.Create(ctx, o, opts...))
}

// Patch notes what was changed.
func (t tracked) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return t.note(ctx, o, t.Client.Patch(ctx, o, patch, opts...))
}

// Status returns a writer that notes what was changed.
func (t tracked) Status() client.SubResourceWriter { return trackedStatus{t.Client.Status(), t} }

type trackedStatus struct {
	client.SubResourceWriter
	of tracked
}

// Patch notes the object, which the answer holds whole.
func (t trackedStatus) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return t.of.note(ctx, o, t.SubResourceWriter.Patch(ctx, o, patch, opts...))
}

// Apply notes the answer as the type that the cache has it in.
func (t trackedStatus) Apply(ctx context.Context, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	err := t.SubResourceWriter.Apply(ctx, o, opts...)
	answer, ok := o.(interface {
		metav1.Object
		schema.ObjectKind
	})
	if err != nil || !ok {
		return err
	}
	typed, unknown := t.of.Scheme().New(answer.GroupVersionKind())
	if answered, ok := typed.(client.Object); unknown == nil && ok {
		answered.SetNamespace(answer.GetNamespace())
		answered.SetName(answer.GetName())
		answered.SetResourceVersion(answer.GetResourceVersion())
		return t.of.note(ctx, answered, nil)
	}
	return err
}
