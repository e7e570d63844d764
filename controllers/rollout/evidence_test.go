package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/runs"
	"belay.dev/belay/controllers/wake"
)

// book is a Rollout in a run and the run's record, on an API server that may refuse
// or drop what is written.
type book struct {
	t       *testing.T
	client  client.Client
	r       *Reconciler
	at      time.Time
	run     string
	refuse  func(*v1alpha1.Rollout) bool
	prune   bool
	runDown bool
	// unreadable runs: the API server answers from its cache alone.
	unreadable bool
	// unlisted runs: the cache has not seen them.
	unlisted bool
	// desired is the canary's size, as a part of the input.
	desired int32
}

func openBook(t *testing.T, runs ...*v1alpha1.RolloutRun) *book {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "team"}}
	rollout.Status.Phase, rollout.Status.Run = v1alpha1.PhaseStepping, "shop-1"
	b := &book{t: t, at: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), run: "shop-1"}
	build := fake.NewClientBuilder().WithScheme(scheme).WithObjects(rollout).WithStatusSubresource(&v1alpha1.Rollout{}, &v1alpha1.RolloutRun{}).
		WithIndex(&v1alpha1.RolloutRun{}, wake.ByRollout, wake.RolloutOf)
	for _, run := range runs {
		build = build.WithObjects(run)
	}
	b.client = build.WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if b.unlisted {
				return nil
			}
			return c.List(ctx, list, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if r, ok := o.(*v1alpha1.Rollout); ok {
				if b.refuse != nil && b.refuse(r) {
					return apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("Rollout").GroupKind(), r.Name, nil)
				}
				if b.prune {
					r.Status.Record = nil
				}
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			if b.runDown {
				return apierrors.NewInternalError(fmt.Errorf("etcdserver: request timed out"))
			}
			return c.SubResource(sub).Apply(ctx, o, opts...)
		},
	}).Build()
	live := interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, ok := o.(*v1alpha1.RolloutRun); ok && b.unreadable {
			return apierrors.NewTimeoutError("read of rolloutruns", 1)
		}
		return c.Get(ctx, key, o, opts...)
	}})
	b.r = &Reconciler{Client: b.client, Live: live, Events: &events.FakeRecorder{}}
	return b
}

func runOf(name string, rules ...string) *v1alpha1.RolloutRun {
	run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", UID: "run-uid"}}
	run.Spec.Rollout.Name, run.Spec.Revision = "shop", "bbbbbbbbbb"
	run.Labels, run.Finalizers = runs.Labels(run), runs.Finalizers(run)
	var end *v1alpha1.RecordStatus
	for i, rule := range rules {
		end, _ = evidence.Extend(end, name, nil, evidence.Entry{Record: v1alpha1.DecisionRecord{Rule: rule, Phase: v1alpha1.PhaseStepping}, Number: int32(i) + 1})
	}
	if end != nil {
		run.Status.Decisions = evidence.With(nil, name, end.Pending)
		run.Status.Head = evidence.Head(run.Status.Decisions)
	}
	return run
}

func (b *book) rollout() *v1alpha1.Rollout {
	b.t.Helper()
	rollout := &v1alpha1.Rollout{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "team", Name: "shop"}, rollout); err != nil {
		b.t.Fatal(err)
	}
	return rollout
}

// decides records one decision of a rule, with an effect unless it is a wait, and
// reports what recording it said.
func (b *book) decides(rule string, change ...func(*plan.Result)) error {
	b.t.Helper()
	b.at = b.at.Add(time.Second)
	observed := b.rollout()
	in := plan.Input{Now: b.at, Name: "shop", Status: *observed.Status.DeepCopy()}
	in.Canary.Desired = b.desired
	l := &look{rollout: observed, input: in}
	if err := b.r.observeRuns(b.t.Context(), l); err != nil {
		b.t.Fatal(err)
	}
	last := int32(0)
	if d := observed.Status.Decision; d != nil {
		last = d.Seq
	}
	d := plan.Decision{Rule: rule, Why: strings.Repeat("why ", 100), Status: *observed.Status.DeepCopy(), Effects: []plan.Effect{plan.SetSplit{Weight: last}}, Progress: plan.Reconciling, Reason: "X"}
	d.Status.Decision = &v1alpha1.DecisionSummary{Rule: rule, Seq: last + 1, Why: d.Why, At: metav1.NewTime(b.at)}
	t := plan.Result{Decision: d, News: true}
	for _, c := range change {
		c(&t)
	}
	t.Record = &v1alpha1.DecisionRecord{At: metav1.NewTime(b.at), Rule: rule, Why: t.Why, Phase: t.Status.Phase, Effect: "x"}
	if len(t.Effects) == 0 {
		t.Record.Effect = ""
	}
	_, err := b.r.record(b.t.Context(), l, t)
	return err
}

