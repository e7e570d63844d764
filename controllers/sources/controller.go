package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/wake"
)

// Reconciler sets on each MetricSource whether it responds.
type Reconciler struct {
	Client  client.Client
	Sources *Clients
	Breaker *Breaker
	Events  events.EventRecorder
	Clock   clock.PassiveClock
	// Every is how often a source is checked.
	Every time.Duration
	// Workers is how many sources are checked at once: a slow one delays no other.
	Workers int
}

// Reconcile reads a source's version and records whether that worked.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	source := &v1alpha1.MetricSource{}
	err := r.Client.Get(ctx, req.NamespacedName, source)
	if apierrors.IsNotFound(err) {
		r.Sources.Forget(req.Name)
		r.Breaker.Forget(req.Name)
		outages.DeleteLabelValues(req.Name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("read the MetricSource: %w", err)
	}
	next := source.DeepCopy()
	next.Status.ObservedGeneration = source.Generation
	version, err := r.version(ctx, source)
	value, reason, message := metav1.ConditionTrue, v1alpha1.ReasonAnswered, "the source responded with its version"
	if err != nil {
		value, reason, message = metav1.ConditionFalse, unreachableReason(err), v1alpha1.Bounded(err.Error(), 512)
	} else {
		next.Status.ServerVersion = version
	}
	r.setInterval(ctx, next, err == nil)
	for _, kind := range []string{v1alpha1.ConditionReachable, v1alpha1.ConditionReady} {
		meta.SetStatusCondition(&next.Status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: message,
			ObservedGeneration: source.Generation, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
		})
	}
	flipped := r.setOutage(next)
	if equality.Semantic.DeepEqual(source.Status, next.Status) {
		return reconcile.Result{RequeueAfter: r.Every}, nil
	}
	patch := client.MergeFromWithOptions(source, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return wake.AfterConflict(ctx, "record whether the source responds", err)
	}
	if c := meta.FindStatusCondition(next.Status.Conditions, v1alpha1.ConditionOutage); flipped && c.Status == metav1.ConditionTrue {
		r.Events.Eventf(next, nil, corev1.EventTypeWarning, c.Reason, "Hold", "%s", c.Message)
	}
	return reconcile.Result{RequeueAfter: r.Every}, nil
}

// countEvery is how often the samples of a source are counted.
const countEvery = 15 * time.Minute

// countAgain is how often where they could not be counted: pods may be there soon.
const countAgain = time.Minute

// setInterval records the scrape interval to use. One that was derived stays while the
// source cannot be asked.
func (r *Reconciler) setInterval(ctx context.Context, source *v1alpha1.MetricSource, responds bool) {
	now, known := metav1.NewTime(r.Clock.Now()), source.Status.ScrapeInterval
	if given := source.Spec.ScrapeInterval; given.Duration > 0 {
		source.Status.ScrapeInterval = &v1alpha1.ScrapeIntervalStatus{Interval: given, From: v1alpha1.IntervalFromSpec}
		return
	}
	if known == nil || known.From == v1alpha1.IntervalFromSpec {
		known = &v1alpha1.ScrapeIntervalStatus{Interval: metav1.Duration{Duration: v1alpha1.DefaultScrapeInterval}, From: v1alpha1.IntervalFromDefault}
		source.Status.ScrapeInterval = known
	}
	every := countEvery
	if known.From == v1alpha1.IntervalFromDefault {
		every = countAgain
	}
	if last := known.CheckedAt; !responds || last != nil && v1alpha1.IsCurrent(last.Time, now.Time, every) {
		return
	}
	c, err := r.Sources.Client(ctx, source, now.Time)
	if err != nil {
		return
	}
	derived, err := c.Interval(ctx, r.Clock.Now)
	CountQuery(err)
	if err != nil {
		known.CheckedAt = &now
		return
	}
	known = &v1alpha1.ScrapeIntervalStatus{Interval: metav1.Duration{Duration: derived}, From: v1alpha1.IntervalFromSamples, CheckedAt: &now}
	if derived == 0 {
		known.Interval.Duration, known.From = v1alpha1.DefaultScrapeInterval, v1alpha1.IntervalFromDefault
	}
	source.Status.ScrapeInterval = known
}

// setOutage sets the condition Outage from the breaker, and reports whether its status
// changed. The message of an outage keeps the numbers of its beginning, so that the
// status is not written at every change of a number. An outage that an earlier process
// found goes on until the breaker of this one has reports of every run.
func (r *Reconciler) setOutage(source *v1alpha1.MetricSource) (flipped bool) {
	now := r.Clock.Now()
	blind, runs := r.Breaker.Blind(source.Name, now)
	c := metav1.Condition{
		Type: v1alpha1.ConditionOutage, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNoOutage,
		Message: noOutage, ObservedGeneration: source.Generation, LastTransitionTime: metav1.NewTime(now),
	}
	before := meta.FindStatusCondition(source.Status.Conditions, v1alpha1.ConditionOutage)
	goesOn := before != nil && before.Status == metav1.ConditionTrue && !r.Breaker.Knows(source.Name, now)
	if isOutage(blind, runs) || goesOn {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonManyRunsBlind, outageMessage(blind, runs)
	}
	flipped = before == nil || before.Status != c.Status
	if !flipped {
		c.Message = before.Message
	}
	meta.SetStatusCondition(&source.Status.Conditions, c)
	outages.WithLabelValues(source.Name).Set(map[metav1.ConditionStatus]float64{metav1.ConditionTrue: 1}[c.Status])
	return flipped
}

func (r *Reconciler) version(ctx context.Context, source *v1alpha1.MetricSource) (string, error) {
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
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.MetricSource{}).
		WatchesRawSource(source.Channel(r.Breaker.Changed, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}
