package wake

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Optional is a source of events for a kind that need not be installed. When the API server
// serves the kind at the start, the controller waits for its cache as for any other.
// Otherwise the controller starts without it, and checks at every interval whether it was
// installed; from then on it is watched. object is unstructured and has the kind.
func Optional(c cache.Cache, mapper meta.RESTMapper, object client.Object, events handler.EventHandler, every time.Duration) source.SyncingSource {
	return &optional{kind: object.GetObjectKind().GroupVersionKind(), mapper: mapper, watch: source.Kind(c, object, events), every: every}
}

// Patiently is a source of Optional's that a controller waits for no longer than this at its start:
// where nothing that takes requests back needs the kind, a list that never comes must not keep
// the controller from starting.
func Patiently(o source.SyncingSource, patience time.Duration) source.SyncingSource {
	return &patient{o, patience}
}

type patient struct {
	source.SyncingSource
	patience time.Duration
}

// WaitForSync has no error but that of ctx. A Kind whose wait is cut short gives up its watch, so
// the source waits on by itself: once there is a list, its events come.
func (p *patient) WaitForSync(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- p.SyncingSource.WaitForSync(context.WithoutCancel(ctx)) }()
	short, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	var err error
	select {
	case err = <-ended:
	case <-short.Done():
		err = short.Err()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "the API server gives no list of a kind: going on without it", "source", fmt.Sprint(p.SyncingSource))
	}
	return nil
}

type optional struct {
	kind   schema.GroupVersionKind
	mapper meta.RESTMapper
	watch  source.SyncingSource
	every  time.Duration
	// awaited is set when the kind was not installed at the start.
	awaited atomic.Bool
}

// Start does not wait.
func (o *optional) Start(ctx context.Context, q queue) error {
	if o.installed(ctx) {
		return o.watch.Start(ctx, q)
	}
	o.awaited.Store(true)
	log.FromContext(ctx).Info("kind is not installed: Rollouts cannot use it", "kind", o.kind.String())
	go o.await(ctx, q)
	return nil
}

// await starts the watch once the kind is installed, or returns when the controller stops.
func (o *optional) await(ctx context.Context, q queue) {
	err := wait.PollUntilContextCancel(ctx, o.every, false, func(ctx context.Context) (bool, error) { return o.installed(ctx), nil })
	if err != nil {
		return
	}
	log.FromContext(ctx).Info("kind was installed: watching it", "kind", o.kind.String())
	if err := o.watch.Start(ctx, q); err != nil {
		log.FromContext(ctx).Error(err, "cannot watch a kind that was installed later; Rollouts are checked at the watchdog interval", "kind", o.kind.String())
	}
}

// installed is also false when the API server cannot be read; it is read again later.
func (o *optional) installed(ctx context.Context) bool {
	_, err := o.mapper.RESTMapping(o.kind.GroupKind(), o.kind.Version)
	if err != nil && !meta.IsNoMatchError(err) {
		log.FromContext(ctx).Error(err, "cannot read from the API server whether a kind is installed", "kind", o.kind.String())
	}
	return err == nil
}

// WaitForSync waits for the cache of a kind that was installed at the start.
func (o *optional) WaitForSync(ctx context.Context) error {
	if o.awaited.Load() {
		return nil
	}
	return o.watch.WaitForSync(ctx)
}

// String names the source in logs.
func (o *optional) String() string { return fmt.Sprintf("kind source, if installed: %s", o.kind) }
