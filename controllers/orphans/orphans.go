// Package orphans cleans up what is left of Rollouts that are gone: labels that
// would hold a Deployment for ever, and the records of finished runs.
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

// find returns a Rollout, or nil when there is none. What the cache does not know
// the API server is asked for, so that a cold cache takes nothing for gone. It is
// an error when the API server does not know the kind: then it knows no Rollout,
// whether there are any or not.
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
