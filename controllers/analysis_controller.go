package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// AnalysisReconciler asks metric sources about runs in progress and writes
// verdicts into them. It never touches traffic, and the Rollout loop never waits
// for it.
type AnalysisReconciler struct {
	Client  client.Client
	Asker   *Asker
	Breaker *Breaker
	Clock   clock.PassiveClock
	// Workers judge at once, each another run. Most of them wait for an answer that
	// they share.
	Workers int
}

// trial is one look at a run in progress.
type trial struct {
	run        *v1alpha1.RolloutRun
	guardrails []v1alpha1.PinnedGuardrail
	canarySets []string
	stableSet  string
	readyPods  int
	// podCount is how many pods of both sides an answer may be about.
	podCount int
	// stageFrom is when the present weight was acknowledged; zero before.
	stageFrom time.Time
	// weight the candidate has by then, in percent: all of it in a promotion.
	weight int
	now    time.Time
	state  judgeState
}

// judgeState is what a judge goes on from, wherever the last one stopped.
type judgeState struct {
	// Ledgers by question.
	Ledgers map[string]analysis.Ledger `json:"ledgers,omitempty"`
	// Regressions by trigger.
	Regressions map[string]analysis.CombinedState `json:"regressions,omitempty"`
	// Lost counts the times that a state could not be read.
	Lost int `json:"lost,omitempty"`
}

// Reconcile polls once, if it is time, and comes again when it is.
func (r *AnalysisReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	run := &v1alpha1.RolloutRun{}
	if err := r.Client.Get(ctx, req.NamespacedName, run); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	t, err := r.look(ctx, run)
	if err != nil || t == nil {
		return reconcile.Result{}, err
	}
	every := r.pollEvery(ctx, t)
	// Polls come at multiples of the interval, so that runs can share queries.
	slot := t.now.Truncate(every)
	next := slot.Add(every).Sub(t.now)
	if a := run.Status.Analysis; a != nil && a.EvaluatedAt != nil && !a.EvaluatedAt.Time.Before(slot) {
		return reconcile.Result{RequeueAfter: next}, nil
	}
	status, err := r.judge(ctx, t)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := applyRunStatus(ctx, r.Client, run, v1alpha1.RolloutRunStatus{Analysis: status}, AnalysisFieldManager); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	return reconcile.Result{RequeueAfter: max(time.Millisecond, slot.Add(every).Sub(r.Clock.Now()))}, nil
}

// look returns nil when there is nothing to judge: the run has ended, or its
// Rollout is gone or at another run.
func (r *AnalysisReconciler) look(ctx context.Context, run *v1alpha1.RolloutRun) (*trial, error) {
	rollout := &v1alpha1.Rollout{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.Rollout.Name}, rollout)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	onTrial := inRun(rollout.Status.Phase) && rollout.Status.Phase != v1alpha1.PhaseRollingBack
	if !inRun(rollout.Status.Phase) {
		hideTriggers(run.Namespace, rollout.Name)
	}
	if run.Status.Outcome != "" || rollout.Status.Run != run.Name || rollout.UID != run.Spec.Rollout.UID || !onTrial {
		return nil, nil
	}
	t := &trial{run: run, now: r.Clock.Now(), stableSet: run.Spec.Stable.ReplicaSet}
	if start := stageStart(&rollout.Status, time.Time{}); !start.IsZero() {
		t.stageFrom = start
	}
	t.weight = weightOf(&rollout.Status, run)
	current, _, err := bindGuardrails(ctx, r.Client, rollout)
	if err != nil {
		return nil, err
	}
	t.guardrails = inForce(run.Spec.Guardrails, current)
	t.state = restore(run)
	return t, r.lookAtPods(ctx, t)
}

