package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/workload"
)

// world is one look at the cluster: the planner's input, and the objects that
// recording and acting start from.
type world struct {
	rollout    *v1alpha1.Rollout
	deployment *appsv1.Deployment
	service    *corev1.Service
	canary     *appsv1.ReplicaSet
	stable     *appsv1.ReplicaSet
	run        *v1alpha1.RolloutRun
	runs       []v1alpha1.RolloutRun
	guardrails []v1alpha1.PinnedGuardrail
	// canaryPods are the canary's; judgedPods add the Deployment's own pods of the
	// candidate while a promotion or a bake runs.
	canaryPods []corev1.Pod
	judgedPods []corev1.Pod
	target     traffic.Target
	routeOwner string
	// owed is set when the run's record could not be written.
	owed     bool
	verdicts []v1alpha1.VerdictStatus
	guardDue time.Duration
	input    plan.Input
}

// observe makes every read of a reconcile, and judges nothing.
func (r *RolloutReconciler) observe(ctx context.Context, rollout *v1alpha1.Rollout) (*world, error) {
	w := &world{rollout: rollout, target: targetOf(rollout)}
	w.input = plan.Input{
		Now: r.Clock.Now(), Watchdog: r.Watchdog, ReleaseTimeout: r.ReleaseTimeout,
		Name: rollout.Name, Spec: *rollout.Spec.DeepCopy(), Status: *rollout.Status.DeepCopy(),
		FinalizerMissing: !hasFinalizer(rollout), Action: pendingAction(rollout),
	}
	if rollout.DeletionTimestamp != nil {
		w.input.Deleting = &rollout.DeletionTimestamp.Time
	}
	looks := []func(context.Context, *world) error{
		r.observeWorkload, r.observeRuns, r.observeRoute, r.observeGuardrails, r.observeVerdicts, r.observeGuard,
	}
	for _, look := range looks {
		if err := look(ctx, w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (r *RolloutReconciler) observeWorkload(ctx context.Context, w *world) error {
	d := &appsv1.Deployment{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.rollout.Spec.WorkloadRef.Name}, d)
	if apierrors.IsNotFound(err) {
		return r.observeOrphanCanary(ctx, w)
	}
	if err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	w.deployment = d
	declared, err := workload.Describe(d.Spec.Template)
	if err != nil {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return fmt.Errorf("read the Deployment's selector: %w", err)
	}
	scope := []client.ListOption{client.InNamespace(d.Namespace), client.MatchingLabelsSelector{Selector: selector}}
	sets, pods := &appsv1.ReplicaSetList{}, &corev1.PodList{}
	if err := errors.Join(r.Client.List(ctx, sets, scope...), r.Client.List(ctx, pods, scope...)); err != nil {
		return fmt.Errorf("list the Deployment's ReplicaSets and pods: %w", err)
	}
	w.input.Workload = plan.Workload{
		Found: true, Declared: declared, Paused: d.Spec.Paused, Replicas: workload.Replicas(d), Settled: workload.Settled(d),
	}
	w.readCanaryPods(pods.Items)
	return w.readSets(sets.Items, pods.Items)
}

// readCanaryPods finds the candidate's pods by their labels: its ReplicaSet may be
// gone before them.
func (w *world) readCanaryPods(pods []corev1.Pod) {
	candidate := w.rollout.Status.Candidate
	if candidate == nil {
		return
	}
	for i := range pods {
		labels := pods[i].Labels
		if labels[v1alpha1.LabelRole] == v1alpha1.RoleCanary && labels[v1alpha1.LabelRevision] == candidate.Revision {
			w.canaryPods = append(w.canaryPods, pods[i])
		}
	}
	w.judgedPods = append(w.judgedPods, w.canaryPods...)
	w.input.Canary.Pods = int32(len(workload.Staying(w.canaryPods)))
}

// observeOrphanCanary looks for a canary whose Deployment is gone.
func (r *RolloutReconciler) observeOrphanCanary(ctx context.Context, w *world) error {
	if w.rollout.Status.Candidate == nil {
		return nil
	}
	set := &appsv1.ReplicaSet{}
	name := workload.CanaryName(w.rollout.Spec.WorkloadRef.Name, w.rollout.Status.Candidate.Revision)
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: w.rollout.Namespace, Name: name}, set)
	if err == nil && metav1.IsControlledBy(set, w.rollout) {
		w.canary = set
		w.input.Canary.Exists = true
	}
	return client.IgnoreNotFound(err)
}

func (w *world) readSets(sets []appsv1.ReplicaSet, pods []corev1.Pod) error {
	active := 0
	for i := range sets {
		set := &sets[i]
		revision, err := workload.Describe(set.Spec.Template)
		if err != nil {
			return err
		}
		owned := workload.OwnedBy(pods, set)
		switch {
		case metav1.IsControlledBy(set, w.rollout):
			w.readCanary(set, revision.Revision)
		case metav1.IsControlledBy(set, w.deployment):
			active += w.readDeploymentSet(set, revision, owned)
		}
	}
	if active != 1 {
		w.input.Workload.Active = nil
	}
	return nil
}

func (w *world) readCanary(set *appsv1.ReplicaSet, revision string) {
	candidate := w.rollout.Status.Candidate
	if candidate == nil || candidate.Revision != revision {
		return
	}
	w.canary = set
	in := &w.input.Canary
	in.Exists, in.Desired = set.DeletionTimestamp == nil, deref(set.Spec.Replicas, 1)
	in.Ready = int32(len(workload.ReadyPods(w.canaryPods)))
	if set.Spec.MinReadySeconds > 0 {
		// The ReplicaSet's controller knows for how long they have been ready.
		in.Ready = min(in.Ready, set.Status.AvailableReplicas)
	}
}

