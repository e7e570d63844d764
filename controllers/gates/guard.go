package gates

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/wake"
)

const (
	// retryAfter is when a check that proved nothing is made again.
	retryAfter = 5 * time.Second
	// settlingTime is how long after the workload got its label a guard that does not
	// answer yet is waited for: the API server reads new policies when it gets to it.
	settlingTime = 30 * time.Second
)

// Guard proves for every Rollout that a pushed template would wait. It does so
// by dry-runs in its own workers, keeps the newest answer of each in memory, and
// wakes the Rollout loop when one changes.
type Guard struct {
	// Client reads Rollouts and their workloads, with the indexes of package wake.
	Client client.Reader
	// Probe makes the dry-runs: as an identity that nothing exempts from the guard.
	Probe client.Client
	Clock clock.PassiveClock
	// Stands is how long a proof stands before it is renewed. One that could not be
	// renewed counts for as long again.
	Stands time.Duration
	// Workers make dry-runs at once, each for another Rollout.
	Workers int
	// Limit bounds the dry-runs per second that the API server has to admit; nil
	// bounds nothing.
	Limit flowcontrol.RateLimiter

	mu      sync.Mutex
	answers map[types.NamespacedName]answer
	// wakes is the queue of the loop that reads the answers.
	wakes workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// answer is what is known of one Rollout's guard.
type answer struct {
	uid types.UID
	// workload that was checked; another one of its name is checked anew.
	workload types.UID
	// labelled is when the workload was first seen with the Rollout's label; zero
	// while it has none.
	labelled time.Time
	// proven is when the guard was last seen to hold; zero when it never was.
	provenAt time.Time
	// due is when the guard is checked anew; zero when an event asks for it.
	due  time.Time
	gate plan.Gate
}

// Last returns the newest answer for a Rollout without a new look. After a restart,
// until the first look, that is the one in the Rollout's status. It never waits.
func (g *Guard) Last(rollout *v1alpha1.Rollout) plan.Gate {
	g.mu.Lock()
	known, ok := g.answers[client.ObjectKeyFromObject(rollout)]
	g.mu.Unlock()
	if !ok || known.uid != rollout.UID {
		return guardOfStatus(rollout)
	}
	gate := known.gate
	if gate.Outcome == plan.Open && g.Clock.Since(known.provenAt) > 2*g.Stands {
		gate.Outcome, gate.Reason = plan.Unknown, v1alpha1.ReasonGuardUnproven
		gate.Message = fmt.Sprintf("the guard was last proven at %s, and a new dry-run still waits for others: admission webhooks for %ss "+
			"are slow or hang: kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations", known.provenAt.UTC().Format(time.RFC3339), kindOf(rollout).name)
	}
	return gate
}

// Reconcile checks the guard of one Rollout if it is time, and says when it is
// due again.
func (g *Guard) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rollout := &v1alpha1.Rollout{}
	err := g.Client.Get(ctx, req.NamespacedName, rollout)
	if apierrors.IsNotFound(err) || err == nil && rollout.DeletionTimestamp != nil {
		g.mu.Lock()
		delete(g.answers, req.NamespacedName)
		g.mu.Unlock()
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("read the Rollout: %w", err)
	}
	k := kindOf(rollout)
	workload := k.empty()
	err = g.Client.Get(ctx, types.NamespacedName{Namespace: rollout.Namespace, Name: rollout.Spec.WorkloadRef.Name}, workload)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("read the %s: %w", k.name, err)
	}
	if err != nil {
		workload = nil
	}
	next, err := g.look(ctx, rollout, k, workload)
	if err != nil {
		return reconcile.Result{}, err
	}
	g.keep(rollout, next)
	if next.due.IsZero() {
		return reconcile.Result{}, nil
	}
	now, priority := g.Clock.Now(), wake.Idle
	if next.settling(now) {
		// Somebody waits for the first proof; a renewal comes after those.
		priority = wake.Normal
	}
	return reconcile.Result{RequeueAfter: max(next.due.Sub(now), time.Millisecond), Priority: &priority}, nil
}

// settling reports whether the guard is so new that the API server may not
// enforce it yet: nothing has ever been found out about it.
func (a answer) settling(now time.Time) bool {
	return a.gate.Outcome != plan.Open && a.gate.Outcome != plan.Closed && now.Sub(a.labelled) < settlingTime
}

