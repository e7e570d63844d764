package gatewaytest

import (
	"context"
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// DryRuns answers the dry-run of a JSON patch as an API server does: with the object as it would
// be. The fake client answers with the object as it is. kept, unless nil, is what the API server
// makes of that object.
func DryRuns(c client.WithWatch, kept func(client.Object)) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
		if asks := (&client.PatchOptions{}).ApplyOptions(opts); len(asks.DryRun) == 0 {
			return c.Patch(ctx, o, patch, opts...)
		}
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if err := patched(o, patch); err != nil {
			return err
		}
		if kept != nil {
			kept(o)
		}
		return nil
	}})
}

func patched(o client.Object, patch client.Patch) error {
	document, err := patch.Data(o)
	if err != nil {
		return fmt.Errorf("read the patch: %w", err)
	}
	decoded, err := jsonpatch.DecodePatch(document)
	if err != nil {
		return fmt.Errorf("decode the patch: %w", err)
	}
	before, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode the object: %w", err)
	}
	after, err := decoded.Apply(before)
	if err != nil {
		return fmt.Errorf("apply the patch: %w", err)
	}
	return json.Unmarshal(after, o)
}