func rollsBack(t *plan.Result) { t.Status.Phase, t.GoesOn = v1alpha1.PhaseRollingBack, true }
func onlyWaits(t *plan.Result) { t.Effects, t.Why = nil, "short" }
func ends(t *plan.Result) {
	e := v1alpha1.HistoryEntry{Run: t.Status.Run, Outcome: v1alpha1.OutcomeRolledBack, StartedAt: t.Status.Decision.At, FinishedAt: t.Status.Decision.At}
	t.Status.Phase, t.GoesOn, t.Finished, t.Status.History = v1alpha1.PhaseRolledBack, true, &e, []v1alpha1.HistoryEntry{e}
}

func (b *book) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// holds checks the run's record and lists its rules; a number is how many decisions
// are missing before one.
func (b *book) holds(want ...string) {
	b.t.Helper()
	run := &v1alpha1.RolloutRun{}
	b.must(b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "team", Name: b.run}, run))
	if err := evidence.Verify(run.Status.Decisions, run.Status.Head); err != nil {
		b.t.Error(err)
	}
	var got []string
	for _, d := range run.Status.Decisions {
		if d.Missing > 0 {
			got = append(got, fmt.Sprint(d.Missing))
		}
		got = append(got, d.Rule)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("the run holds %v, want %v", got, want)
	}
}

// TestARefusedStatusLosesWhatItSays: the API server takes no status with pending
// decisions for a while. What is lost is counted, the record verifies, and the same
// decision is written once.
func TestARefusedStatusLosesWhatItSays(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.must(b.decides("RunStarts"))
	b.must(b.decides("SplitsRoute"))
	b.refuse = func(r *v1alpha1.Rollout) bool { return r.Status.Record != nil && len(r.Status.Record.Pending) > 1 }
	b.must(b.decides("TriggerFired", rollsBack))
	b.refuse = nil
	if d := b.rollout().Status.Decision; d == nil || d.Rule != "TriggerFired" || d.Seq != 3 {
		t.Fatalf("the last decision is %+v: it would be news again", d)
	}
	b.must(b.decides("RollbackAtZero", rollsBack))
	b.must(b.decides("RollbackDone", ends))
	b.holds("2", "TriggerFired", "RollbackAtZero", "RollbackDone")
}

// TestARecordGoesOnFromARunOfAnOlderBuild, whose status knows no record.
func TestARecordGoesOnFromARunOfAnOlderBuild(t *testing.T) {
	b := openBook(t, runOf("shop-1", "RunStarts", "SplitsRoute"))
	rollout := b.rollout()
	rollout.Status.Decision = &v1alpha1.DecisionSummary{Rule: "SplitsRoute", Seq: 2, At: metav1.NewTime(b.at)}
	b.must(b.client.Status().Update(t.Context(), rollout))
	b.must(b.decides("FormerRun", rollsBack))
	b.must(b.decides("RollbackDone", ends))
	b.holds("RunStarts", "SplitsRoute", "FormerRun", "RollbackDone")
}

// TestARestoredStatusGoesOnWhereTheRunEnds: what was decided after the backup is in
// the run, and is not written over.
func TestARestoredStatusGoesOnWhereTheRunEnds(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.must(b.decides("RunStarts"))
	backup := b.rollout().Status.DeepCopy()
	b.must(b.decides("SetsWeight"))
	b.must(b.decides("StepPassed", func(t *plan.Result) { t.Status.Phase = v1alpha1.PhasePromoting }))
	b.holds("RunStarts", "SetsWeight", "StepPassed")
	rollout := b.rollout()
	rollout.Status = *backup
	b.must(b.client.Status().Update(t.Context(), rollout))
	b.must(b.decides("TriggerFired", rollsBack))
	b.must(b.decides("RollbackDone", ends))
	b.holds("RunStarts", "SetsWeight", "StepPassed", "TriggerFired", "RollbackDone")
}

