package rollout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/runs"
)

// evidencePatience bounds each attempt to write a run's record on the way to an
// effect that must not wait for it.
const evidencePatience = 2 * time.Second

// inputs are those of the newest recorded decision of each Rollout, so that the next
// record holds only the difference. What is not known here is recorded whole.
type inputs struct {
	mu   sync.Mutex
	last map[types.NamespacedName]recordedInput
}

type recordedInput struct {
	// hash of the record that the input belongs to.
	hash      string
	canonical []byte
}

func (i *inputs) before(rollout *v1alpha1.Rollout) []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	last, ok := i.last[client.ObjectKeyFromObject(rollout)]
	if record := rollout.Status.Record; !ok || record == nil || record.Hash != last.hash {
		return nil
	}
	return last.canonical
}

// note keeps the input of the decision that was just recorded.
func (i *inputs) note(w *world, t plan.Result) {
	record := w.rollout.Status.Record
	if t.Record == nil || record == nil || len(record.Pending) == 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	newest := record.Pending[len(record.Pending)-1].Decision
	if newest.Input == nil || newest.Input.Form == v1alpha1.InputDigest || newest.Input.SHA256 != evidence.Digest(w.canonical) || !w.rollout.Status.Phase.InRun() {
		delete(i.last, client.ObjectKeyFromObject(w.rollout))
		return
	}
	if i.last == nil {
		i.last = map[types.NamespacedName]recordedInput{}
	}
	i.last[client.ObjectKeyFromObject(w.rollout)] = recordedInput{newest.Hash, w.canonical}
}

func (i *inputs) forget(rollout types.NamespacedName) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.last, rollout)
}

// extendRecord is where the run's record ends after a decision, without what the
// runs hold by now.
func (r *Reconciler) extendRecord(ctx context.Context, w *world, t plan.Result) (*v1alpha1.RecordStatus, error) {
	end, err := r.endOfRecord(ctx, w, t.Status.Run, t.GoesOn)
	if err != nil || t.Record == nil {
		return end, err
	}
	entry := evidence.Entry{Record: *t.Record, Number: t.Status.Decision.Seq, Last: t.Finished != nil}
	if w.canonical, err = w.input.Canonical(); err != nil {
		return nil, err
	}
	if entry.Record.Input, err = evidence.Describe(plan.Version, r.inputs.before(w.rollout), w.canonical); err != nil {
		return nil, err
	}
	run := t.Status.Run
	var known []v1alpha1.DecisionRecord
	if w.run != nil && w.run.Name == run && end != nil {
		known = evidence.With(w.run.Status.Decisions, run, end.Pending)
	}
	return evidence.Extend(end, run, known, entry)
}

// endOfRecord is where the record of a run ends before the present decision. Where
// the status does not go on where the run ends, the run is right: what the status
// lost counts as missing.
func (r *Reconciler) endOfRecord(ctx context.Context, w *world, run string, goesOn bool) (*v1alpha1.RecordStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, evidencePatience)
	defer cancel()
	end := w.rollout.Status.Record
	if end != nil {
		kept := *end
		kept.Pending = evidence.Unwritten(end.Pending, w.runs)
		end = &kept
		r.dropLost(ctx, w, end)
	}
	if w.run == nil || w.run.Name != run || evidence.Follows(end, run, w.run.Status.Decisions) {
		return end, nil
	}
	// The cache may lag behind our own last write: only the API server knows.
	live := &v1alpha1.RolloutRun{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(w.run), live); err != nil {
		if apierrors.IsNotFound(err) || goesOn {
			return end, nil
		}
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	if evidence.Follows(end, run, live.Status.Decisions) {
		return end, nil
	}
	if end != nil && end.Run == run {
		evidenceFailures.WithLabelValues("Lost").Inc()
		log.FromContext(ctx).Info("the status does not go on where the run's record ends: it goes on from the run", "run", run)
	}
	return evidence.EndOf(run, live.Status.Decisions, end), nil
}

