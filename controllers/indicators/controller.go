// Package indicators is the loop that sets the status of Guardrails and
// ClusterGuardrails: whether their specs can be used, and what their indicators see of the
// stable pods of the Rollouts that they apply to. It decides about no run.
package indicators

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/wake"
)

// Kinds of guardrails.
const (
	kindGuardrail        = "Guardrail"
	kindClusterGuardrail = "ClusterGuardrail"
)

// Reconciler sets the status of Guardrails and ClusterGuardrails.
type Reconciler struct {
	Client client.Client
	Prober *sources.Prober
	Clock  clock.PassiveClock
	// Every is how often a guardrail's indicators are probed.
	Every time.Duration
	// Workers is how many guardrails of each kind are probed at once. Most of them wait for
	// a source.
	Workers int

	paces paces
}

// subject is a Guardrail or a ClusterGuardrail.
type subject struct {
	kind   string
	object client.Object
	// next is a copy to write; status is the one in it.
	next client.Object
	// spec with what presets fill in.
	spec    v1alpha1.GuardrailSpec
	status  *v1alpha1.GuardrailStatus
	cluster *v1alpha1.ClusterGuardrail
}

// ready is the condition that was written last; the zero value before the first.
func (s *subject) ready() metav1.Condition {
	if c := meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionReady); c != nil && c.ObservedGeneration == s.object.GetGeneration() {
		return *c
	}
	return metav1.Condition{}
}

// wrong are the Rollouts where something was wrong when they were probed last.
func (s *subject) wrong() (rollouts []string) {
	for _, i := range s.status.Indicators {
		for _, name := range i.WrongIn {
			if !slices.Contains(rollouts, name) {
				rollouts = append(rollouts, name)
			}
		}
	}
	return rollouts
}

func (r *Reconciler) read(ctx context.Context, kind string, name types.NamespacedName) (*subject, error) {
	if kind == kindClusterGuardrail {
		g := &v1alpha1.ClusterGuardrail{}
		if err := r.Client.Get(ctx, name, g); err != nil {
			return nil, err
		}
		next := g.DeepCopy()
		return &subject{kind, g, next, presets.Fill(g.Spec.GuardrailSpec), &next.Status, g}, nil
	}
	g := &v1alpha1.Guardrail{}
	if err := r.Client.Get(ctx, name, g); err != nil {
		return nil, err
	}
	next := g.DeepCopy()
	return &subject{kind, g, next, presets.Fill(g.Spec), &next.Status, nil}, nil
}

// Reconcile looks at one guardrail of a kind, Guardrail or ClusterGuardrail.
func (r *Reconciler) Reconcile(ctx context.Context, kind string, name types.NamespacedName) (reconcile.Result, error) {
	s, err := r.read(ctx, kind, name)
	switch {
	case apierrors.IsNotFound(err):
		r.paces.forget(kind, name)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("read the %s: %w", kind, err)
	case s.object.GetDeletionTimestamp() != nil:
		return reconcile.Result{}, nil
	}
	now := r.Clock.Now()
	if mistake := mistakeOf(s.spec); mistake != "" {
		s.set(now, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, mistake+"; no run starts with it")
		s.status.Indicators, s.status.ProbedAt = nil, nil
		s.withoutExclusions()
		return r.write(ctx, s, 0)
	}
	uses, err := r.usesOf(ctx, s, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	if left := r.left(s, uses, now); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	s.status.Rollouts = uses.rollouts
	switch {
	case uses.unreadable != "":
		s.set(now, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, uses.unreadable+": correct the selector; no run starts while it is not known where it applies")
	case len(measuresOf(s.spec)) == 0:
		s.set(now, metav1.ConditionTrue, v1alpha1.ReasonNothingToMeasure, "no slo, invariant or saturation trigger: nothing is measured")
		s.status.Indicators = nil
		s.withoutExclusions()
	case len(uses.stable) == 0:
		s.set(now, metav1.ConditionTrue, v1alpha1.ReasonNoRollouts, "the spec is valid; no Rollout that it applies to has ready stable pods, so nothing has been measured")
		s.status.Indicators = nil
		s.withoutExclusions()
	default:
		r.probe(ctx, s, uses, now)
	}
	s.status.ProbedAt = &metav1.Time{Time: now}
	return r.write(ctx, s, r.after(s, now).Sub(now))
}

// soon is how often a guardrail is probed that has just become not Ready: its pods may
// not have been scraped yet, and whoever made the mistake is still there.
const soon = 30 * time.Second

// after is when a guardrail is probed next: every guardrail has a moment of its own in each
// interval, so that they do not all come together, also after a restart.
func (r *Reconciler) after(s *subject, probed time.Time) time.Time {
	if c := s.ready(); c.Status != metav1.ConditionTrue && probed.Sub(c.LastTransitionTime.Time) < r.Every {
		return probed.Add(soon)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.object.GetUID()))
	at := probed.Truncate(r.Every).Add(time.Duration(h.Sum64() % uint64(r.Every)))
	for at.Sub(probed) < r.Every/4 {
		at = at.Add(r.Every)
	}
	return at
}

