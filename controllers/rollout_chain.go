package controllers

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
)

// evidencePatience bounds each attempt to write the run's record on the way to
// an effect that must not wait for it.
const evidencePatience = 2 * time.Second

// explain runs one write of the run's record. Where it fails, what gives the
// candidate more must wait: what cannot be explained must not ship. What takes
// requests or pods away goes on, and the record is owed.
func (r *RolloutReconciler) explain(ctx context.Context, w *world, d plan.Decision, write func(context.Context) error) error {
	goesOn := goesOnUnexplained(w, d)
	if goesOn {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, evidencePatience)
		defer cancel()
	}
	err := write(ctx)
	switch {
	case err == nil:
		return nil
	case goesOn && apierrors.IsNotFound(err):
		// The run's record was deleted: there is nothing left to complete.
		w.run = nil
		return nil
	case goesOn:
		evidenceFailures.WithLabelValues("GoesOn").Inc()
		log.FromContext(ctx).Error(err, "the run's record cannot be written; the decision is carried out all the same", "rule", d.Rule, "run", w.rollout.Status.Run)
		w.owed = true
		return nil
	default:
		evidenceFailures.WithLabelValues("Waits").Inc()
		return err
	}
}

// goesOnUnexplained holds for every decision but those that give the candidate
// more, and the one that lets a deleted Rollout go: after that nobody completes
// the record.
func goesOnUnexplained(w *world, d plan.Decision) bool {
	if w.input.Deleting != nil {
		_, last := d.Effect.(plan.Leave)
		return !last || w.input.ReleaseOverdue()
	}
	switch d.Status.Phase {
	case v1alpha1.PhaseStepping:
		return d.Weight != nil && d.Weight.To < d.Weight.From
	case v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
		return d.Weight != nil && d.Weight.To < d.Weight.From
	case v1alpha1.PhaseHandingOver:
		_, hands := d.Effect.(plan.HandOver)
		return !hands
	default:
		return true
	}
}

// completeChain writes what the run's record lacks of what the Rollout's status
// says: the last decision, the outcome, and its label. A crash may have come
// between, or an earlier attempt failed.
func (r *RolloutReconciler) completeChain(ctx context.Context, w *world) error {
	if err := r.completeFormer(ctx, w); err != nil {
		return err
	}
	last := w.rollout.Status.Decision
	finished := finishedEntry(&w.rollout.Status, w.rollout.Status.Run)
	if w.run == nil || chainComplete(w.run, last, finished) {
		return nil
	}
	// The cache may lag behind our own last write: only the API server knows.
	live := &v1alpha1.RolloutRun{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(w.run), live); err != nil {
		return fmt.Errorf("read run %s: %w", w.run.Name, err)
	}
	w.run = live
	if chainComplete(w.run, last, finished) {
		return nil
	}
	chain := w.run.Status.Decisions
	if last != nil && last.Seq > evidence.Count(chain) {
		var err error
		if chain, err = evidence.Append(chain, decisionRecord(w, last), last.Seq, finished != nil); err != nil {
			return err
		}
	}
	return r.writeRun(ctx, w, chain, finished)
}

// completeFormer gives runs their outcome that ended in the decision by which
// another one began: a bypass of another version in the middle of a run.
func (r *RolloutReconciler) completeFormer(ctx context.Context, w *world) error {
	for i := range w.runs {
		name := w.runs[i].Name
		finished := finishedEntry(&w.rollout.Status, name)
		if name == w.rollout.Status.Run || finished == nil || chainComplete(&w.runs[i], nil, finished) {
			continue
		}
		run := &v1alpha1.RolloutRun{}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(&w.runs[i]), run); err != nil {
			if apierrors.IsNotFound(err) {
				continue
			}
			return fmt.Errorf("read run %s: %w", name, err)
		}
		if chainComplete(run, nil, finished) {
			continue
		}
		status := v1alpha1.RolloutRunStatus{Decisions: run.Status.Decisions, Head: run.Status.Head, Images: run.Status.Images}
		end(&status, finished)
		if err := applyRunStatus(ctx, r.Client, run, status, FieldManager); err != nil {
			return err
		}
		if err := r.labelOutcome(ctx, run, finished.Outcome); err != nil {
			return err
		}
	}
	return nil
}

func end(status *v1alpha1.RolloutRunStatus, finished *v1alpha1.HistoryEntry) {
	status.Outcome, status.Trigger, status.Message, status.FinishedAt = finished.Outcome, finished.Trigger, finished.Message, &finished.FinishedAt
}

// chainComplete reports whether the run's record says what the Rollout's status
// does. A full chain has no place for more but the end.
func chainComplete(run *v1alpha1.RolloutRun, last *v1alpha1.DecisionSummary, finished *v1alpha1.HistoryEntry) bool {
	if finished != nil {
		return run.Status.Outcome != "" && run.Labels[v1alpha1.LabelOutcome] == string(run.Status.Outcome)
	}
	return last == nil || last.Seq <= evidence.Count(run.Status.Decisions) || evidence.Full(run.Status.Decisions)
}

func decisionRecord(w *world, last *v1alpha1.DecisionSummary) v1alpha1.DecisionRecord {
	return v1alpha1.DecisionRecord{
		At: last.At, Rule: last.Rule, Why: last.Why, Phase: w.rollout.Status.Phase, Weight: last.Weight, Actor: last.Actor,
	}
}

func (r *RolloutReconciler) appendDecision(ctx context.Context, w *world, d plan.Decision) error {
	last := w.rollout.Status.Decision
	if last.Seq == 0 {
		return nil
	}
	record := decisionRecord(w, last)
	record.Verdicts = w.input.Verdict.References
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
		end(&status, finished)
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

// labelOutcome comes last, so the label says that the record is whole.
func (r *RolloutReconciler) labelOutcome(ctx context.Context, run *v1alpha1.RolloutRun, outcome v1alpha1.Outcome) error {
	labelled := &v1alpha1.RolloutRun{}
	labelled.Namespace, labelled.Name = run.Namespace, run.Name
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelOutcome, outcome)
	err := r.Client.Patch(ctx, labelled, client.RawPatch("application/merge-patch+json", patch), client.FieldOwner(FieldManager))
	if err != nil {
		return fmt.Errorf("label run %s with its outcome: %w", run.Name, err)
	}
	return nil
}
