package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
)

// errNoRecord is what an API server with the definitions of an older Belay does.
var errNoRecord = errors.New("the API server dropped status.record: apply the CustomResourceDefinitions of this version (config/crd)")

// decided is a look after a decision was recorded: what its effects are carried out
// from.
type decided struct {
	*look
	// recorded is the Rollout with the decision in its status; the look's own is the
	// one that was observed.
	recorded *v1alpha1.Rollout
	// owed means that the run's record could not be written.
	owed bool
}

// record writes down a decision before its effect. The status patch carries the
// resource version that was observed, also when the status stays the same and
// an effect follows: whoever decided on a stale Rollout loses here, before it
// can touch anything. The decision's record is part of that status; it goes to the
// run with others, where a step ends. The event follows.
func (r *Reconciler) record(ctx context.Context, l *look, t plan.Result) (decided, error) {
	d := decided{look: l, recorded: l.rollout}
	next := l.rollout.DeepCopy()
	next.Status = t.Status
	var canonical []byte
	var err error
	if next.Status.Record, canonical, err = r.extendRecord(ctx, l, t); err != nil {
		return d, err
	}
	if len(t.Effects) == 0 && !changed(&l.rollout.Status, &next.Status) {
		if unrecorded(&next.Status) && !t.GoesOn {
			return d, errNoRecord
		}
		if d.owed, err = r.writeRuns(ctx, d, t); err != nil {
			return d, err
		}
		return d, r.prune(ctx, l, &next.Status)
	}
	evidence.Fit(&next.Status, evidence.MaxStatusBytes)
	if err := r.writeStatus(ctx, l, t, next); err != nil {
		if apierrors.IsInvalid(err) {
			err = r.noteRefusal(ctx, d, plan.WriteStatus, fmt.Errorf("apply the CustomResourceDefinitions of this version (config/crd): %w", err))
		}
		return d, fmt.Errorf("write the Rollout's status: %w", err)
	}
	if unrecorded(&next.Status) {
		evidenceFailures.WithLabelValues("Lost").Inc()
		if !t.GoesOn {
			return d, errNoRecord
		}
		log.FromContext(ctx).Error(errNoRecord, "the decision is carried out all the same", "rule", t.Rule)
	}
	d.recorded = next
	r.inputs.note(next, canonical, t)
	if t.News {
		r.announce(ctx, d, t)
	}
	d.owed, err = r.writeRuns(ctx, d, t)
	return d, err
}

// unrecorded holds for a run whose decisions are numbered and have no record: the
// API server has dropped it.
func unrecorded(s *v1alpha1.RolloutStatus) bool {
	return s.Phase.InRun() && s.Decision != nil && s.Decision.Seq > 0 && s.Record == nil
}

// writeStatus carries the resource version that was observed. What the API server
// does not take as it is, too large or against a rule, is written again with
// nothing but what the decision rests on, when the decision takes requests or
// pods away: a record that is refused never blocks a rollback.
func (r *Reconciler) writeStatus(ctx context.Context, l *look, t plan.Result, next *v1alpha1.Rollout) error {
	patch := client.MergeFromWithOptions(l.rollout.DeepCopy(), client.MergeFromWithOptimisticLock{})
	err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager))
	refused := apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsBadRequest(err)
	if !refused || !t.GoesOn {
		return err
	}
	evidenceFailures.WithLabelValues("GoesOn").Inc()
	log.FromContext(ctx).Error(err, "the status is refused; the smallest one that holds the decision is written instead", "rule", t.Rule)
	least := l.rollout.DeepCopy()
	s := &least.Status
	s.Phase, s.Epoch, s.Run, s.Runs, s.RunStartedAt = t.Status.Phase, t.Status.Epoch, t.Status.Run, t.Status.Runs, t.Status.RunStartedAt
	s.Candidate, s.Step, s.Rollback, s.Promotion, s.Rejected = t.Status.Candidate, t.Status.Step, t.Status.Rollback, t.Status.Promotion, t.Status.Rejected
	s.WouldRollBack, s.WouldHold = t.Status.WouldRollBack, t.Status.WouldHold
	s.Stable, s.Previous, s.History = t.Status.Stable, t.Status.Previous, t.Status.History
	if s.Record, err = r.smallest(ctx, l, t); err != nil {
		return err
	}
	if s.Decision = t.Status.Decision; s.Decision != nil {
		s.Decision.Why = v1alpha1.Bounded(s.Decision.Why, 256)
	}
	s.LastHandledAction, s.HandledTokens = t.Status.LastHandledAction, t.Status.HandledTokens
	s.Message = v1alpha1.Bounded(t.Why, 256)
	evidence.Fit(s, 0)
	next.Status = *s.DeepCopy()
	return r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager))
}