// TestWhatWaitsForARunThatWasNeverMadeGoes, so that the next run has a record.
func TestWhatWaitsForARunThatWasNeverMadeGoes(t *testing.T) {
	b := openBook(t)
	for attempt := 1; attempt <= 9; attempt++ {
		name := fmt.Sprintf("shop-%d", attempt)
		starts := func(t *plan.Result) { t.Status.Run, t.Status.Phase = name, v1alpha1.PhaseStepping }
		for range 4 {
			_ = b.decides("RunStarts", starts)
		}
		_ = b.decides("RollbackDone", starts, ends)
	}
	b.run = "shop-10"
	b.must(b.client.Create(t.Context(), runOf(b.run)))
	starts := func(t *plan.Result) {
		t.Status.Run, t.Status.Phase, t.Status.Decision.Seq = b.run, v1alpha1.PhaseStepping, 1
	}
	b.must(b.decides("RunStarts", starts))
	b.must(b.decides("RollbackDone", ends))
	b.holds("RunStarts", "RollbackDone")
}

// TestDefinitionsOfAnOlderBelay drop the record: then the candidate gets nothing
// more, and the error says what to do.
func TestDefinitionsOfAnOlderBelay(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.prune = true
	for range 3 {
		if err := b.decides("SetsWeight"); err == nil || !strings.Contains(err.Error(), "config/crd") {
			t.Errorf("recording it said %v", err)
		}
	}
	b.must(b.decides("TriggerFired", rollsBack))
}

// TestARunThatTheListDoesNotShow is written all the same.
func TestARunThatTheListDoesNotShow(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.unlisted = true
	b.must(b.decides("RunStarts"))
	b.must(b.decides("TriggerFired", rollsBack))
	b.must(b.decides("RollbackDone", ends))
	b.holds("RunStarts", "TriggerFired", "RollbackDone")
}

// TestEditedLabelsOfARun come back at the next look, and a run whose labels somebody
// changed holds its record and its outcome all the same.
func TestEditedLabelsOfARun(t *testing.T) {
	for name, edit := range map[string]func(map[string]string){
		"the Rollout removed":    func(labels map[string]string) { delete(labels, v1alpha1.LabelRollout) },
		"another Rollout":        func(labels map[string]string) { labels[v1alpha1.LabelRollout] = "other" },
		"another revision":       func(labels map[string]string) { labels[v1alpha1.LabelRevision] = "cccccccccc" },
		"another outcome":        func(labels map[string]string) { labels[v1alpha1.LabelOutcome] = string(v1alpha1.OutcomePromoted) },
		"the outcome removed":    func(labels map[string]string) { delete(labels, v1alpha1.LabelOutcome) },
		"all of them":            func(labels map[string]string) { clear(labels) },
		"one of somebody else's": func(labels map[string]string) { labels["team"] = "shop" },
	} {
		t.Run(name, func(t *testing.T) {
			b := openBook(t, runOf("shop-1"))
			edited := func() {
				t.Helper()
				run := read(t, b.client, client.ObjectKey{Namespace: "team", Name: "shop-1"}, &v1alpha1.RolloutRun{})
				edit(run.Labels)
				b.must(b.client.Update(t.Context(), run))
			}
			labelled := func() {
				t.Helper()
				run := read(t, b.client, client.ObjectKey{Namespace: "team", Name: "shop-1"}, &v1alpha1.RolloutRun{})
				delete(run.Labels, "team")
				if wanted := runs.Labels(run); !maps.Equal(run.Labels, wanted) {
					t.Errorf("the labels are %v, want %v", run.Labels, wanted)
				}
			}
			b.must(b.decides("RunStarts"))
			edited()
			b.must(b.decides("SetsWeight"))
			labelled()
			edited()
			b.must(b.decides("TriggerFired", rollsBack))
			b.must(b.decides("RollbackDone", ends))
			labelled()
			edited()
			b.must(b.decides("RolledBack", onlyWaits))
			labelled()
			b.holds("RunStarts", "SetsWeight", "TriggerFired", "RollbackDone", "RolledBack")
		})
	}
}

// TestAnOutcomeOfSomebodyElses: the API server lets nobody change an outcome. The
// record goes on, and nothing is owed for ever.
func TestAnOutcomeOfSomebodyElses(t *testing.T) {
	run := runOf("shop-1")
	run.Status.Outcome = v1alpha1.OutcomePromoted
	b := openBook(t, run)
	b.must(b.decides("RunStarts"))
	b.must(b.decides("TriggerFired", rollsBack))
	b.must(b.decides("RollbackDone", ends))
	b.holds("RunStarts", "TriggerFired", "RollbackDone")
	after := read(t, b.client, client.ObjectKeyFromObject(run), &v1alpha1.RolloutRun{})
	if after.Status.Outcome != v1alpha1.OutcomePromoted || owes(&b.rollout().Status, []v1alpha1.RolloutRun{*after}) {
		t.Errorf("the outcome is %s, and the labels %v", after.Status.Outcome, after.Labels)
	}
}