func weightOf(s *v1alpha1.RolloutStatus, run *v1alpha1.RolloutRun) int {
	if s.Phase != v1alpha1.PhaseStepping {
		return 100
	}
	if s.Step == nil || s.Step.AcknowledgedAt == nil || int(s.Step.Index) >= len(run.Spec.Steps) {
		return 0
	}
	return int(run.Spec.Steps[s.Step.Index].Weight)
}

// restore takes up the state where an earlier poll, or an earlier process, left
// it. One that cannot be read is gone: the judge starts anew, and says so to the
// tests that must then ask for more evidence.
func restore(run *v1alpha1.RolloutRun) judgeState {
	var s judgeState
	if a := run.Status.Analysis; a != nil && a.State != nil {
		if err := json.Unmarshal(a.State.Raw, &s); err != nil {
			s = judgeState{Lost: 1}
		}
	}
	if s.Ledgers == nil {
		s.Ledgers = map[string]analysis.Ledger{}
	}
	if s.Regressions == nil {
		s.Regressions = map[string]analysis.CombinedState{}
	}
	return s
}

// lookAtPods finds every ReplicaSet that runs the candidate: the canary, and
// during promotion and bake the Deployment's own.
func (r *AnalysisReconciler) lookAtPods(ctx context.Context, t *trial) error {
	sets, pods := &appsv1.ReplicaSetList{}, &corev1.PodList{}
	if err := r.Client.List(ctx, sets, client.InNamespace(t.run.Namespace)); err != nil {
		return fmt.Errorf("list the ReplicaSets: %w", err)
	}
	if err := r.Client.List(ctx, pods, client.InNamespace(t.run.Namespace)); err != nil {
		return fmt.Errorf("list the pods: %w", err)
	}
	canary := workload.CanaryName(t.run.Spec.Workload, t.run.Spec.Revision)
	for i := range sets.Items {
		set := &sets.Items[i]
		if set.Name == t.stableSet {
			t.podCount += len(workload.OwnedBy(pods.Items, set))
		}
		if set.Name != canary && !runsCandidate(set, t.run) {
			continue
		}
		t.canarySets = append(t.canarySets, set.Name)
		owned := workload.OwnedBy(pods.Items, set)
		t.podCount += len(owned)
		t.readyPods += len(workload.ReadyPods(owned))
	}
	return nil
}

func runsCandidate(set *appsv1.ReplicaSet, run *v1alpha1.RolloutRun) bool {
	owner := metav1.GetControllerOf(set)
	if owner == nil || owner.Kind != "Deployment" || owner.Name != run.Spec.Workload {
		return false
	}
	revision, err := workload.RevisionOf(set.Spec.Template)
	return err == nil && revision == run.Spec.Revision
}

// fastestPoll and slowestPoll bound how often a run is judged.
const (
	fastestPoll = time.Second
	slowestPoll = 15 * time.Second
)

// pollEvery is the shortest scrape interval of the sources in use: asking more
// often sees nothing new.
func (r *AnalysisReconciler) pollEvery(ctx context.Context, t *trial) time.Duration {
	every := slowestPoll
	for _, g := range t.guardrails {
		source := &v1alpha1.MetricSource{}
		if err := r.Client.Get(ctx, types.NamespacedName{Name: g.Spec.Source}, source); err == nil {
			every = min(every, source.Spec.ScrapeInterval.Duration)
		}
	}
	return max(every, fastestPoll)
}

// encode stores the state in a run's status.
func (t *trial) encode() (*runtime.RawExtension, error) {
	raw, err := json.Marshal(t.state)
	if err != nil {
		return nil, fmt.Errorf("encode the judge's state: %w", err)
	}
	return &runtime.RawExtension{Raw: raw}, nil
}

// SetupWithManager registers the reconciler and what wakes it.
func (r *AnalysisReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("analysis").
		For(&v1alpha1.RolloutRun{}).
		Watches(&v1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			rollout, ok := o.(*v1alpha1.Rollout)
			if !ok || rollout.Status.Run == "" {
				return nil
			}
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: rollout.Namespace, Name: rollout.Status.Run}}}
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}