func (w *world) readDeploymentSet(set *appsv1.ReplicaSet, revision v1alpha1.Revision, owned []corev1.Pod) (active int) {
	hash := set.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	ready := workload.ReadyPods(owned)
	revision.ReplicaSet, revision.PodTemplateHash = set.Name, hash
	revision.Images = workload.WithDigests(revision.Images, ready)
	in := &w.input.Workload
	in.Ready += int32(len(ready))
	if stable := w.rollout.Status.Stable; stable != nil && stable.PodTemplateHash == hash {
		w.stable, in.StableReady = set, int32(len(ready))
	}
	if candidate := w.rollout.Status.Candidate; candidate != nil && candidate.Revision == revision.Revision {
		in.CandidateReplicaSet, in.CandidateHash = set.Name, hash
		w.judgedPods = append(w.judgedPods, owned...)
	}
	if revision.Revision == in.Declared.Revision {
		in.DeclaredHash, in.DeclaredReplicaSet, in.DeclaredReady = hash, set.Name, int32(len(ready))
		in.Declared.Images = revision.Images
	}
	if set.Status.Replicas == 0 || len(ready) == 0 {
		return 0
	}
	in.Active = &revision
	return 1
}

func (r *RolloutReconciler) observeRuns(ctx context.Context, w *world) error {
	list := &v1alpha1.RolloutRunList{}
	err := r.Client.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingLabels{v1alpha1.LabelRollout: w.rollout.Name})
	if err != nil {
		return fmt.Errorf("list the runs: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.RolloutRun) int { return b.Spec.StartedAt.Compare(a.Spec.StartedAt.Time) })
	w.runs = list.Items
	w.input.Run.Next = max(w.rollout.Status.Runs, highestNumber(list.Items))
	settled := map[string]bool{}
	for i := range list.Items {
		run := &list.Items[i]
		if run.Name == w.rollout.Status.Run {
			w.run = run
			w.input.Run.Exists = true
			w.pinSpec(run)
		}
		// Newest first: what was promoted after a rejection is rejected no more.
		if run.Status.Outcome == v1alpha1.OutcomeRolledBack && !settled[run.Spec.Revision] {
			w.input.Run.Rejected = append(w.input.Run.Rejected, rejectionOf(run))
		}
		settled[run.Spec.Revision] = settled[run.Spec.Revision] || run.Status.Outcome == v1alpha1.OutcomeRolledBack || run.Status.Outcome == v1alpha1.OutcomePromoted
	}
	if w.run == nil && inRun(w.rollout.Status.Phase) {
		if err := r.observeNewRun(ctx, w); err != nil {
			return err
		}
	}
	if len(w.input.Run.Rejected) > maxRejected {
		w.input.Run.Rejected = w.input.Run.Rejected[:maxRejected]
	}
	return nil
}

// observeNewRun asks the API server for a run that the cache does not know: it
// may be as new as our own last write.
func (r *RolloutReconciler) observeNewRun(ctx context.Context, w *world) error {
	run := &v1alpha1.RolloutRun{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.rollout.Status.Run}, run)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	w.run = run
	w.input.Run.Exists = true
	w.pinSpec(run)
	return nil
}

// maxRejected is the API's own bound.
const maxRejected = 20

// pinSpec lets a run in progress go on by the steps and routes it started with.
func (w *world) pinSpec(run *v1alpha1.RolloutRun) {
	switch w.rollout.Status.Phase {
	case v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking, v1alpha1.PhaseRollingBack:
		w.input.Spec.Steps = run.Spec.Steps
		w.input.Spec.Traffic = run.Spec.Traffic
		w.target = targetOf(&v1alpha1.Rollout{ObjectMeta: w.rollout.ObjectMeta, Spec: w.input.Spec, Status: w.rollout.Status})
	}
}

func rejectionOf(run *v1alpha1.RolloutRun) v1alpha1.RejectedRevision {
	at := run.Spec.StartedAt
	if run.Status.FinishedAt != nil {
		at = *run.Status.FinishedAt
	}
	return v1alpha1.RejectedRevision{Revision: run.Spec.Revision, Trigger: run.Status.Trigger, Message: run.Status.Message, At: at, Run: run.Name}
}

func (r *RolloutReconciler) observeGuard(ctx context.Context, w *world) error {
	if w.deployment == nil || w.input.Deleting != nil {
		return nil
	}
	switch w.rollout.Status.Phase {
	case "", v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseRolledBack:
		w.input.Guard, w.guardDue = r.Guard.Check(ctx, w.rollout, w.deployment, w.input.Now)
	default:
		// The proof decides whether a run starts. One in progress, and above all a
		// rollback, waits for no dry-run.
		w.input.Guard = r.Guard.Last(w.rollout)
	}
	return nil
}

// pendingAction is a command whose token has not been handled.
func pendingAction(rollout *v1alpha1.Rollout) *plan.Action {
	a := rollout.Annotations
	token := a[v1alpha1.AnnotationActionToken]
	if token == "" || len(token) > 128 || rollout.DeletionTimestamp != nil {
		return nil
	}
	if last := rollout.Status.LastHandledAction; last != nil && last.Token == token {
		return nil
	}
	return &plan.Action{
		Action: v1alpha1.Action(bounded(a[v1alpha1.AnnotationAction], 32)), Token: token,
		Revision: a[v1alpha1.AnnotationActionRevision],
		Reason:   bounded(a[v1alpha1.AnnotationActionReason], 256),
		By:       bounded(a[v1alpha1.AnnotationActionBy], 256),
	}
}

func hasFinalizer(rollout *v1alpha1.Rollout) bool {
	return slices.Contains(rollout.Finalizers, v1alpha1.Finalizer)
}

func bounded(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func deref[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}