// TestAnUnwrittenRecordIsShown: the status says why a release does not go on.
func TestAnUnwrittenRecordIsShown(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.must(b.decides("RunStarts"))
	b.runDown = true
	promotes := func(t *plan.Result) { t.Status.Phase = v1alpha1.PhasePromoting }
	if err := b.decides("StepsPassed", promotes); err == nil {
		t.Fatal("the release goes on")
	}
	refusal := b.rollout().Status.Refusal
	if refusal == nil || refusal.Effect != plan.WriteRun || !strings.Contains(refusal.Message, "etcdserver: request timed out") {
		t.Fatalf("the status shows %+v", refusal)
	}
	b.must(b.decides("TriggerFired", rollsBack))
	b.runDown = false
	b.must(b.decides("RollbackDone", ends))
	b.holds("RunStarts", "StepsPassed", "TriggerFired", "RollbackDone")
}

// TestInputsFollowTheirRecord: where a decision found no place, the next one is kept
// so that it can be rebuilt.
func TestInputsFollowTheirRecord(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.runDown = true
	for n := range 22 {
		if n == 20 {
			b.desired = 7
		}
		_ = b.decides("AwaitsCanary", onlyWaits)
	}
	if n := len(b.rollout().Status.Record.Pending); n != 20 {
		t.Fatalf("%d decisions wait, two were to find no place", n)
	}
	_ = b.decides("SetsWeight")
	_ = b.decides("RemovesCanary")
	var before []byte
	for _, p := range b.rollout().Status.Record.Pending {
		input, err := evidence.Rebuild(before, p.Decision.Input)
		if err != nil && p.Decision.Input.Form != v1alpha1.InputDigest {
			t.Errorf("decision %d, %d missing before: %v", p.Decision.Seq, p.Decision.Missing, err)
		}
		before = input
	}
}

// TestAnOwedLabelWritesNothing: another run lacks nothing but its label, which is
// refused. The status says so once, and is not written at each look.
func TestAnOwedLabelWritesNothing(t *testing.T) {
	b := openBook(t, runOf("shop-1"), runOf("shop-0", "RunStarts"))
	b.must(b.decides("RunStarts"))
	rollout := b.rollout()
	at := metav1.NewTime(b.at)
	rollout.Status.History = []v1alpha1.HistoryEntry{{Run: "shop-0", Outcome: v1alpha1.OutcomeRolledBack, StartedAt: at, FinishedAt: at}}
	b.must(b.client.Status().Update(t.Context(), rollout))
	b.runDown = true
	look := func() *v1alpha1.Rollout {
		t.Helper()
		observed := b.rollout()
		l := &look{rollout: observed, input: plan.Input{Now: b.at, Status: *observed.Status.DeepCopy()}}
		b.must(b.r.observeRuns(t.Context(), l))
		if !l.input.Run.Owed {
			t.Fatal("nothing is owed")
		}
		d := plan.Decision{Rule: "StepHolds", Status: *observed.Status.DeepCopy()}
		if _, err := b.r.record(t.Context(), l, plan.Result{Decision: d}); err == nil {
			t.Fatal("the release goes on")
		}
		b.at = b.at.Add(time.Second)
		return b.rollout()
	}
	first := look()
	if r := first.Status.Refusal; r == nil || r.Effect != plan.WriteRun {
		t.Fatalf("the status shows %+v", r)
	}
	for range 3 {
		if again := look(); again.ResourceVersion != first.ResourceVersion {
			t.Fatalf("the status was written again: %+v", again.Status.Refusal)
		}
	}
}

// TestARollbackWaitsForNoRead of a run: what cannot be read waits on.
func TestARollbackWaitsForNoRead(t *testing.T) {
	b := openBook(t, runOf("shop-1", "RunStarts", "SplitsRoute"))
	b.unreadable = true
	b.must(b.decides("TriggerFired", rollsBack))
	if phase := b.rollout().Status.Phase; phase != v1alpha1.PhaseRollingBack {
		t.Errorf("the phase is %s", phase)
	}
	if err := b.decides("SetsWeight", func(t *plan.Result) { t.Status.Phase = v1alpha1.PhaseStepping }); err == nil {
		t.Error("the candidate gets more, and nobody knows where its record ends")
	}
}