// look returns what is known of a guard now, with a dry-run when that is due. The workload
// is nil when there is none.
func (g *Guard) look(ctx context.Context, rollout *v1alpha1.Rollout, k *kind, workload client.Object) (answer, error) {
	name := rollout.Spec.WorkloadRef.Name
	next := answer{uid: rollout.UID}
	if workload == nil {
		next.gate = unknown("%s %s does not exist: create it, or delete the Rollout", k.name, name)
		return next, nil
	}
	switch label := workload.GetLabels()[v1alpha1.LabelRollout]; label {
	case rollout.Name:
	case "":
		next.gate = unknown("the %s is not labelled yet: the guard holds %s %s from when Belay sets its label %s", k.name, k.name, name, v1alpha1.LabelRollout)
		return next, nil
	default:
		next.gate = unknown("%s %s is labelled for another Rollout, %q: delete one of the two", k.name, name, label)
		return next, nil
	}
	now := g.Clock.Now()
	g.mu.Lock()
	last, ok := g.answers[client.ObjectKeyFromObject(rollout)]
	g.mu.Unlock()
	if !ok || last.uid != rollout.UID || last.workload != workload.GetUID() || last.labelled.IsZero() {
		last = answer{uid: rollout.UID, workload: workload.GetUID(), labelled: now}
		if before := guardOfStatus(rollout); before.Outcome != plan.Unknown {
			// The controller was restarted: a guard that was judged before is not new.
			last.gate, last.provenAt = before, now.Add(-g.Stands)
		}
	}
	if now.Before(last.due) {
		return last, nil
	}
	if g.Limit != nil {
		if err := g.Limit.Wait(ctx); err != nil {
			return answer{}, fmt.Errorf("wait for the limit of dry-runs: %w", err)
		}
	}
	found, message := k.probe(ctx, g.Probe, client.ObjectKeyFromObject(workload), g.Clock.Now())
	return last.after(found, message, g.Clock.Now(), g.Stands), nil
}

// after is what is known after a dry-run.
func (a answer) after(found finding, message string, now time.Time, stands time.Duration) answer {
	gate := unknown("%s", message)
	a.due = now.Add(retryAfter)
	switch {
	case found == proven:
		gate.Outcome, gate.Reason = plan.Open, v1alpha1.ReasonGuardProven
		a.provenAt, a.due = now, now.Add(stands)
	case found == missing && a.settling(now):
		gate.Message = "waiting for the API server to enforce the guard: a new policy or label takes some seconds"
	case found == missing:
		gate.Outcome, gate.Reason = plan.Closed, v1alpha1.ReasonGuardMissing
	case a.gate.Outcome == plan.Open && now.Sub(a.provenAt) <= 2*stands:
		// Nothing speaks against the last proof.
		gate.Outcome, gate.Reason, gate.Message = plan.Open, a.gate.Reason, a.gate.Message
	}
	a.gate = gate
	return a
}

func unknown(format string, args ...any) plan.Gate {
	return plan.Gate{Name: plan.GateGuard, Outcome: plan.Unknown, Reason: v1alpha1.ReasonGuardUnproven, Message: v1alpha1.Bounded(fmt.Sprintf(format, args...), 512)}
}

// keep stores an answer, and wakes the Rollout when it says something new.
func (g *Guard) keep(rollout *v1alpha1.Rollout, next answer) {
	key := client.ObjectKeyFromObject(rollout)
	g.mu.Lock()
	last, ok := g.answers[key]
	if g.answers == nil {
		g.answers = map[types.NamespacedName]answer{}
	}
	g.answers[key] = next
	queue := g.wakes
	g.mu.Unlock()
	if queue != nil && (!ok || last.gate != next.gate) {
		wake.Enqueue(queue, rollout, true)
	}
}

// Changes wakes a loop for every Rollout whose answer has changed. It takes one
// loop, as a source of its controller (builder.WatchesRawSource).
func (g *Guard) Changes() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.wakes = q
		return nil
	})
}

// SetupWithManager registers the reconciler and what wakes it: a Rollout that is
// new or deleted, and a workload whose identity or label changed.
func (g *Guard) SetupWithManager(mgr ctrl.Manager) error {
	labelled := builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() || e.ObjectOld.GetLabels()[v1alpha1.LabelRollout] != e.ObjectNew.GetLabels()[v1alpha1.LabelRollout]
	}})
	return ctrl.NewControllerManagedBy(mgr).
		Named("guard").
		Watches(&v1alpha1.Rollout{}, wake.Self(), builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() || (e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
		}})).
		Watches(deployments.empty(), wake.RolloutsByWorkload(g.Client), labelled).
		Watches(statefulSets.empty(), wake.RolloutsByWorkload(g.Client), labelled).
		WithOptions(controller.Options{MaxConcurrentReconciles: g.Workers}).
		Complete(g)
}
