package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/workload"
)

// Field managers of Belay's two writers.
const (
	FieldManager         = "belay"
	AnalysisFieldManager = "belay-analysis"
)

// record writes down a decision before its effect. The status patch carries the
// resource version that was observed, also when the status stays the same and
// an effect follows: whoever decided on a stale Rollout loses here, before it
// can touch anything. The run's chain follows, then the event.
func (r *RolloutReconciler) record(ctx context.Context, w *world, d plan.Decision) error {
	if err := r.completeChain(ctx, w); err != nil {
		return err
	}
	next := w.rollout.DeepCopy()
	next.Status = d.Status
	next.Status.ObservedGeneration = w.rollout.Generation
	if inRun(next.Status.Phase) && w.verdicts != nil {
		next.Status.Verdicts = w.verdicts
	}
	r.noteDigests(w, &next.Status)
	news := summarize(w, d, &next.Status)
	setConditions(&next.Status, w, d)
	if d.Effect == nil && equality.Semantic.DeepEqual(next.Status, w.rollout.Status) {
		return r.prune(ctx, w, &next.Status)
	}
	patch := client.MergeFromWithOptions(w.rollout.DeepCopy(), client.MergeFromWithOptimisticLock{})
	before := w.rollout
	if err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("write the Rollout's status: %w", err)
	}
	w.rollout = next
	if !news {
		return nil
	}
	r.announce(ctx, before, w, d)
	if w.run == nil || w.run.Name != next.Status.Run {
		// The run starts with this decision. Its record does not exist yet; the
		// next look completes the chain.
		return nil
	}
	return r.appendDecision(ctx, w, d)
}

func inRun(p v1alpha1.Phase) bool {
	switch p {
	case v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking, v1alpha1.PhaseRollingBack:
		return true
	default:
		return false
	}
}

// noteDigests keeps the digests the candidate's pods report.
func (r *RolloutReconciler) noteDigests(w *world, status *v1alpha1.RolloutStatus) {
	if status.Candidate == nil || !inRun(status.Phase) || len(w.canaryPods) == 0 {
		return
	}
	status.Candidate.Images = workload.WithDigests(status.Candidate.Images, workload.ReadyPods(w.canaryPods))
	status.Candidate.ReplicaSet = w.canary.Name
}

// summarize puts the decision into the status when it is a new one: of another
// rule, or with another key, than the last. It reports whether it is.
func summarize(w *world, d plan.Decision, status *v1alpha1.RolloutStatus) bool {
	last := w.rollout.Status.Decision
	started := status.Run != w.rollout.Status.Run
	if d.Repeats {
		return false
	}
	if last != nil && last.Rule == d.Rule && last.Key == bounded(d.Key, 128) && !started {
		return false
	}
	if last == nil && d.Standing.State == plan.Done {
		return false
	}
	var seq int32
	if inRun(status.Phase) || inRun(w.rollout.Status.Phase) {
		seq = 1
		if last != nil && !started {
			seq = last.Seq + 1
		}
	}
	status.Decision = &v1alpha1.DecisionSummary{
		Seq: seq, Rule: d.Rule, Key: bounded(d.Key, 128), Why: bounded(d.Why, 1024),
		At: metav1.NewTime(w.input.Now.Truncate(time.Second)), Weight: d.Weight, Actor: bounded(d.Actor, 256),
	}
	return true
}

