// Package judge has two loops: one queries metric sources for runs in progress and
// writes verdicts into them, the other checks before a run whether the service has
// enough error budget. Neither changes traffic, and the Rollout loop does not wait for
// them.
package judge

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

// Reconciler queries metric sources for runs in progress and writes verdicts into
// them.
type Reconciler struct {
	Client  client.Client
	Querier *sources.Querier
	// Prober asks once in a run whether the guardrails' selectors can match.
	Prober  *sources.Prober
	Breaker *sources.Breaker
	Clock   clock.PassiveClock
	// Workers is how many runs are judged at once. Most workers wait for a response
	// that several runs share.
	Workers int

	mu       sync.Mutex
	memories map[types.NamespacedName]*memory
}

// evaluation is one poll of a run in progress.
type evaluation struct {
	run        *v1alpha1.RolloutRun
	guardrails []v1alpha1.PinnedGuardrail
	// canarySets and stableSet are names of ReplicaSets, or of a StatefulSet's
	// ControllerRevisions.
	canarySets []string
	stableSet  string
	// services tell the versions apart for a gateway, stable's first; none without
	// spec.traffic.
	services []string
	// readyPods and stablePods are how many pods of the candidate and of stable are ready.
	readyPods, stablePods int
	// podCount is how many pods of both versions a response may be about.
	podCount int
	// probes are how many requests a second the kubelet sends to a pod of the candidate, by
	// probe.
	probes []float64
	// pods of both versions that the API server lists, by name.
	pods map[string]podState
	// stageFrom is when the present weight was acknowledged; zero before.
	stageFrom time.Time
	// weight of the candidate, in percent; 100 in a promotion, and 0 while testers or copies
	// reach it, whatever share of the others it has: then nothing is concluded from its share.
	weight int
	now    time.Time
	// every is the time between polls. waiting has the queries that were sent before and
	// have no response yet.
	every   time.Duration
	waiting map[string]sent
	// queries are kept from poll to poll, by their keys.
	queries map[string]cachedQuery
	// sights are what is known of the queries' selectors, by their keys.
	sights map[string]*sighting
	// before is the previous evaluation, and state the judge's state after it.
	before *v1alpha1.AnalysisStatus
	state  judgeState
}

// Reconcile polls once, if it is time, and requeues the run for the next poll.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	run := &v1alpha1.RolloutRun{}
	if err := r.Client.Get(ctx, req.NamespacedName, run); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	t, err := r.look(ctx, run)
	if err != nil {
		return reconcile.Result{}, err
	}
	if t == nil {
		r.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	m := r.recall(run, t.now)
	every := r.pollEvery(ctx, t)
	// Polls come at multiples of the interval, so that runs can share queries.
	slot := t.now.Truncate(every)
	if evaluatedAt(m.newest).Before(slot) || v1alpha1.IsFuture(evaluatedAt(m.newest), t.now) {
		t.before, t.state, t.every, t.waiting, t.queries, t.sights = m.newest, m.state, every, m.waiting, m.queries, m.sights
		m.newest = r.judge(ctx, t)
		m.state, m.waiting = t.state, t.waiting
		m.shown.show(run, m.newest.Triggers)
	}
	if isNews(m.written, m.newest) {
		if err := r.write(ctx, run, m); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
	}
	return reconcile.Result{RequeueAfter: max(time.Millisecond, slot.Add(every).Sub(r.Clock.Now()))}, nil
}

// look returns nil when there is nothing to judge.
func (r *Reconciler) look(ctx context.Context, run *v1alpha1.RolloutRun) (*evaluation, error) {
	rollout, inForce, err := guardrails.InProgress(ctx, r.Client, run)
	if err != nil || rollout == nil {
		return nil, err
	}
	t := &evaluation{run: run, guardrails: inForce, now: r.Clock.Now(), stableSet: run.Spec.Stable.ReplicaSet, services: servicesOf(rollout), probes: probesOf(run)}
	t.stageFrom = rollout.Status.StageStart(time.Time{})
	if v1alpha1.IsFuture(t.stageFrom, t.now) {
		// The clock was set back. Otherwise no response would be from this stage.
		t.stageFrom = t.now
	}
	t.weight = weightOf(&rollout.Status, run)
	return t, r.lookAtPods(ctx, t)
}

func weightOf(s *v1alpha1.RolloutStatus, run *v1alpha1.RolloutRun) int {
	if s.Phase != v1alpha1.PhaseStepping {
		return 100
	}
	if s.Step == nil || s.Step.AcknowledgedAt == nil || int(s.Step.Index) >= len(run.Spec.Steps) {
		return 0
	}
	step := run.Spec.Steps[s.Step.Index]
	if step.Match != nil {
		// Nobody knows how many requests the testers send.
		return 0
	}
	return int(step.Weight)
}

// runsCandidate reports whether a set is the canary, which has a label of the run, or,
// in a native promotion, the Deployment's own set with the candidate's template.
func runsCandidate(set *unstructured.Unstructured, run *v1alpha1.RolloutRun) bool {
	if set.GetLabels()[v1alpha1.LabelRun] == v1alpha1.RunLabel(run.Name) {
		return true
	}
	return runsForWorkload(set, run, run.Spec.Revision)
}

// runsForWorkload reports whether a set is the Deployment's own, runs the revision
// and has pods or is to have some.
func runsForWorkload(set *unstructured.Unstructured, run *v1alpha1.RolloutRun, revision string) bool {
	owner := metav1.GetControllerOfNoCopy(set)
	if owner == nil || owner.Kind != "Deployment" || owner.Name != run.Spec.Workload {
		return false
	}
	read, err := workload.ReadSet(set)
	return err == nil && read.Revision == revision && (read.Desired > 0 || read.Pods > 0)
}

// fastestPoll and slowestPoll bound how often a run is judged.
const (
	fastestPoll = time.Second
	slowestPoll = 15 * time.Second
)

// pollEvery is the shortest scrape interval of the sources in use: polling more often
// would return the same samples.
func (r *Reconciler) pollEvery(ctx context.Context, t *evaluation) time.Duration {
	every := slowestPoll
	for _, g := range t.guardrails {
		source := &v1alpha1.MetricSource{}
		if err := r.Client.Get(ctx, types.NamespacedName{Name: g.Spec.Source}, source); err == nil {
			every = min(every, source.Interval())
		}
	}
	return max(every, fastestPoll)
}

// SetupWithManager registers the reconciler and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("analysis").
		For(&v1alpha1.RolloutRun{}).
		Watches(&v1alpha1.Rollout{}, wake.RunOfRollout()).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}