// dropLost drops what waits for runs that are gone, or were never made: nobody will
// hold it. What cannot be read waits on.
func (r *Reconciler) dropLost(ctx context.Context, w *world, end *v1alpha1.RecordStatus) {
	gone := map[string]bool{}
	for _, p := range end.Pending {
		known := slices.ContainsFunc(w.runs, func(run v1alpha1.RolloutRun) bool { return run.Name == p.Run })
		if _, asked := gone[p.Run]; known || asked || p.Run == w.rollout.Status.Run {
			continue
		}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: w.rollout.Namespace, Name: p.Run}, &v1alpha1.RolloutRun{})
		gone[p.Run] = apierrors.IsNotFound(err)
	}
	before := len(end.Pending)
	end.Pending = slices.DeleteFunc(slices.Clone(end.Pending), func(p v1alpha1.PendingDecision) bool { return gone[p.Run] })
	if n := before - len(end.Pending); n > 0 {
		evidenceFailures.WithLabelValues("Lost").Add(float64(n))
		log.FromContext(ctx).Info("decisions of runs that do not exist are dropped", "decisions", n)
	}
}

// smallest is the record for a status that the API server does not take as it is:
// what waited is lost and counts as missing, and only the present decision waits, in
// its shortest form.
func (r *Reconciler) smallest(ctx context.Context, w *world, t plan.Result) (*v1alpha1.RecordStatus, error) {
	run := t.Status.Run
	var held []v1alpha1.DecisionRecord
	live := &v1alpha1.RolloutRun{}
	switch err := r.Live.Get(ctx, client.ObjectKey{Namespace: w.rollout.Namespace, Name: run}, live); {
	case err == nil:
		held = live.Status.Decisions
	case client.IgnoreNotFound(err) != nil && w.run != nil && w.run.Name == run:
		held = w.run.Status.Decisions
	}
	end := evidence.EndOf(run, held, nil)
	if t.Record == nil {
		return end, nil
	}
	short := *t.Record
	short.Why, short.Effect, short.Input = bounded(short.Why, 256), bounded(short.Effect, 128), nil
	short.Verdicts = short.Verdicts[:min(1, len(short.Verdicts))]
	return evidence.Extend(end, run, held, evidence.Entry{Record: short, Number: t.Status.Decision.Seq, Last: t.Finished != nil})
}

// writeRuns gives the runs the decisions that wait, when it is time, and their
// outcome. Where that fails, what gives the candidate more must wait: what cannot
// be explained must not ship. What takes requests or pods away goes on.
func (r *Reconciler) writeRuns(ctx context.Context, w *world, t plan.Result) error {
	if t.GoesOn {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, evidencePatience)
		defer cancel()
	}
	err := r.completeRuns(ctx, w)
	switch {
	case err == nil:
		return nil
	case t.GoesOn:
		evidenceFailures.WithLabelValues("GoesOn").Inc()
		log.FromContext(ctx).Error(err, "the run's record cannot be written; the decision is carried out all the same", "rule", t.Rule, "run", w.rollout.Status.Run)
		w.owed = true
		return nil
	default:
		evidenceFailures.WithLabelValues("Waits").Inc()
		return r.noteRefusal(ctx, w, plan.WriteRun, err)
	}
}

// completeRuns writes what the runs lack of what the Rollout's status says:
// decisions that wait, the outcome, and its label. A crash may have come between,
// or an earlier attempt failed. One decision may end a run and begin another.
func (r *Reconciler) completeRuns(ctx context.Context, w *world) error {
	due := w.due()
	for i := range w.runs {
		run := &w.runs[i]
		finished := finishedEntry(&w.rollout.Status, run.Name)
		lacks := slices.ContainsFunc(due, func(p v1alpha1.PendingDecision) bool { return p.Run == run.Name })
		if !lacks && complete(run, finished) {
			continue
		}
		written, err := r.completeRun(ctx, w, run, finished)
		if err != nil {
			return err
		}
		w.runs[i] = *written
		if w.run != nil && w.run.Name == run.Name {
			w.run = written
		}
	}
	return nil
}