// left is the time until the next probe; none after a change, and when the first Rollout
// has come.
func (r *Reconciler) left(s *subject, u uses, now time.Time) time.Duration {
	c := s.ready()
	if s.status.ProbedAt == nil || c.Reason == "" || c.Reason == v1alpha1.ReasonInvalidSpec || c.Reason == v1alpha1.ReasonNoRollouts && len(u.stable) > 0 {
		return 0
	}
	return r.after(s, s.status.ProbedAt.Time).Sub(now)
}

func (s *subject) set(now time.Time, value metav1.ConditionStatus, reason, message string) {
	s.status.ObservedGeneration = s.object.GetGeneration()
	meta.SetStatusCondition(&s.status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: value, Reason: reason, Message: v1alpha1.Bounded(message, 1024),
		ObservedGeneration: s.object.GetGeneration(), LastTransitionTime: metav1.NewTime(now),
	})
}

// write records the status if it has changed.
func (r *Reconciler) write(ctx context.Context, s *subject, again time.Duration) (reconcile.Result, error) {
	if equality.Semantic.DeepEqual(s.object, s.next) {
		return reconcile.Result{RequeueAfter: again}, nil
	}
	patch := client.MergeFromWithOptions(s.object, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, s.next, patch, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return wake.AfterConflict(ctx, "record what the indicators see", client.IgnoreNotFound(err))
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// SetupWithManager registers a controller for each kind. A Rollout whose stable version
// has changed wakes the Guardrails that it names: the first one lets them be measured.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	for kind, object := range map[string]client.Object{kindGuardrail: &v1alpha1.Guardrail{}, kindClusterGuardrail: &v1alpha1.ClusterGuardrail{}} {
		b := ctrl.NewControllerManagedBy(mgr).
			For(object, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
			WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers})
		if kind == kindGuardrail {
			b = b.Watches(&v1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(guardrailsOf), builder.WithPredicates(predicate.Funcs{UpdateFunc: stableChanged}))
		}
		err := b.Complete(reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
			return r.Reconcile(ctx, kind, req.NamespacedName)
		}))
		if err != nil {
			return fmt.Errorf("set up the loop for the status of %s: %w", kind, err)
		}
	}
	return nil
}

func stableChanged(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.Rollout)
	now, both := e.ObjectNew.(*v1alpha1.Rollout)
	return ok && both && (!equality.Semantic.DeepEqual(before.Status.Stable, now.Status.Stable) || before.Generation != now.Generation)
}

func guardrailsOf(_ context.Context, o client.Object) (requests []reconcile.Request) {
	rollout, ok := o.(*v1alpha1.Rollout)
	if !ok {
		return nil
	}
	for _, ref := range rollout.Spec.Guardrails {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: rollout.Namespace, Name: ref.Name}})
	}
	return requests
}
