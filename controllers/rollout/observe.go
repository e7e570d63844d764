package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/workload"
)

// world is one look at the cluster: the planner's input, and the objects that
// recording and acting start from. Deployments and ReplicaSets are unstructured,
// so that fields newer than Belay survive and count.
type world struct {
	rollout    *v1alpha1.Rollout
	deployment *unstructured.Unstructured
	// declared is what described, a Deployment as it was read, declares.
	declared  v1alpha1.Revision
	described *unstructured.Unstructured
	// sets are the ReplicaSets that the Deployment's selector matches, by name, and
	// read what was read of them: a revision takes about 0.6 ms to compute.
	sets   map[string]*unstructured.Unstructured
	read   map[string]workload.Set
	canary *unstructured.Unstructured
	stable *unstructured.Unstructured
	// canarySet is what was read of the canary.
	canarySet  workload.Set
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
	// owed is set when the run's record could not be written.
	owed  bool
	input plan.Input
	// canonical is the input as the decision's record keeps it.
	canonical []byte
}

// observe makes every read of a reconcile, and judges nothing.
func (r *Reconciler) observe(ctx context.Context, rollout *v1alpha1.Rollout, follows bool) (*world, error) {
	w := &world{rollout: rollout, follows: follows, target: targetOf(rollout), sets: map[string]*unstructured.Unstructured{}, read: map[string]workload.Set{}}
	w.input = plan.Input{
		Now: r.Clock.Now(), Watchdog: r.Watchdog, ReleaseTimeout: r.ReleaseTimeout, Calm: r.Calm,
		Name: rollout.Name, Namespace: rollout.Namespace, Generation: rollout.Generation, Spec: *rollout.Spec.DeepCopy(), Status: *rollout.Status.DeepCopy(),
		FinalizerMissing: !hasFinalizer(rollout), Action: pendingAction(rollout),
	}
	if rollout.DeletionTimestamp != nil {
		w.input.Deleting = &rollout.DeletionTimestamp.Time
	}
	looks := []func(context.Context, *world) error{
		r.observeRuns, r.observeWorkload, r.observeRoute, r.observeGates, r.observeVerdicts,
	}
	for _, look := range looks {
		if err := look(ctx, w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (r *Reconciler) observeRuns(ctx context.Context, w *world) error {
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
			w.takeRun(run)
		}
		// Newest first: what was promoted after a rejection is rejected no more.
		if run.Status.Outcome == v1alpha1.OutcomeRolledBack && !settled[run.Spec.Revision] {
			w.input.Run.Rejected = append(w.input.Run.Rejected, rejectionOf(run))
		}
		settled[run.Spec.Revision] = settled[run.Spec.Revision] || run.Status.Outcome == v1alpha1.OutcomeRolledBack || run.Status.Outcome == v1alpha1.OutcomePromoted
	}
	if w.run == nil && w.rollout.Status.Phase.InRun() {
		if err := r.observeNewRun(ctx, w); err != nil {
			return err
		}
	}
	w.input.Run.Owed = w.owes()
	if len(w.input.Run.Rejected) > maxRejected {
		w.input.Run.Rejected = w.input.Run.Rejected[:maxRejected]
	}
	return nil
}

// observeNewRun asks the API server for a run that the cache does not know: it
// may be as new as our own last write.
func (r *Reconciler) observeNewRun(ctx context.Context, w *world) error {
	run := &v1alpha1.RolloutRun{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.rollout.Status.Run}, run)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	w.takeRun(run)
	w.runs = append(w.runs, *run)
	return nil
}

// takeRun lets a run in progress go on by the steps and routes it started with.
func (w *world) takeRun(run *v1alpha1.RolloutRun) {
	w.run = run
	in := &w.input.Run
	in.Exists, in.Former = true, run.Spec.Controller.Planner != plan.Version
	stable := w.rollout.Status.Stable
	pinned := stable != nil && run.Spec.Stable.Revision.Revision == stable.Revision && len(run.Spec.Stable.Template.Raw) > len(noTemplate)
	in.StablePinned = pinned || stable != nil && run.Spec.Revision == stable.Revision
	if !w.rollout.Status.Phase.InRun() {
		return
	}
	w.input.Spec.Steps = run.Spec.Steps
	w.input.Spec.Traffic = run.Spec.Traffic
	w.target = targetOf(&v1alpha1.Rollout{ObjectMeta: w.rollout.ObjectMeta, Spec: w.input.Spec, Status: w.rollout.Status})
}

// maxRejected is the API's own bound.
const maxRejected = 20

func rejectionOf(run *v1alpha1.RolloutRun) v1alpha1.RejectedRevision {
	at := run.Spec.StartedAt
	if run.Status.FinishedAt != nil {
		at = *run.Status.FinishedAt
	}
	return v1alpha1.RejectedRevision{Revision: run.Spec.Revision, Trigger: run.Status.Trigger, Message: run.Status.Message, At: at, Run: run.Name}
}

