package integration

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/wake"
)

// listIndexed answers lists by Belay's indexes, as the controller's cache does: an
// API server knows no such field selectors.
func listIndexed(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	if o.FieldSelector == nil {
		return c.List(ctx, list, opts...)
	}
	by := o.FieldSelector.Requirements()
	indexes := wake.Values()
	indexes[wake.ByTarget], indexes[wake.ByRollout] = wake.Target, wake.RolloutOf
	if len(by) != 1 || indexes[by[0].Field] == nil {
		return fmt.Errorf("the cache has no index for %s", o.FieldSelector)
	}
	o.FieldSelector = nil
	if err := c.List(ctx, list, o); err != nil {
		return err
	}
	all, err := meta.ExtractList(list)
	if err != nil {
		return err
	}
	var found []runtime.Object
	for _, object := range all {
		for _, value := range indexes[by[0].Field](object.(client.Object)) {
			if value == by[0].Value {
				found = append(found, object)
			}
		}
	}
	return meta.SetList(list, found)
}
