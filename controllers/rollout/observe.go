package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/wake"
	"belay.dev/belay/controllers/workload"
)

// look is one look at the cluster: the planner's input, and the objects that
// recording and acting start from. A decision changes nothing in it: what is known
// after one is a decided. Workloads, ReplicaSets and ControllerRevisions are unstructured, so
// that fields newer than Belay survive and count.
type look struct {
	rollout *v1alpha1.Rollout
	// workload is the Deployment or StatefulSet; nil while there is none.
	workload *unstructured.Unstructured
	// declared is the revision of described's template, computed once in a look.
	declared  v1alpha1.Revision
	described *unstructured.Unstructured
	// sets are the ReplicaSets that the Deployment's selector matches, by name. Where
	// there is no canary, or no stable, its object is nil.
	sets           map[string]seenSet
	canary, stable seenSet
	// stableTemplate is the stable version's pod template; nil while nothing has it.
	stableTemplate map[string]any
	// misplaced are the pods of a StatefulSet that the planner's input names.
	misplaced  []workload.Place
	run        *v1alpha1.RolloutRun
	runs       []v1alpha1.RolloutRun
	guardrails []v1alpha1.PinnedGuardrail
	// canaryPods are the canary's; judgedPods add the Deployment's own pods of the
	// candidate in a native promotion.
	canaryPods []corev1.Pod
	judgedPods []corev1.Pod
	target     traffic.Target
	// follows means that the newest write of the Rollout was this process's own, and
	// that the cache shows everything that it wrote.
	follows bool
	input   plan.Input
}

// seenSet is a ReplicaSet, and what was read of it: a revision takes about 0.6 ms to
// compute.
type seenSet struct {
	object *unstructured.Unstructured
	workload.Set
}

