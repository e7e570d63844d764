// Package calendars is the loop that sets the status of Freezes and ClusterFreezes: whether
// they can be read, hold now, and when that changes. It decides about no run: what holds a
// Rollout is computed from the specs, and not from here.
package calendars

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
	"belay.dev/belay/controllers/wake"
)

// Reconciler sets the status of Freezes and ClusterFreezes.
type Reconciler struct {
	Client client.Client
	// Freezes is a cache of freezes alone, which freezes.NewCache makes. Without a manager they
	// are read by Client.
	Freezes cache.Cache
	Clock   clock.PassiveClock
	// Every is how often the Rollouts are counted, and for how long it is not noticed that the
	// kinds were installed.
	Every time.Duration
}

// subject is a Freeze or a ClusterFreeze.
type subject struct {
	object, next client.Object
	spec         v1alpha1.FreezeSpec
	status       *v1alpha1.FreezeStatus
	cluster      *v1alpha1.ClusterFreeze
}

// of reads a Freeze, or one of no namespace, a ClusterFreeze.
func (r *Reconciler) of(ctx context.Context, req reconcile.Request) (subject, error) {
	c := cmp.Or[client.Reader](r.Freezes, r.Client)
	if req.Namespace == "" {
		f := &v1alpha1.ClusterFreeze{}
		err := c.Get(ctx, req.NamespacedName, f)
		next := f.DeepCopy()
		return subject{f, next, f.Spec.FreezeSpec, &next.Status, f}, err
	}
	f := &v1alpha1.Freeze{}
	err := c.Get(ctx, req.NamespacedName, f)
	next := f.DeepCopy()
	return subject{f, next, f.Spec, &next.Status, nil}, err
}

// Reconcile sets the status of one, and comes again when that will change.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	s, err := r.of(ctx, req)
	if err != nil || s.object.GetDeletionTimestamp() != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	count, err := r.count(ctx, s, req.Namespace)
	if err != nil {
		return reconcile.Result{}, err
	}
	now := r.Clock.Now()
	seen := freezes.Look(s.spec, s.cluster, now)
	s.status.ObservedGeneration = s.object.GetGeneration()
	s.status.Active, s.status.Rollouts = &seen.Active, &count
	s.status.NextOpens, s.status.NextCloses = at(seen.Opens), at(seen.Closes)
	meta.SetStatusCondition(&s.status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: seen.Ready, Reason: seen.Reason, Message: seen.Message,
		ObservedGeneration: s.object.GetGeneration(), LastTransitionTime: metav1.NewTime(now.Truncate(time.Second))})
	if !equality.Semantic.DeepEqual(s.object, s.next) {
		if err := r.Client.Status().Patch(ctx, s.next, client.MergeFromWithOptions(s.object, client.MergeFromWithOptimisticLock{}), client.FieldOwner(v1alpha1.FieldManager)); err != nil {
			return wake.AfterConflict(ctx, "write the status", err)
		}
	}
	return reconcile.Result{RequeueAfter: r.again(seen, s.spec, now)}, nil
}

// again is when the status changes by itself, or Rollouts may have come.
func (r *Reconciler) again(seen freezes.Seen, spec v1alpha1.FreezeSpec, now time.Time) time.Duration {
	after := r.Every
	times := []time.Time{seen.Opens, seen.Closes}
	if spec.Expires != nil {
		times = append(times, spec.Expires.Time)
	}
	for _, t := range times {
		if left := t.Sub(now); left > 0 && left < after {
			after = left
		}
	}
	return after
}

func at(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC()}
}

// count is how many Rollouts it is for, or may be.
func (r *Reconciler) count(ctx context.Context, s subject, namespace string) (int32, error) {
	list := &v1alpha1.RolloutList{}
	if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return 0, fmt.Errorf("list the Rollouts: %w", err)
	}
	labels := map[string]map[string]string{}
	if s.cluster != nil && len(list.Items) > 0 {
		namespaces := &corev1.NamespaceList{}
		if err := r.Client.List(ctx, namespaces); err != nil {
			return 0, fmt.Errorf("list the namespaces: %w", err)
		}
		for i := range namespaces.Items {
			labels[namespaces.Items[i].Name] = namespaces.Items[i].Labels
		}
	}
	n := int32(0)
	for i := range list.Items {
		if freezes.Concerns(s.spec, s.cluster, labels[list.Items[i].Namespace], list.Items[i].Labels) {
			n++
		}
	}
	return n, nil
}

// SetupWithManager registers the reconciler for both kinds, once they are installed.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	builder := ctrl.NewControllerManagedBy(mgr).Named("freeze")
	for _, kind := range freezes.Kinds() {
		builder = builder.WatchesRawSource(wake.Patiently(wake.Optional(r.Freezes, mgr.GetRESTMapper(), kind, &handler.EnqueueRequestForObject{}, r.Every), freezes.Patience))
	}
	return builder.Complete(r)
}
