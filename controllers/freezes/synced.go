package freezes

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Synced returns a reader of freezes and namespaces that never waits: a kind that the cache has
// not read yet is an error. The cache itself would wait until it has, for ever where the API
// server refuses the list or an object of it cannot be decoded, and no rollback waits for that.
func Synced(c cache.Cache) client.Reader { return synced{c} }

// Patience is how long a controller waits at its start for the freezes to be read.
const Patience = 10 * time.Second

type synced struct{ cache.Cache }

// List implements client.Reader.
func (s synced) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var kind client.Object = &v1alpha1.Freeze{}
	if _, cluster := list.(*v1alpha1.ClusterFreezeList); cluster {
		kind = &v1alpha1.ClusterFreeze{}
	}
	if err := s.read(ctx, kind); err != nil {
		return err
	}
	return s.Cache.List(ctx, list, opts...)
}

// Get implements client.Reader.
func (s synced) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if err := s.read(ctx, &corev1.Namespace{}); err != nil {
		return err
	}
	return s.Cache.Get(ctx, key, o, opts...)
}

// read is an error unless the cache has read all objects of the kind once.
func (s synced) read(ctx context.Context, kind client.Object) error {
	informer, err := s.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	if !informer.HasSynced() {
		return errors.New("the API server has not given a list of them yet: if this lasts, look into the controller's log, and at its rights")
	}
	return nil
}
