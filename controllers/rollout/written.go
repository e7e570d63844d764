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
	mu sync.Mutex
	at time.Time
	// behind are the objects that the cache may not show yet, and status the Rollout's
	// newest version.
	behind map[object]answer
	status string
}

// answer is the version that a write has given an object, and an empty one to read
// it into.
type answer struct {
	empty   client.Object
	version string
}

// object names one of any kind.
type object struct {
	kind schema.GroupVersionKind
	types.NamespacedName
}

type writesKey struct{}

// of returns what was written for a Rollout, and a context in which a client that
// Noting returned adds to it.
func (w *written) of(ctx context.Context, rollout types.NamespacedName, now time.Time) (*writes, context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rollouts == nil {
		w.rollouts = map[types.NamespacedName]*writes{}
	}
	known := w.rollouts[rollout]
	if known == nil {
		known = &writes{behind: map[object]answer{}}
		w.rollouts[rollout] = known
	}
	if len(known.behind) == 0 {
		known.at = now
	}
	return known, context.WithValue(ctx, writesKey{}, known)
}

func (w *written) forget(rollout types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.rollouts, rollout)
}

// seen reports whether the cache shows everything that was written, or was waited
// for long enough.
func (w *writes) seen(ctx context.Context, cache client.Reader, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, written := range w.behind {
		cached := written.empty
		err := cache.Get(ctx, key.NamespacedName, cached)
		order, malformed := resourceversion.CompareResourceVersion(cached.GetResourceVersion(), written.version)
		if malformed != nil && err == nil || err == nil && order >= 0 || now.Sub(w.at) >= catchUp {
			delete(w.behind, key)
		}
	}
	return len(w.behind) == 0
}

// last reports whether the newest write of a Rollout was this process's: then what
// it has seen of its own writes is all that was decided.
func (w *writes) last(rollout *v1alpha1.Rollout) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status != "" && w.status == rollout.ResourceVersion
}

func (w *writes) note(kind schema.GroupVersionKind, answered client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind[object{kind, client.ObjectKeyFromObject(answered)}] = answer{emptyLike(answered), answered.GetResourceVersion()}
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

// Noting returns a client whose creates and patches a Reconciler can wait for in its
// cache. The Reconciler's Router and the Reconciler itself write through one.
func Noting(c client.Client) client.Client { return noting{c} }

type noting struct{ client.Client }

func (n noting) note(ctx context.Context, o client.Object, err error) error {
	if known, ok := ctx.Value(writesKey{}).(*writes); ok && err == nil {
		kind, unknown := n.GroupVersionKindFor(o)
		if unknown == nil {
			known.note(kind, o)
		}
	}
	return err
}

// Create notes what was made.
func (n noting) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	return n.note(ctx, o, n.Client.Create(ctx, o, opts...))
}

// Patch notes what was changed.
func (n noting) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return n.note(ctx, o, n.Client.Patch(ctx, o, patch, opts...))
}

// Status returns a writer that notes what was changed.
func (n noting) Status() client.SubResourceWriter { return notingStatus{n.Client.Status(), n} }

type notingStatus struct {
	client.SubResourceWriter
	of noting
}

// Patch notes the object, which the answer holds whole.
func (n notingStatus) Patch(ctx context.Context, o client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return n.of.note(ctx, o, n.SubResourceWriter.Patch(ctx, o, patch, opts...))
}

// Apply notes the answer as the type that the cache has it in.
func (n notingStatus) Apply(ctx context.Context, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	err := n.SubResourceWriter.Apply(ctx, o, opts...)
	answer, ok := o.(interface {
		metav1.Object
		schema.ObjectKind
	})
	if err != nil || !ok {
		return err
	}
	typed, unknown := n.of.Scheme().New(answer.GroupVersionKind())
	if answered, ok := typed.(client.Object); unknown == nil && ok {
		answered.SetNamespace(answer.GetNamespace())
		answered.SetName(answer.GetName())
		answered.SetResourceVersion(answer.GetResourceVersion())
		return n.of.note(ctx, answered, nil)
	}
	return err
}