func targetOf(rollout *v1alpha1.Rollout) traffic.Target {
	t := traffic.Target{Namespace: rollout.Namespace, Owner: rollout.Name, Epoch: rollout.Status.Epoch}
	if rollout.Spec.ReplicaWeighted() {
		return t
	}
	t.Service = rollout.Spec.Traffic.Service
	for _, route := range rollout.Spec.Traffic.Routes {
		t.Routes = append(t.Routes, traffic.Route{Kind: cmp.Or(route.Kind, v1alpha1.KindHTTPRoute), Name: route.Name})
	}
	return t
}

// router is how this look's requests are shared. A run in progress keeps the one
// that it started with.
func (r *Reconciler) router(w *world) traffic.Router {
	if w.input.Spec.ReplicaWeighted() {
		return r.Replicas
	}
	return r.Router
}

func (r *Reconciler) observeRoute(ctx context.Context, w *world) error {
	if err := r.aimTarget(ctx, w); err != nil {
		return err
	}
	o, err := r.router(w).Observe(ctx, w.target)
	in := &w.input.Route
	switch {
	case errors.Is(err, traffic.ErrNotFound), errors.Is(err, traffic.ErrNotRouted):
		in.Fault = plan.Fault{Reason: v1alpha1.ReasonRouteNotFound, Message: bounded(err.Error(), 1024)}
	case errors.Is(err, traffic.ErrUnusable):
		in.Fault = plan.Fault{Reason: v1alpha1.ReasonServiceUnusable, Message: bounded(err.Error(), 1024)}
	case err != nil:
		return err
	case o.ServiceMissing:
		in.Fault = plan.Fault{
			Reason:  v1alpha1.ReasonServiceNotFound,
			Message: fmt.Sprintf("Service %q does not exist: create it, or name another one in spec.traffic.service", w.target.Service),
		}
	}
	in.ServiceMissing, in.PairCurrent, in.Mixed, in.Marked = o.ServiceMissing, o.PairCurrent, o.Mixed, o.Marked
	in.Acknowledged, in.Unacknowledged, in.Epoch = o.Acknowledged, o.Unacknowledged, o.Epoch
	in.StableEndpoints, in.CanaryEndpoints = o.Stable, o.Canary
	in.ServiceEndpoints, in.CanaryShare = o.Service, o.ServiceCanary
	in.NoPort, in.Narrowed, in.NarrowedBy = o.NoPort, o.Narrowed, o.NarrowedBy
	in.Owner = o.Manager
	if o.Split != nil {
		in.Split = &o.Split.Canary
	}
	if hash := w.input.Canary.Hash; w.rollout.Status.Candidate != nil && hash != "" && !w.deploymentRuns(hash) {
		w.input.Canary.Left = max(w.input.Canary.Left, o.ServiceCanary)
	}
	return nil
}

// aimTarget tells the router which pods are whose.
func (r *Reconciler) aimTarget(ctx context.Context, w *world) error {
	if w.deployment == nil {
		return nil
	}
	t := &w.target
	t.Selector, _, _ = unstructured.NestedStringMap(w.deployment.Object, "spec", "selector", "matchLabels")
	var err error
	if t.Workload, err = selectorOf(w.deployment); err != nil {
		return err
	}
	t.StableHash = w.input.Workload.Stable.Hash
	if w.rollout.Status.Phase.InRun() {
		t.CanaryHash = w.canaryHash()
	}
	if w.input.Spec.ReplicaWeighted() {
		return nil
	}
	t.Own = append(t.Own, traffic.Pods{Of: "the declared version", Labels: templateLabels(w.deployment)})
	if w.stable != nil {
		t.Own = append(t.Own, traffic.Pods{Of: "the stable version", Labels: templateLabels(w.stable)})
	}
	// Which of them the user's Service selects, no index can tell. To read them all
	// costs about 1 µs for each (BenchmarkAimTarget).
	others := &unstructured.UnstructuredList{}
	others.SetGroupVersionKind(w.deployment.GroupVersionKind())
	if err := r.Client.List(ctx, others, client.InNamespace(w.rollout.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the Deployments: %w", err)
	}
	for i := range others.Items {
		if other := &others.Items[i]; other.GetUID() != w.deployment.GetUID() {
			t.Others = append(t.Others, traffic.Pods{Of: fmt.Sprintf("Deployment %q", other.GetName()), Labels: templateLabels(other)})
		}
	}
	return nil
}

func templateLabels(object *unstructured.Unstructured) map[string]string {
	labels, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
	return labels
}

// canaryHash is known before there is a canary: a borrowed set has its own, a new
// one gets the revision.
func (w *world) canaryHash() string {
	if w.input.Canary.Exists {
		return w.input.Canary.Hash
	}
	if w.rollout.Status.Candidate == nil {
		return ""
	}
	revision := w.rollout.Status.Candidate.Revision
	if idle := w.borrowable(revision); idle != nil {
		return w.read[idle.GetName()].Hash
	}
	return revision
}

// pendingAction is a command whose token has not been handled.
func pendingAction(rollout *v1alpha1.Rollout) *plan.Action {
	a := rollout.Annotations
	token := a[v1alpha1.AnnotationActionToken]
	if token == "" || len(token) > 128 || rollout.DeletionTimestamp != nil || rollout.Status.Handled(token) {
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
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
