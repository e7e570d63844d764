package wake

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// AfterConflict looks again 50 ms after a lost optimistic lock: somebody else wrote
// first, which is the lock doing its work and no fault worth an error. Any other
// error is returned with what failed in front, for the queue's own back-off.
func AfterConflict(ctx context.Context, what string, err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("looking again: the object changed meanwhile", "while", what)
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return reconcile.Result{}, fmt.Errorf("%s: %w", what, err)
}