// announce logs a decision and makes it an event, once, after it was recorded.
func (r *RolloutReconciler) announce(ctx context.Context, before *v1alpha1.Rollout, w *world, d plan.Decision) {
	effect := ""
	if d.Effect != nil {
		effect = d.Effect.String()
	}
	log.FromContext(ctx).Info(d.Why, "rule", d.Rule, "phase", w.rollout.Status.Phase, "run", w.rollout.Status.Run,
		"weight", w.input.Route.Split, "effect", effect)
	decisions.WithLabelValues(d.Rule).Inc()
	kind := corev1.EventTypeNormal
	if d.Standing.State == plan.Stuck || w.rollout.Status.Phase == v1alpha1.PhaseRollingBack && before.Status.Phase != v1alpha1.PhaseRollingBack {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(w.rollout, nil, kind, d.Rule, "Decide", "%s", bounded(d.Why, 1000))
}

// completeChain writes the last recorded decision into the run's chain when a
// crash came between the two writes.
func (r *RolloutReconciler) completeChain(ctx context.Context, w *world) error {
	last := w.rollout.Status.Decision
	finished := finishedEntry(&w.rollout.Status, w.rollout.Status.Run)
	if w.run == nil || chainComplete(w.run, last, finished) {
		return nil
	}
	// The cache may lag behind our own last write: only the API server knows.
	live := &v1alpha1.RolloutRun{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(w.run), live); err != nil {
		return client.IgnoreNotFound(err)
	}
	w.run = live
	if chainComplete(w.run, last, finished) {
		return nil
	}
	chain := w.run.Status.Decisions
	if evidence.Count(chain) < last.Seq {
		var err error
		record := v1alpha1.DecisionRecord{
			At: last.At, Rule: last.Rule, Why: last.Why, Phase: w.rollout.Status.Phase, Weight: last.Weight, Actor: last.Actor,
		}
		if chain, err = evidence.Append(chain, record, last.Seq, finished != nil); err != nil {
			return err
		}
	}
	return r.writeRun(ctx, w, chain, finished)
}

func chainComplete(run *v1alpha1.RolloutRun, last *v1alpha1.DecisionSummary, finished *v1alpha1.HistoryEntry) bool {
	if last == nil || last.Seq == 0 {
		return true
	}
	// A full chain keeps its last place for the record that ends the run.
	written := evidence.Count(run.Status.Decisions) >= last.Seq || evidence.Full(run.Status.Decisions)
	return written && (finished == nil || run.Status.Outcome != "")
}

func (r *RolloutReconciler) appendDecision(ctx context.Context, w *world, d plan.Decision) error {
	last := w.rollout.Status.Decision
	if last.Seq == 0 {
		return nil
	}
	record := v1alpha1.DecisionRecord{
		At: last.At, Rule: last.Rule, Why: last.Why, Phase: w.rollout.Status.Phase, Weight: last.Weight, Actor: last.Actor,
		Verdicts: w.input.Verdict.References,
	}
	if s := w.rollout.Status.Step; s != nil {
		record.Step = ptr(s.Index)
	}
	if d.Effect != nil {
		record.Effect = d.Effect.String()
	}
	chain, err := evidence.Append(w.run.Status.Decisions, record, last.Seq, d.Finished != nil)
	if err != nil {
		return err
	}
	return r.writeRun(ctx, w, chain, d.Finished)
}

// finishedEntry is the history entry of a run; nil while it goes on.
func finishedEntry(status *v1alpha1.RolloutStatus, run string) *v1alpha1.HistoryEntry {
	for i := range status.History {
		if status.History[i].Run == run {
			return &status.History[i]
		}
	}
	return nil
}

// writeRun applies what the Rollout loop owns of a run's status: everything but
// analysis.
func (r *RolloutReconciler) writeRun(ctx context.Context, w *world, chain []v1alpha1.DecisionRecord, finished *v1alpha1.HistoryEntry) error {
	status := v1alpha1.RolloutRunStatus{Decisions: chain, Head: evidence.Head(chain), Images: w.run.Status.Images}
	if c := w.rollout.Status.Candidate; c != nil && c.Revision == w.run.Spec.Revision {
		status.Images = c.Images
	}
	if finished != nil {
		status.Outcome, status.Trigger, status.Message, status.FinishedAt = finished.Outcome, finished.Trigger, finished.Message, &finished.FinishedAt
	}
	if err := applyRunStatus(ctx, r.Client, w.run, status, FieldManager); err != nil {
		return err
	}
	w.run = w.run.DeepCopy()
	analysis := w.run.Status.Analysis
	w.run.Status = status
	w.run.Status.Analysis = analysis
	if finished == nil {
		return nil
	}
	r.countOutcome(w, finished)
	return r.labelOutcome(ctx, w.run, finished.Outcome)
}

func applyRunStatus(ctx context.Context, c client.Client, run *v1alpha1.RolloutRun, status v1alpha1.RolloutRunStatus, owner string) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("encode the run's status: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RolloutRun"))
	u.SetNamespace(run.Namespace)
	u.SetName(run.Name)
	// The UID keeps a run that was deleted from being made again by this write.
	u.SetUID(run.UID)
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(owner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write the status of run %s: %w", run.Name, err)
	}
	return nil
}

func (r *RolloutReconciler) labelOutcome(ctx context.Context, run *v1alpha1.RolloutRun, outcome v1alpha1.Outcome) error {
	labelled := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: run.Namespace, Name: run.Name}}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelOutcome, outcome)
	err := r.Client.Patch(ctx, labelled, client.RawPatch("application/merge-patch+json", patch), client.FieldOwner(FieldManager))
	if err != nil {
		return fmt.Errorf("label run %s with its outcome: %w", run.Name, err)
	}
	return nil
}

// prune deletes runs beyond the history limit, when there is nothing else to do.
func (r *RolloutReconciler) prune(ctx context.Context, w *world, status *v1alpha1.RolloutStatus) error {
	if inRun(status.Phase) || w.input.Deleting != nil {
		return nil
	}
	remembered := map[string]bool{}
	for _, rejected := range status.Rejected {
		remembered[rejected.Revision] = true
	}
	for _, run := range evidence.Expired(w.runs, int(max(1, w.rollout.Spec.HistoryLimit)), remembered) {
		if err := r.Client.Delete(ctx, &run); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete the expired run %s: %w", run.Name, err)
		}
	}
	return nil
}
