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
	// run and hash of the record that the input belongs to.
	run, hash string
	canonical []byte
}

// before is the input that the next record of a run is the difference from. The first
// record of a run has none, also where one decision ends a run and begins another.
func (i *inputs) before(rollout *v1alpha1.Rollout, run string) []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	last, ok := i.last[client.ObjectKeyFromObject(rollout)]
	if record := rollout.Status.Record; !ok || last.run != run || record == nil || record.Hash != last.hash {
		return nil
	}
	return last.canonical
}

// note keeps the input of the decision that was just recorded.
func (i *inputs) note(rollout *v1alpha1.Rollout, canonical []byte, t plan.Result) {
	record := rollout.Status.Record
	if t.Record == nil || record == nil || len(record.Pending) == 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	pending := record.Pending[len(record.Pending)-1]
	newest := pending.Decision
	if newest.Input == nil || newest.Input.Form == v1alpha1.InputDigest || newest.Input.SHA256 != evidence.Digest(canonical) || !rollout.Status.Phase.InRun() {
		delete(i.last, client.ObjectKeyFromObject(rollout))
		return
	}
	if i.last == nil {
		i.last = map[types.NamespacedName]recordedInput{}
	}
	i.last[client.ObjectKeyFromObject(rollout)] = recordedInput{pending.Run, newest.Hash, canonical}
}

func (i *inputs) forget(rollout types.NamespacedName) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.last, rollout)
}

// extendRecord is where the run's record ends after a decision, without what the
// runs hold by now. With it comes the input as the decision's record keeps it; nil
// without a record.
func (r *Reconciler) extendRecord(ctx context.Context, l *look, t plan.Result) (*v1alpha1.RecordStatus, []byte, error) {
	end, err := r.endOfRecord(ctx, l, t.Status.Run, t.GoesOn)
	if err != nil || t.Record == nil {
		return end, nil, err
	}
	entry := evidence.Entry{Record: *t.Record, Number: t.Status.Decision.Seq, Last: t.Finished != nil}
	canonical, err := l.input.Canonical()
	if err != nil {
		return nil, nil, err
	}
	if entry.Record.Input, err = evidence.Describe(plan.Version, r.inputs.before(l.rollout, t.Status.Run), canonical); err != nil {
		return nil, nil, err
	}
	run := t.Status.Run
	var known []v1alpha1.DecisionRecord
	if l.run != nil && l.run.Name == run && end != nil {
		known = evidence.With(l.run.Status.Decisions, run, end.Pending)
	}
	extended, err := evidence.Extend(end, run, known, entry)
	return extended, canonical, err
}

// endOfRecord is where the record of a run ends before the present decision. Where
// the status does not go on where the run ends, the run is right: what the status
// lost counts as missing.
func (r *Reconciler) endOfRecord(ctx context.Context, l *look, run string, goesOn bool) (*v1alpha1.RecordStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, evidencePatience)
	defer cancel()
	end := l.rollout.Status.Record
	if end != nil {
		kept := *end
		kept.Pending = evidence.Unwritten(end.Pending, l.runs)
		end = &kept
		r.dropLost(ctx, l, end)
	}
	if l.run == nil || l.run.Name != run || evidence.Follows(end, run, l.run.Status.Decisions) {
		return end, nil
	}
	// The cache may lag behind our own last write: only the API server knows.
	live := &v1alpha1.RolloutRun{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(l.run), live); err != nil {
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
func (r *Reconciler) dropLost(ctx context.Context, l *look, end *v1alpha1.RecordStatus) {
	gone := map[string]bool{}
	for _, p := range end.Pending {
		known := slices.ContainsFunc(l.runs, func(run v1alpha1.RolloutRun) bool { return run.Name == p.Run })
		if _, asked := gone[p.Run]; known || asked || l.rollout.Status.Phase.InRun() && p.Run == l.rollout.Status.Run {
			continue
		}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: l.rollout.Namespace, Name: p.Run}, &v1alpha1.RolloutRun{})
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
func (r *Reconciler) smallest(ctx context.Context, l *look, t plan.Result) (*v1alpha1.RecordStatus, error) {
	run := t.Status.Run
	var held []v1alpha1.DecisionRecord
	live := &v1alpha1.RolloutRun{}
	switch err := r.Live.Get(ctx, client.ObjectKey{Namespace: l.rollout.Namespace, Name: run}, live); {
	case err == nil:
		held = live.Status.Decisions
	case client.IgnoreNotFound(err) != nil && l.run != nil && l.run.Name == run:
		held = l.run.Status.Decisions
	}
	end := evidence.EndOf(run, held, nil)
	if t.Record == nil {
		return end, nil
	}
	short := *t.Record
	short.Why, short.Effect, short.Input = v1alpha1.Bounded(short.Why, 256), v1alpha1.Bounded(short.Effect, 128), nil
	short.Verdicts = short.Verdicts[:min(1, len(short.Verdicts))]
	return evidence.Extend(end, run, held, evidence.Entry{Record: short, Number: t.Status.Decision.Seq, Last: t.Finished != nil})
}

// writeRuns gives the runs the decisions that wait, when it is time, and their
// outcome. Where that fails, what gives the candidate more must wait: what cannot
// be explained must not ship. What takes requests or pods away goes on, and the record
// is owed.
func (r *Reconciler) writeRuns(ctx context.Context, d decided, t plan.Result) (owed bool, err error) {
	if t.GoesOn {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, evidencePatience)
		defer cancel()
	}
	err = r.completeRuns(ctx, d)
	switch {
	case err == nil:
		return false, nil
	case t.GoesOn:
		evidenceFailures.WithLabelValues("GoesOn").Inc()
		log.FromContext(ctx).Error(err, "the run's record cannot be written; the decision is carried out all the same", "rule", t.Rule, "run", d.recorded.Status.Run)
		return true, nil
	default:
		evidenceFailures.WithLabelValues("Waits").Inc()
		return false, r.noteRefusal(ctx, d, plan.WriteRun, err)
	}
}

