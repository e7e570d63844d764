// Package checks is the loop that carries out check triggers for runs in progress: it
// creates Jobs, calls CheckEndpoints, and records each attempt and its outcome in the run.
// It touches no traffic and decides nothing, and the Rollout loop does not wait for it.
//
// An attempt has a key, which depends on the run, the trigger, the step and the number of
// the attempt. The name of a Job is derived from it and endpoints receive it, so that an
// attempt that a crash interrupted is continued and not made twice.
package checks

import (
	"context"
	"errors"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/runs"
	"belay.dev/belay/controllers/wake"
)

// Reconciler carries out the checks of runs in progress.
type Reconciler struct {
	// Client reads from a cache.
	Client client.Client
	// Live reads past the cache: CronJobs, the pods of a Job that ended, and Secrets, which
	// are not kept.
	Live client.Reader
	// Namespace is Belay's own, with the Secrets of CheckEndpoints.
	Namespace string
	Clock     clock.PassiveClock
	// Workers is how many runs are reconciled at once. Requests to endpoints take none.
	Workers int

	calls calls
}

// round is one look at a run in progress, and what to write and do after it.
type round struct {
	run        *v1alpha1.RolloutRun
	guardrails []v1alpha1.PinnedGuardrail
	// stage is the present one, as RolloutStatus.CheckStage numbers them, and acknowledged
	// whether its weight was.
	stage        int32
	acknowledged bool
	now          time.Time
	// changed is set when the run's checks are to be recorded.
	changed bool
	// after is done once they are. reserved are the keys of the requests that it sends.
	after    []func(context.Context) error
	reserved []string
	// next is when to look again; zero for never.
	next time.Time
}

