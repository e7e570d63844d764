package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
// can touch anything. The event and the run's chain follow. What the chain still
// lacks of earlier decisions comes first, as the status holds only one.
func (r *RolloutReconciler) record(ctx context.Context, w *world, d plan.Decision) error {
	if err := r.explain(ctx, w, d, func(ctx context.Context) error { return r.completeChain(ctx, w) }); err != nil {
		return err
	}
	next := w.rollout.DeepCopy()
	next.Status = d.Status
	next.Status.ObservedGeneration = w.rollout.Generation
	if next.Status.Phase.InRun() && w.verdicts != nil {
		next.Status.Verdicts = w.verdicts
	}
	r.noteDigests(w, &next.Status)
	news := summarize(w, d, &next.Status)
	setConditions(&next.Status, w, d)
	if d.Effect == nil && equality.Semantic.DeepEqual(next.Status, w.rollout.Status) {
		return r.prune(ctx, w, &next.Status)
	}
	before := w.rollout
	evidence.Fit(&next.Status, evidence.MaxStatusBytes)
	if err := r.writeStatus(ctx, w, d, next); err != nil {
		return fmt.Errorf("write the Rollout's status: %w", err)
	}
	w.rollout = next
	if !news {
		return nil
	}
	r.announce(ctx, before, w, d)
	if w.run == nil || w.run.Name != next.Status.Run || w.owed {
		// The run starts with this decision and has no record yet, or its record
		// could not be written a moment ago: the next look completes the chain.
		return nil
	}
	return r.explain(ctx, w, d, func(ctx context.Context) error { return r.appendDecision(ctx, w, d) })
}

// writeStatus carries the resource version that was observed. What the API server
// does not take as it is, too large or against a rule, is written again with
// nothing but what the decision rests on, when the decision takes requests or
// pods away: a record that is refused never blocks a rollback.
func (r *RolloutReconciler) writeStatus(ctx context.Context, w *world, d plan.Decision, next *v1alpha1.Rollout) error {
	patch := client.MergeFromWithOptions(w.rollout.DeepCopy(), client.MergeFromWithOptimisticLock{})
	err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(FieldManager))
	refused := apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsBadRequest(err)
	if !refused || !goesOnUnexplained(w, d) {
		return err
	}
	evidenceFailures.WithLabelValues("GoesOn").Inc()
	log.FromContext(ctx).Error(err, "the status is refused; the smallest one that holds the decision is written instead", "rule", d.Rule)
	least := w.rollout.DeepCopy()
	s := &least.Status
	s.Phase, s.Epoch, s.Run, s.Runs, s.RunStartedAt = d.Status.Phase, d.Status.Epoch, d.Status.Run, d.Status.Runs, d.Status.RunStartedAt
	s.Candidate, s.Step, s.Rollback, s.Promotion, s.Rejected = d.Status.Candidate, d.Status.Step, d.Status.Rollback, d.Status.Promotion, d.Status.Rejected
	s.Stable, s.Previous, s.History = d.Status.Stable, d.Status.Previous, d.Status.History
	s.LastHandledAction, s.HandledTokens = d.Status.LastHandledAction, d.Status.HandledTokens
	s.Message = bounded(d.Why, 256)
	evidence.Fit(s, 0)
	next.Status = *s.DeepCopy()
	return r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(FieldManager))
}

// noteDigests keeps the digests the candidate's pods report.
func (r *RolloutReconciler) noteDigests(w *world, status *v1alpha1.RolloutStatus) {
	if status.Candidate == nil || !status.Phase.InRun() || w.canary == nil || len(w.canaryPods) == 0 {
		return
	}
	status.Candidate.Images = workload.WithDigests(status.Candidate.Images, workload.ReadyPods(w.canaryPods))
	status.Candidate.ReplicaSet = w.canary.GetName()
	status.Candidate.PodTemplateHash = w.input.Canary.Hash
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
	if w.owed && !status.Phase.InRun() && !w.rollout.Status.Phase.InRun() {
		// The status still holds the decision that the run's record lacks.
		return false
	}
	var seq int32
	if status.Phase.InRun() || w.rollout.Status.Phase.InRun() {
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
	if d.Finished != nil {
		countOutcome(d.Finished)
	}
	kind := corev1.EventTypeNormal
	if d.Standing.State == plan.Stuck || w.rollout.Status.Phase == v1alpha1.PhaseRollingBack && before.Status.Phase != v1alpha1.PhaseRollingBack {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(w.rollout, nil, kind, d.Rule, "Decide", "%s", bounded(d.Why, 1000))
}

// prune deletes runs beyond the history limit, when there is nothing else to do.
func (r *RolloutReconciler) prune(ctx context.Context, w *world, status *v1alpha1.RolloutStatus) error {
	if status.Phase.InRun() || w.input.Deleting != nil {
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

// noteRefusal shows in the status that the API server does not take an effect, and
// since when. It returns the error, for the look after this one. A conflict is no
// refusal: somebody else was first.
func (r *RolloutReconciler) noteRefusal(ctx context.Context, w *world, effect plan.Effect, refused error) error {
	if apierrors.IsConflict(refused) || ctx.Err() != nil {
		return refused
	}
	next := w.rollout.DeepCopy()
	refusal := &v1alpha1.Refusal{Effect: bounded(effect.String(), 256), Message: sanitised(refused), Since: metav1.NewTime(w.input.Now)}
	if was := next.Status.Refusal; was != nil && was.Effect == refusal.Effect {
		// The first text stays: one that differs each time, by a port or a request's
		// number, would wake the Rollout by its own writes.
		return refused
	}
	next.Status.Refusal = refusal
	patch := client.MergeFromWithOptions(w.rollout.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(FieldManager)); err != nil {
		log.FromContext(ctx).V(1).Info("a refused effect could not be noted in the status", "error", err.Error())
	}
	return refused
}

// sanitised is an error as text for a status: one line, bounded.
func sanitised(err error) string {
	return strings.ToValidUTF8(bounded(strings.Join(strings.Fields(err.Error()), " "), 500), "")
}
