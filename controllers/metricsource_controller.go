package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// MetricSourceReconciler says on each MetricSource whether it answers.
type MetricSourceReconciler struct {
	Client  client.Client
	Sources *Sources
	Clock   clock.PassiveClock
	// Every is how often a source is asked.
	Every time.Duration
}

// Reconcile asks a source for its version and records the answer.
func (r *MetricSourceReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	source := &v1alpha1.MetricSource{}
	if err := r.Client.Get(ctx, req.NamespacedName, source); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if source.DeletionTimestamp != nil {
		r.Sources.Forget(source.UID)
		return reconcile.Result{}, nil
	}
	next := source.DeepCopy()
	next.Status.ObservedGeneration = source.Generation
	version, err := r.version(ctx, source)
	value, reason, message := metav1.ConditionTrue, v1alpha1.ReasonAnswered, "it answers"
	if err != nil {
		value, reason, message = metav1.ConditionFalse, unreachableReason(err), bounded(err.Error(), 512)
	} else {
		next.Status.ServerVersion = version
	}
	for _, kind := range []string{v1alpha1.ConditionReachable, v1alpha1.ConditionReady} {
		meta.SetStatusCondition(&next.Status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: message,
			ObservedGeneration: source.Generation, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
		})
	}
	if equality.Semantic.DeepEqual(source.Status, next.Status) {
		return reconcile.Result{RequeueAfter: r.Every}, nil
	}
	patch := client.MergeFromWithOptions(source, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(FieldManager)); err != nil {
		return retryOnConflict(ctx, "record whether the source answers", err)
	}
	return reconcile.Result{RequeueAfter: r.Every}, nil
}

func (r *MetricSourceReconciler) version(ctx context.Context, source *v1alpha1.MetricSource) (string, error) {
	c, err := r.Sources.Client(ctx, source, r.Clock.Now())
	if err != nil {
		return "", fmt.Errorf("use the credentials: %w", err)
	}
	return c.Version(ctx)
}

func unreachableReason(err error) string {
	var answer *prometheus.QueryError
	if errors.As(err, &answer) {
		return string(answer.Reason)
	}
	return v1alpha1.ReasonInvalidCredentials
}

// SetupWithManager registers the reconciler.
func (r *MetricSourceReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).For(&v1alpha1.MetricSource{}).Complete(r)
}
