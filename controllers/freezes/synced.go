package freezes

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// NewCache returns a cache of freezes alone, which the manager starts; of these namespaces, or of
// all when none is given. In the manager's own cache a kind whose list never comes, because the
// API server refuses it or an object of it cannot be decoded, would keep every controller from
// starting.
func NewCache(mgr ctrl.Manager, namespaces map[string]cache.Config) (cache.Cache, error) {
	c, err := cache.New(mgr.GetConfig(), cache.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		DefaultNamespaces: namespaces, DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return nil, fmt.Errorf("set up the cache of freezes: %w", err)
	}
	return c, mgr.Add(c)
}

// Patience is how long a controller waits at its start for the freezes to be read.
const Patience = 10 * time.Second

// Synced returns a reader of freezes, and of namespaces from another cache, that never waits: a
// kind that has not been read yet is an error. A cache itself would wait until it has, for ever
// where the list never comes, and no rollback waits for that.
func Synced(freezes, namespaces cache.Cache) client.Reader { return synced{freezes, namespaces} }

type synced struct{ freezes, namespaces cache.Cache }

// List implements client.Reader, for freezes.
func (s synced) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var kind client.Object = &v1alpha1.Freeze{}
	if _, cluster := list.(*v1alpha1.ClusterFreezeList); cluster {
		kind = &v1alpha1.ClusterFreeze{}
	}
	if err := hasRead(ctx, s.freezes, kind); err != nil {
		return err
	}
	return s.freezes.List(ctx, list, opts...)
}

// Get implements client.Reader, for namespaces.
func (s synced) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if err := hasRead(ctx, s.namespaces, o); err != nil {
		return err
	}
	return s.namespaces.Get(ctx, key, o, opts...)
}

// hasRead is an error unless a cache has read all objects of a kind once.
func hasRead(ctx context.Context, c cache.Cache, kind client.Object) error {
	informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	if !informer.HasSynced() {
		return errors.New("the API server has not given a list of them yet: if this lasts, look into the controller's log, and at its rights")
	}
	return nil
}