// changed reports whether a status says anything new. That the runs hold what was
// pending is no news while one is in progress.
func changed(was, next *v1alpha1.RolloutStatus) bool {
	if !next.Phase.InRun() || was.Record == nil || next.Record == nil || was.Record.Seq != next.Record.Seq {
		return !equality.Semantic.DeepEqual(was, next)
	}
	others := func(p v1alpha1.PendingDecision) bool { return p.Run != next.Run }
	if slices.ContainsFunc(was.Record.Pending, others) != slices.ContainsFunc(next.Record.Pending, others) {
		return true
	}
	same := *next
	same.Record = was.Record
	return !equality.Semantic.DeepEqual(was, &same)
}

// announce logs a decision and makes it an event, once, after it was recorded.
func (r *Reconciler) announce(ctx context.Context, d decided, t plan.Result) {
	log.FromContext(ctx).Info(t.Why, "rule", t.Rule, "phase", d.recorded.Status.Phase, "run", d.recorded.Status.Run,
		"weight", d.input.Route.Split, "effect", t.Does())
	decisions.WithLabelValues(t.Rule).Inc()
	if t.Finished != nil {
		countOutcome(t.Finished)
	}
	if t.WouldRollBack != nil {
		wouldRollBack.WithLabelValues(d.rollout.Namespace, d.rollout.Name, t.WouldRollBack.Trigger).Inc()
	}
	if t.Event == nil {
		return
	}
	kind := corev1.EventTypeNormal
	if t.Event.Warning {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(d.recorded, nil, kind, t.Event.Reason, "Decide", "%s", t.Event.Message)
}

// prune deletes runs beyond the history limit, when there is nothing else to do.
func (r *Reconciler) prune(ctx context.Context, l *look, status *v1alpha1.RolloutStatus) error {
	if status.Phase.InRun() || l.input.Deleting != nil {
		return nil
	}
	remembered := map[string]bool{}
	for _, rejected := range status.Rejected {
		remembered[rejected.Revision] = true
	}
	for _, run := range evidence.Expired(l.runs, int(max(1, l.rollout.Spec.HistoryLimit)), remembered) {
		if err := r.Client.Delete(ctx, &run); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete the expired run %s: %w", run.Name, err)
		}
	}
	return nil
}

// noteRefusal shows in the status that the API server does not take an effect, and
// since when. It returns the error, for the look after this one. A conflict is no
// refusal: somebody else was first.
func (r *Reconciler) noteRefusal(ctx context.Context, d decided, effect string, refused error) error {
	if apierrors.IsConflict(refused) || ctx.Err() != nil {
		return refused
	}
	next := d.recorded.DeepCopy()
	refusal := &v1alpha1.Refusal{Effect: v1alpha1.Bounded(effect, 256), Message: sanitised(refused), Since: metav1.NewTime(d.input.Now)}
	if was := next.Status.Refusal; was != nil && was.Effect == refusal.Effect {
		// The first text stays: one that differs each time, by a port or a request's
		// number, would wake the Rollout by its own writes.
		return refused
	}
	next.Status.Refusal = refusal
	if effect == plan.WriteStatus {
		next.Status.Message = "nothing is done: the API server does not let Belay " + refusal.Effect + ": " + refusal.Message
	}
	patch := client.MergeFromWithOptions(d.recorded.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		log.FromContext(ctx).V(1).Info("a refused effect could not be noted in the status", "error", err.Error())
	}
	return refused
}

// sanitised is an error as text for a status: one line, bounded.
func sanitised(err error) string {
	return v1alpha1.Bounded(strings.Join(strings.Fields(err.Error()), " "), 500)
}