// owes reports whether a run lacks what it should hold by now: completeRuns has
// something to write.
func (w *world) owes() bool {
	return len(w.due()) > 0 || slices.ContainsFunc(w.runs, func(run v1alpha1.RolloutRun) bool {
		return !complete(&run, finishedEntry(&w.rollout.Status, run.Name))
	})
}

// due are the decisions that the runs lack, when it is time to write them.
func (w *world) due() []v1alpha1.PendingDecision {
	status := &w.rollout.Status
	if status.Record == nil {
		return nil
	}
	unwritten := evidence.Unwritten(status.Record.Pending, w.runs)
	if !evidence.Due(status, unwritten) {
		return nil
	}
	return unwritten
}

// complete reports whether a run's record has its end.
func complete(run *v1alpha1.RolloutRun, finished *v1alpha1.HistoryEntry) bool {
	return finished == nil || run.Status.Outcome != "" && run.Labels[v1alpha1.LabelOutcome] == string(run.Status.Outcome)
}

// completeRun applies what the Rollout loop owns of a run's status: everything but
// analysis. It reads past the cache where that does not hold all that the Rollout's
// status goes on from.
func (r *Reconciler) completeRun(ctx context.Context, w *world, cached *v1alpha1.RolloutRun, finished *v1alpha1.HistoryEntry) (*v1alpha1.RolloutRun, error) {
	run := cached.DeepCopy()
	if !evidence.Follows(w.rollout.Status.Record, run.Name, run.Status.Decisions) {
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(cached), run); err != nil {
			// One that was deleted has nothing left to complete.
			return cached, client.IgnoreNotFound(err)
		}
	}
	status := v1alpha1.RolloutRunStatus{Images: imagesOf(&w.rollout.Status, run), Decisions: run.Status.Decisions}
	if record := w.rollout.Status.Record; record != nil {
		status.Decisions = evidence.With(run.Status.Decisions, run.Name, record.Pending)
	}
	status.Head = evidence.Head(status.Decisions)
	if finished != nil {
		status.Outcome, status.Trigger, status.Message, status.FinishedAt = finished.Outcome, finished.Trigger, finished.Message, &finished.FinishedAt
	}
	if run.Status.Outcome == "" || len(status.Decisions) > len(run.Status.Decisions) {
		if err := runs.ApplyStatus(ctx, r.Client, run, status, v1alpha1.FieldManager); err != nil {
			if apierrors.IsNotFound(err) {
				return cached, nil
			}
			return nil, err
		}
	}
	status.Analysis = run.Status.Analysis
	run.Status = status
	if complete(run, finished) {
		return run, nil
	}
	return run, r.labelOutcome(ctx, run, finished.Outcome)
}

// imagesOf are a run's, as the status knows them of its version on trial or by now
// stable, or as the run had them.
func imagesOf(status *v1alpha1.RolloutStatus, run *v1alpha1.RolloutRun) []v1alpha1.ContainerImage {
	for _, known := range []*v1alpha1.Revision{status.Candidate, status.Stable} {
		if known != nil && known.Revision == run.Spec.Revision && len(known.Images) > 0 {
			return known.Images
		}
	}
	return run.Status.Images
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

// labelOutcome comes last, so the label says that the record is whole.
func (r *Reconciler) labelOutcome(ctx context.Context, run *v1alpha1.RolloutRun, outcome v1alpha1.Outcome) error {
	labelled := &v1alpha1.RolloutRun{}
	labelled.Namespace, labelled.Name = run.Namespace, run.Name
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelOutcome, outcome)
	err := r.Client.Patch(ctx, labelled, client.RawPatch("application/merge-patch+json", patch), client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("label run %s with its outcome: %w", run.Name, err)
	}
	return nil
}