// observe makes every read of a reconcile, and judges nothing.
func (r *Reconciler) observe(ctx context.Context, rollout *v1alpha1.Rollout, follows bool) (*look, error) {
	l := &look{rollout: rollout, follows: follows, target: targetOf(rollout), sets: map[string]seenSet{}}
	l.input = plan.Input{
		Now: r.Clock.Now(), Watchdog: r.Watchdog, ReleaseTimeout: r.ReleaseTimeout, SteadyFor: r.SteadyFor,
		Name: rollout.Name, Namespace: rollout.Namespace, Generation: rollout.Generation, Spec: *rollout.Spec.DeepCopy(), Status: *rollout.Status.DeepCopy(),
		FinalizerMissing: !hasFinalizer(rollout), Action: pendingAction(rollout),
	}
	if rollout.DeletionTimestamp != nil {
		l.input.Deleting = &rollout.DeletionTimestamp.Time
	}
	// Their order matters. A run in progress replaces the declared steps and traffic
	// (takeRun), by which all others look. The router is told the hashes of stable and
	// canary, which come with the workload, and what it counts raises Canary.Left. Which
	// verdicts count depends on the guardrails that bind, which come with the gates.
	parts := []func(context.Context, *look) error{
		r.observeRuns, r.observeWorkload, r.observeRoute, r.observeGates, r.observeVerdicts,
	}
	for _, part := range parts {
		if err := part(ctx, l); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (r *Reconciler) observeRuns(ctx context.Context, l *look) error {
	if err := newerStatus(l.rollout); err != nil {
		return err
	}
	list := &v1alpha1.RolloutRunList{}
	err := r.Client.List(ctx, list, client.InNamespace(l.rollout.Namespace), client.MatchingFields{wake.ByRollout: l.rollout.Name})
	if err != nil {
		return fmt.Errorf("list the runs: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.RolloutRun) int { return b.Spec.StartedAt.Compare(a.Spec.StartedAt.Time) })
	l.runs = list.Items
	l.input.Run.Next = max(l.rollout.Status.Runs, highestNumber(list.Items))
	settled := map[string]bool{}
	for i := range list.Items {
		run := &list.Items[i]
		if err := newerRun(run); err != nil {
			return err
		}
		if run.Name == l.rollout.Status.Run {
			l.takeRun(run)
		}
		// Newest first: what was promoted after a rejection is rejected no more.
		if run.Status.Outcome == v1alpha1.OutcomeRolledBack && !settled[run.Spec.Revision] {
			l.input.Run.Rejected = append(l.input.Run.Rejected, rejectionOf(run))
		}
		settled[run.Spec.Revision] = settled[run.Spec.Revision] || run.Status.Outcome == v1alpha1.OutcomeRolledBack || run.Status.Outcome == v1alpha1.OutcomePromoted
	}
	if l.run == nil && l.rollout.Status.Phase.InRun() {
		if err := r.observeNewRun(ctx, l); err != nil {
			return err
		}
		if l.run == nil {
			l.takeTrafficBefore()
		}
	}
	l.input.Run.Owed = owes(&l.rollout.Status, l.runs)
	if len(l.input.Run.Rejected) > maxRejected {
		l.input.Run.Rejected = l.input.Run.Rejected[:maxRejected]
	}
	return nil
}

// observeNewRun asks the API server for a run that the cache does not know: it
// may be as new as our own last write.
func (r *Reconciler) observeNewRun(ctx context.Context, l *look) error {
	run := &v1alpha1.RolloutRun{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: l.rollout.Namespace, Name: l.rollout.Status.Run}, run)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if err := newerRun(run); err != nil {
		return err
	}
	l.takeRun(run)
	l.runs = append(l.runs, *run)
	return nil
}

// takeRun lets a run in progress go on by the steps and routes it started with.
func (l *look) takeRun(run *v1alpha1.RolloutRun) {
	l.run = run
	in := &l.input.Run
	in.Exists, in.Former = true, run.Spec.Controller.Planner != plan.Version
	stable := l.rollout.Status.Stable
	pinned := stable != nil && run.Spec.Stable.Revision.Revision == stable.Revision && len(run.Spec.Stable.Template.Raw) > len(noTemplate)
	in.StablePinned = pinned || stable != nil && run.Spec.Revision == stable.Revision
	if !l.rollout.Status.Phase.InRun() {
		return
	}
	in.Later = run.Spec.Later(&l.rollout.Spec)
	l.input.Spec.Steps = run.Spec.Steps
	l.takeTraffic(run)
}

// takeTraffic lets the look go on with the routes that a run has split.
func (l *look) takeTraffic(run *v1alpha1.RolloutRun) {
	l.input.Spec.Traffic = run.Spec.Traffic
	l.target = targetOf(&v1alpha1.Rollout{ObjectMeta: l.rollout.ObjectMeta, Spec: l.input.Spec, Status: l.rollout.Status})
}

// takeTrafficBefore finds the routes of a bypass whose run is yet to be made: those of
// the run that it interrupted. One decision ended that run and began this one, so the
// history gives both the same time. It may have interrupted a bypass without a run, too.
func (l *look) takeTrafficBefore() {
	s := &l.rollout.Status
	if s.Promotion == nil || s.Promotion.Mode != v1alpha1.TakeOverBypass {
		return
	}
	began := s.RunStartedAt
	for i := range s.History {
		ended := &s.History[i]
		if !ended.FinishedAt.Equal(began) {
			return
		}
		at := slices.IndexFunc(l.runs, func(run v1alpha1.RolloutRun) bool { return run.Name == ended.Run })
		if at >= 0 {
			l.takeTraffic(&l.runs[at])
			return
		}
		began = &ended.StartedAt
	}
}

// maxRejected is the API's own bound.
const maxRejected = 20

func rejectionOf(run *v1alpha1.RolloutRun) v1alpha1.RejectedRevision {
	at := run.Spec.StartedAt
	if run.Status.FinishedAt != nil {
		at = *run.Status.FinishedAt
	}
	return v1alpha1.RejectedRevision{Revision: run.Spec.Revision, Trigger: run.Status.Trigger, Message: run.Status.Message, At: at, Run: run.Name, Images: run.Status.Images}
}

func targetOf(rollout *v1alpha1.Rollout) traffic.Target {
	t := traffic.Target{Namespace: rollout.Namespace, Owner: rollout.Name, Epoch: rollout.Status.Epoch}
	if rollout.Spec.ReplicaWeighted() {
		return t
	}
	t.Service, t.Comparer, t.Preview = rollout.Spec.Traffic.Service, rollout.Spec.Traffic.Comparer, rollout.Spec.Traffic.Preview == v1alpha1.PreviewEnabled
	for _, route := range rollout.Spec.Traffic.Routes {
		t.Routes = append(t.Routes, traffic.Route{Kind: cmp.Or(route.Kind, v1alpha1.KindHTTPRoute), Name: route.Name})
	}
	return t
}

// router is how this look's requests are shared. A run in progress keeps the one
// that it started with.
func (r *Reconciler) router(l *look) traffic.Router {
	switch {
	case l.ordered():
		return r.InOrder
	case l.input.Spec.ReplicaWeighted():
		return r.ByPods
	default:
		return r.Router
	}
}

// ordered is whether the workload is a StatefulSet.
func (l *look) ordered() bool { return l.rollout.Spec.WorkloadRef.Ordered() }

func (r *Reconciler) observeRoute(ctx context.Context, l *look) error {
	if err := r.aimTarget(ctx, l); err != nil {
		return err
	}
	o, err := r.router(l).Observe(ctx, l.target)
	in := &l.input.Route
	switch {
	case errors.Is(err, traffic.ErrNotFound), errors.Is(err, traffic.ErrNotRouted):
		in.Fault = plan.Fault{Reason: v1alpha1.ReasonRouteNotFound, Message: v1alpha1.Bounded(err.Error(), 1024)}
	case errors.Is(err, traffic.ErrUnusable):
		in.Fault = plan.Fault{Reason: v1alpha1.ReasonServiceUnusable, Message: v1alpha1.Bounded(err.Error(), 1024)}
	case err != nil:
		return err
	case o.ServiceMissing:
		in.Fault = plan.Fault{
			Reason:  v1alpha1.ReasonServiceNotFound,
			Message: fmt.Sprintf("Service %q does not exist: create it, or name another one in spec.traffic.service", l.target.Service),
		}
	}
	in.ServiceMissing, in.PairCurrent, in.Mixed, in.Marked = o.ServiceMissing, o.PairCurrent, o.Mixed, o.Marked
	in.Acknowledged, in.Unacknowledged, in.Epoch = o.Acknowledged, o.Unacknowledged, o.Epoch
	in.StableEndpoints, in.CanaryEndpoints = o.Stable, o.Canary
	in.ServiceEndpoints, in.CanaryShare = o.Service, o.ServiceCanary
	in.NoPort, in.Narrowed, in.NarrowedBy = o.NoPort, o.Narrowed, o.NarrowedBy
	in.Owner = o.Manager
	if p := o.Preview; p != nil {
		in.Preview = &plan.Preview{Fault: v1alpha1.Bounded(p.Fault, 512), Hash: p.Hash, Current: p.Current, Ready: p.Ready}
	}
	if o.Split != nil {
		in.Split, in.Testers, in.Mirror = &o.Split.Canary, o.Split.Testers, o.Split.Mirror
	}
	// Of a StatefulSet that was made smaller, pods beyond its size serve as long as one below is
	// not ready.
	if hash := l.input.Canary.Hash; l.rollout.Status.Candidate != nil && hash != "" && !l.deploymentRuns(hash) {
		l.input.Canary.Left = max(l.input.Canary.Left, o.ServiceCanary)
	}
	return nil
}

// aimTarget tells the router which pods are whose.
func (r *Reconciler) aimTarget(ctx context.Context, l *look) error {
	if l.workload == nil {
		return nil
	}
	t := &l.target
	t.Selector, _, _ = unstructured.NestedStringMap(l.workload.Object, "spec", "selector", "matchLabels")
	var err error
	if t.Workload, err = selectorOf(l.workload); err != nil {
		return err
	}
	t.StableHash = l.input.Workload.Stable.Hash
	if l.rollout.Status.Phase.InRun() {
		t.CanaryHash = l.canaryHash(l.rollout.Status.Candidate)
	}
	if l.input.Spec.ReplicaWeighted() {
		return nil
	}
	for _, step := range stepsToCome(l.input.Status, l.input.Spec.Steps) {
		if step.Match != nil {
			t.Matches = append(t.Matches, step.Match)
		}
		if step.Mirror > 0 {
			t.Mirrors = append(t.Mirrors, step.Mirror)
		}
	}
	t.Own = append(t.Own, traffic.Pods{Of: "the declared version", Labels: templateLabels(l.workload)})
	if l.stable.object != nil {
		t.Own = append(t.Own, traffic.Pods{Of: "the stable version", Labels: templateLabels(l.stable.object)})
	}
	// Which of them the user's Service selects, no index can tell. To read them all
	// costs about 1 µs for each (BenchmarkAimTarget).
	others := &unstructured.UnstructuredList{}
	others.SetGroupVersionKind(l.workload.GroupVersionKind())
	if err := r.Client.List(ctx, others, client.InNamespace(l.rollout.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the Deployments: %w", err)
	}
	for i := range others.Items {
		if other := &others.Items[i]; other.GetUID() != l.workload.GetUID() {
			t.Others = append(t.Others, traffic.Pods{Of: fmt.Sprintf("Deployment %q", other.GetName()), Labels: templateLabels(other)})
		}
	}
	return nil
}

// stepsToCome are those that a run has left, and before a run all.
func stepsToCome(status v1alpha1.RolloutStatus, steps []v1alpha1.Step) []v1alpha1.Step {
	switch {
	case status.Phase == v1alpha1.PhaseGating:
		return steps
	case status.Phase == v1alpha1.PhaseStepping && status.Step != nil:
		return steps[min(int(status.Step.Index), len(steps)):]
	default:
		return nil
	}
}

func templateLabels(object *unstructured.Unstructured) map[string]string {
	labels, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
	return labels
}

// canaryHash is known before there is a canary: a borrowed set has its own, a new
// one gets the revision.
func (l *look) canaryHash(candidate *v1alpha1.Revision) string {
	if l.input.Canary.Exists || l.ordered() {
		return l.input.Canary.Hash
	}
	if candidate == nil {
		return ""
	}
	if idle, ok := l.borrowable(candidate.Revision); ok {
		return idle.Hash
	}
	return candidate.Revision
}

// pendingAction is a command whose token has not been handled.
func pendingAction(rollout *v1alpha1.Rollout) *plan.Action {
	a := rollout.Annotations
	token := a[v1alpha1.AnnotationActionToken]
	if token == "" || len(token) > 128 || rollout.DeletionTimestamp != nil || rollout.Status.Handled(token) {
		return nil
	}
	return &plan.Action{
		Action: v1alpha1.Action(v1alpha1.Bounded(a[v1alpha1.AnnotationAction], 32)), Token: token,
		Revision: a[v1alpha1.AnnotationActionRevision], Step: v1alpha1.Bounded(a[v1alpha1.AnnotationActionStep], 16),
		Reason: v1alpha1.Bounded(a[v1alpha1.AnnotationActionReason], 256),
		By:     v1alpha1.Bounded(a[v1alpha1.AnnotationActionBy], 256),
	}
}

func hasFinalizer(rollout *v1alpha1.Rollout) bool {
	return slices.Contains(rollout.Finalizers, v1alpha1.Finalizer)
}
