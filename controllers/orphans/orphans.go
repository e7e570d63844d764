// Package orphans cleans up after Rollouts that were deleted: labels that would keep a
// workload guarded for ever, and finished runs.
package orphans

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// find returns a Rollout, or nil when there is none. When the cache does not have it, it
// is read from the API server, so that an incomplete cache does not make it look
// deleted. It is an error when the API server does not serve the kind: then it cannot
// tell whether the Rollout exists.
func find(ctx context.Context, cached, live client.Reader, key types.NamespacedName) (*v1alpha1.Rollout, error) {
	for _, reader := range []client.Reader{cached, live} {
		rollout := &v1alpha1.Rollout{}
		err := reader.Get(ctx, key, rollout)
		if err == nil {
			return rollout, nil
		}
		if !apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
			return nil, fmt.Errorf("read Rollout %s: %w", key, err)
		}
	}
	return nil, nil
}
