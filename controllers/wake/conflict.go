package wake

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// AfterConflict requeues after 50 ms when the error is a conflict: somebody else wrote the
// object first, which is not an error. Any other error is returned with what in front, for
// the queue's back-off.
func AfterConflict(ctx context.Context, what string, err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("conflict: the object changed meanwhile, trying again", "while", what)
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return reconcile.Result{}, fmt.Errorf("%s: %w", what, err)
}