// Reconcile continues the attempts of a run, starts those that are due, and records them.
// An error of one attempt is returned after the others are recorded and sent: it must not
// keep back the Fail of another check.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	run := &v1alpha1.RolloutRun{}
	if err := r.Client.Get(ctx, req.NamespacedName, run); err != nil {
		if apierrors.IsNotFound(err) {
			// Its Jobs are collected with it.
			r.calls.cancelRun(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	l, err := r.look(ctx, run)
	if err != nil {
		return reconcile.Result{}, err
	}
	if l == nil {
		r.calls.cancelRun(req.NamespacedName)
		return reconcile.Result{}, r.deleteJobs(ctx, run)
	}
	failed := r.continueAttempts(ctx, l)
	r.startAttempts(ctx, l)
	if l.changed {
		// With the version, so that an attempt is not recorded by what the cache had before
		// the last write.
		err := runs.ApplyStatus(ctx, r.Client, run, run.ResourceVersion, v1alpha1.RolloutRunStatus{Checks: l.run.Status.Checks}, v1alpha1.ChecksFieldManager)
		if err != nil {
			r.calls.forget(l.reserved...)
			result, err := wake.AfterConflict(ctx, "record", err)
			if err != nil {
				err = errors.Join(failed, err)
			}
			return result, err
		}
	}
	for _, do := range l.after {
		failed = errors.Join(failed, do(ctx))
	}
	if failed != nil || l.next.IsZero() {
		return reconcile.Result{}, failed
	}
	return reconcile.Result{RequeueAfter: max(time.Millisecond, l.next.Sub(r.Clock.Now()))}, nil
}

// look returns nil when there is nothing to check.
func (r *Reconciler) look(ctx context.Context, run *v1alpha1.RolloutRun) (*round, error) {
	rollout, inForce, err := guardrails.InProgress(ctx, r.Client, run)
	if err != nil || rollout == nil {
		return nil, err
	}
	l := &round{run: run.DeepCopy(), now: r.Clock.Now(), guardrails: inForce}
	l.stage, l.acknowledged = rollout.Status.CheckStage(len(run.Spec.Steps))
	return l, nil
}

// continueAttempts looks for the outcomes of the attempts that have none, also of former
// steps, and tries again to start those that have not started. One that cannot be read stays
// without an outcome, and its error is returned with those of others.
func (r *Reconciler) continueAttempts(ctx context.Context, l *round) error {
	l.dropUnstarted()
	var failed error
	for i := range l.run.Status.Checks {
		// A copy, because what is done after the record must not see the list change.
		c := l.run.Status.Checks[i]
		t := l.triggerOf(&c)
		if c.Outcome != "" || t == nil {
			continue
		}
		end, err := r.advance(ctx, attempt{round: l, status: &c, check: t.Check, key: keyOf(l.run, &c)})
		failed = errors.Join(failed, err)
		if end != nil {
			end.record(&c, l.now)
		}
		if !equality.Semantic.DeepEqual(c, l.run.Status.Checks[i]) {
			l.run.Status.Checks[i], l.changed = c, true
		}
	}
	return failed
}

// advance returns the outcome of an attempt; nil while it has none.
func (r *Reconciler) advance(ctx context.Context, a attempt) (*outcome, error) {
	switch {
	case !a.status.Started():
		return r.start(ctx, a), nil
	case a.status.Job != "":
		return r.continueJob(ctx, a)
	default:
		return r.continueCall(ctx, a), nil
	}
}

// dropUnstarted removes the attempts that have not started in their own stage: in this one
// the check begins anew.
func (l *round) dropUnstarted() {
	before := len(l.run.Status.Checks)
	l.run.Status.Checks = slices.DeleteFunc(l.run.Status.Checks, func(c v1alpha1.CheckStatus) bool {
		return c.Outcome == "" && !c.Started() && c.Step != l.stage
	})
	l.changed = l.changed || len(l.run.Status.Checks) < before
}

func (l *round) triggerOf(c *v1alpha1.CheckStatus) *v1alpha1.Trigger {
	for _, g := range l.guardrails {
		for i := range g.Spec.Triggers {
			if t := &g.Spec.Triggers[i]; t.Check != nil && c.Is(g.Kind, g.Name, t.Name) {
				return t
			}
		}
	}
	return nil
}

// startAttempts starts the first attempt of each check in this stage, and another one after
// an Inconclusive one, as long as retries allow it.
func (r *Reconciler) startAttempts(ctx context.Context, l *round) {
	if !l.acknowledged {
		return
	}
	for _, g := range l.guardrails {
		for _, t := range g.Spec.Triggers {
			if t.Check == nil {
				continue
			}
			c, due := l.dueAttempt(g, t)
			if !due || !l.makeRoom() {
				continue
			}
			if end := r.start(ctx, attempt{round: l, status: &c, check: t.Check, key: keyOf(l.run, &c)}); end != nil {
				end.record(&c, l.now)
			}
			l.run.Status.Checks = append(l.run.Status.Checks, c)
			l.changed = true
		}
	}
}

// dueAttempt is the next attempt of a check in this stage, and whether it is to start now.
func (l *round) dueAttempt(g v1alpha1.PinnedGuardrail, t v1alpha1.Trigger) (v1alpha1.CheckStatus, bool) {
	next := v1alpha1.CheckStatus{Kind: g.Kind, Guardrail: g.Name, Trigger: t.Name, Step: l.stage, Attempt: 1, StartedAt: metav1.NewTime(l.now)}
	last := l.run.Status.Check(g.Kind, g.Name, t, l.stage)
	if last == nil {
		return next, true
	}
	if last.Outcome != v1alpha1.VerdictInconclusive || last.Attempt >= t.Check.Attempts() || last.FinishedAt == nil {
		return next, false
	}
	next.Attempt = last.Attempt + 1
	due := last.FinishedAt.Add(retryAfter(last.Attempt))
	if v1alpha1.IsFuture(last.FinishedAt.Time, l.now) {
		// The clock was set back.
		due = l.now
	}
	if due.After(l.now) {
		l.lookAt(due)
		return next, false
	}
	return next, true
}

// retryAfter is how long to wait after an Inconclusive attempt: 10 s, then twice as long each
// time, and at most 5 minutes.
func retryAfter(attempt int32) time.Duration {
	return min(10*time.Second<<min(attempt-1, 5), 5*time.Minute)
}

// makeRoom removes the oldest attempt that counts no more when the list is full, and
// reports whether there is room for another one.
func (l *round) makeRoom() bool {
	all := l.run.Status.Checks
	if len(all) < v1alpha1.MaxChecks {
		return true
	}
	for i := range all {
		c := &all[i]
		newer := slices.ContainsFunc(all[i+1:], func(n v1alpha1.CheckStatus) bool { return n.Is(c.Kind, c.Guardrail, c.Trigger) })
		if newer && c.Outcome != "" && c.Outcome != v1alpha1.VerdictFail {
			l.run.Status.Checks = slices.Delete(all, i, i+1)
			return true
		}
	}
	return false
}

func (l *round) lookAt(at time.Time) {
	if l.next.IsZero() || at.Before(l.next) {
		l.next = at
	}
}

// backOff is how soon a run is looked at again after an error. While an attempt has one, the
// queue drops the times at which others are due: they are late by at most longestBackOff.
func backOff() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, longestBackOff)
}

const longestBackOff = 5 * time.Second

// SetupWithManager registers the reconciler and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("checks").
		For(&v1alpha1.RolloutRun{}).
		Owns(&batchv1.Job{}).
		Watches(&v1alpha1.Rollout{}, wake.RunOfRollout()).
		WatchesRawSource(source.Channel(r.calls.ended(), &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers, RateLimiter: backOff()}).
		Complete(r)
}