// completeRuns writes what the runs lack of what the Rollout's status says:
// decisions that wait, the outcome, and their labels. A crash may have come between,
// or an earlier attempt failed. One decision may end a run and begin another.
func (r *Reconciler) completeRuns(ctx context.Context, d decided) error {
	lacking := due(&d.recorded.Status, d.runs)
	for i := range d.runs {
		run := &d.runs[i]
		finished := finishedEntry(&d.recorded.Status, run.Name)
		lacks := slices.ContainsFunc(lacking, func(p v1alpha1.PendingDecision) bool { return p.Run == run.Name })
		if !lacks && complete(run, finished) {
			continue
		}
		written, err := r.completeRun(ctx, &d.recorded.Status, run, finished)
		if err != nil {
			return err
		}
		d.runs[i] = *written
		if d.run != nil && d.run.Name == run.Name {
			d.run = written
		}
	}
	return nil
}

// owes reports whether a run lacks what it should hold by now: completeRuns has
// something to write.
func owes(status *v1alpha1.RolloutStatus, runs []v1alpha1.RolloutRun) bool {
	return len(due(status, runs)) > 0 || slices.ContainsFunc(runs, func(run v1alpha1.RolloutRun) bool {
		return !complete(&run, finishedEntry(status, run.Name))
	})
}

// due are the decisions that the runs lack, when it is time to write them.
func due(status *v1alpha1.RolloutStatus, runs []v1alpha1.RolloutRun) []v1alpha1.PendingDecision {
	if status.Record == nil {
		return nil
	}
	unwritten := evidence.Unwritten(status.Record.Pending, runs)
	if !evidence.Due(status, unwritten) {
		return nil
	}
	return unwritten
}

// complete reports whether a run has its outcome, if it has ended, its labels, and its finalizer
// until then.
func complete(run *v1alpha1.RolloutRun, finished *v1alpha1.HistoryEntry) bool {
	return (finished == nil || run.Status.Outcome != "") && runs.Marked(run)
}

// completeRun applies what the Rollout loop owns of a run's status: everything but
// analysis. It reads past the cache where that does not hold all that the Rollout's
// status goes on from.
func (r *Reconciler) completeRun(ctx context.Context, recorded *v1alpha1.RolloutStatus, cached *v1alpha1.RolloutRun, finished *v1alpha1.HistoryEntry) (*v1alpha1.RolloutRun, error) {
	var err error
	run, behind := cached.DeepCopy(), !evidence.Follows(recorded.Record, cached.Name, cached.Status.Decisions)
	if !behind {
		err = r.applyRun(ctx, recorded, run, finished)
	}
	if behind || apierrors.IsConflict(err) {
		run = &v1alpha1.RolloutRun{}
		if err = r.Live.Get(ctx, client.ObjectKeyFromObject(cached), run); err == nil {
			err = r.applyRun(ctx, recorded, run, finished)
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		// One that was deleted has nothing left to complete.
		return cached, nil
	case err != nil:
		return nil, err
	case complete(run, finished):
		return run, nil
	default:
		// The labels come last: one with the outcome says that the record is whole.
		return run, r.markRun(ctx, run)
	}
}

// markRun gives a run its labels, and takes its finalizer once it has ended. Another loop may
// have written to it meanwhile: it is read once more then.
func (r *Reconciler) markRun(ctx context.Context, run *v1alpha1.RolloutRun) error {
	err := runs.Mark(ctx, r.Client, run, v1alpha1.FieldManager)
	if !apierrors.IsConflict(err) {
		return err
	}
	live := &v1alpha1.RolloutRun{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(run), live); err != nil {
		return client.IgnoreNotFound(err)
	}
	return runs.Mark(ctx, r.Client, live, v1alpha1.FieldManager)
}

// applyRun adds to a run what it lacks, if it is still as it was read: an apply removes
// what it leaves out, and so would take away what another process has added since.
func (r *Reconciler) applyRun(ctx context.Context, recorded *v1alpha1.RolloutStatus, run *v1alpha1.RolloutRun, finished *v1alpha1.HistoryEntry) error {
	status := run.Status
	status.Analysis, status.Images = nil, imagesOf(recorded, run)
	if record := recorded.Record; record != nil {
		status.Decisions = evidence.With(run.Status.Decisions, run.Name, record.Pending)
	}
	status.Head = evidence.Head(status.Decisions)
	if finished != nil && run.Status.Outcome == "" {
		status.Outcome, status.Trigger, status.Message, status.FinishedAt = finished.Outcome, finished.Trigger, finished.Message, &finished.FinishedAt
	}
	if len(status.Decisions) > len(run.Status.Decisions) || finished != nil && run.Status.Outcome == "" {
		if err := runs.ApplyStatus(ctx, r.Client, run, run.ResourceVersion, status, v1alpha1.FieldManager); err != nil {
			return err
		}
	}
	status.Analysis = run.Status.Analysis
	run.Status = status
	return nil
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