// TestALateControllerDoesNotTakeARunsEndAway: it was suspended between the record and
// the write to the run, and another one has ended the run since.
func TestALateControllerDoesNotTakeARunsEndAway(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.must(b.decides("RunStarts"))
	b.runDown = true
	if err := b.decides("StepPassed", func(t *plan.Result) { t.Status.Phase = v1alpha1.PhasePromoting }); err == nil {
		t.Fatal("the run was written")
	}
	b.runDown = false
	// What the suspended controller has read: the status that it wrote, and the run.
	suspended := decided{look: &look{rollout: b.rollout(), input: plan.Input{Now: b.at}}, recorded: b.rollout()}
	b.must(b.r.observeRuns(t.Context(), suspended.look))
	if len(due(&suspended.recorded.Status, suspended.runs)) == 0 {
		t.Fatal("it has nothing to write")
	}
	b.must(b.decides("TriggerFired", rollsBack))
	b.must(b.decides("RollbackDone", ends))
	b.holds("RunStarts", "StepPassed", "TriggerFired", "RollbackDone")

	b.must(b.r.completeRuns(t.Context(), suspended))

	b.holds("RunStarts", "StepPassed", "TriggerFired", "RollbackDone")
	run := &v1alpha1.RolloutRun{}
	b.must(b.client.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: "shop-1"}, run))
	if run.Status.Outcome != v1alpha1.OutcomeRolledBack || run.Status.FinishedAt == nil {
		t.Errorf("the run's outcome is %q, finished at %v; it was RolledBack", run.Status.Outcome, run.Status.FinishedAt)
	}
}

// TestADeletedRunIsNotOwedForEver: a run ended, its record was refused, and somebody deleted the run: nobody will hold
// what waits for it. The Rollout, at rest, must not owe it for ever.
func TestADeletedRunIsNotOwedForEver(t *testing.T) {
	r, _ := loopOn(t, interceptor.Funcs{})
	l := &look{rollout: newRollout()}
	l.rollout.Status.Phase, l.rollout.Status.Run = v1alpha1.PhaseStable, "shop-b-1"
	pending := []v1alpha1.PendingDecision{{Run: "shop-b-1", Decision: v1alpha1.DecisionRecord{Seq: 1}}}
	l.rollout.Status.Record = &v1alpha1.RecordStatus{Run: "shop-b-1", Seq: 1, Pending: pending}
	end := *l.rollout.Status.Record
	r.dropLost(t.Context(), l, &end)
	l.rollout.Status.Record = &end
	if owes(&l.rollout.Status, nil) {
		t.Error("the record of a deleted run is owed for ever")
	}
}

// TestARefusedStatusIsSaidOnce: the API server has the CustomResourceDefinition of another
// build, which lets no Stepping follow by Baking. The status says so, and is not written
// at each look.
func TestARefusedStatusIsSaidOnce(t *testing.T) {
	b := openBook(t, runOf("shop-1"))
	b.must(b.decides("RunStarts"))
	bakes := func(t *plan.Result) { t.Status.Phase, t.Status.Refusal = v1alpha1.PhaseBaking, nil }
	b.refuse = func(r *v1alpha1.Rollout) bool { return r.Status.Phase == v1alpha1.PhaseBaking }
	if err := b.decides("StepsPassed", bakes); err == nil {
		t.Fatal("nothing is refused")
	}
	first := b.rollout()
	r := first.Status.Refusal
	if r == nil || r.Effect != plan.WriteStatus || !strings.Contains(r.Message, "apply the CustomResourceDefinitions") || !strings.Contains(first.Status.Message, r.Message) {
		t.Fatalf("the status shows %+v: %s", r, first.Status.Message)
	}
	for range 3 {
		if err := b.decides("StepsPassed", bakes); err == nil {
			t.Fatal("nothing is refused")
		}
		if again := b.rollout(); again.ResourceVersion != first.ResourceVersion {
			t.Fatalf("the status was written again: %+v", again.Status.Refusal)
		}
	}
	b.refuse = nil
	b.must(b.decides("StepsPassed", bakes))
	if s := b.rollout().Status; s.Phase != v1alpha1.PhaseBaking || s.Refusal != nil {
		t.Errorf("%s, and the status shows %+v", s.Phase, s.Refusal)
	}
}
