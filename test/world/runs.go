package world

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/runs"
)

// runList is the RolloutRuns. Each is replaced, never changed.
type runList struct {
	version int
	runs    []*v1alpha1.RolloutRun
}

// named returns a run, or nil. As the controller does, it asks for no label.
func (h *runList) named(name string) *v1alpha1.RolloutRun {
	for _, run := range h.runs {
		if run.Name == name && run.Spec.Rollout.Name == "shop" {
			return run
		}
	}
	return nil
}

func (h *runList) put(run *v1alpha1.RolloutRun) {
	h.remove(run.Name)
	h.runs = append(h.runs, run)
}

func (h *runList) remove(name string) {
	h.runs = slices.DeleteFunc(slices.Clone(h.runs), func(run *v1alpha1.RolloutRun) bool { return run.Name == name })
	h.version++
}

// createRun pins what the run goes on by, as the controller does. One that is there
// already is the Rollout's own.
func (w *World) createRun(traffic *v1alpha1.Traffic, stable *set, status *v1alpha1.RolloutStatus) {
	if w.history.named(status.Run) != nil {
		return
	}
	run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: status.Run}}
	run.Spec.Rollout.Name, run.Spec.Revision = "shop", status.Candidate.Revision
	run.Spec.Traffic, run.Spec.Steps = traffic, slices.Clone(w.spec.Steps)
	run.Spec.Stable.Revision = *status.Stable
	if stable != nil {
		run.Spec.Stable.Template = runtime.RawExtension{Raw: []byte(stable.template)}
	}
	run.Labels, run.Finalizers = runs.Labels(run), runs.Finalizers(run)
	w.history.put(run)
}

// trafficOf is what the requests go by: in a run what it started with, if that is known.
func (w *World) trafficOf(run *v1alpha1.RolloutRun, status *v1alpha1.RolloutStatus) *v1alpha1.Traffic {
	if run != nil && status.Phase.InRun() {
		return run.Spec.Traffic
	}
	return w.spec.Traffic
}

// traffic is what the requests go by now.
func (w *World) traffic() *v1alpha1.Traffic {
	return w.trafficOf(w.history.named(w.rollout.status.Run), w.rollout.status)
}

// takeRun is what observing the run that the status names gives the planner.
func (w *World) takeRun(v view, in *plan.Input) {
	in.Run = plan.Run{Next: in.Status.Runs}
	in.Spec.Traffic = w.trafficOf(v.run, &in.Status)
	run := v.run
	if run == nil {
		return
	}
	in.Run.Exists, in.Run.Former = true, run.Name == w.formerRun
	in.Run.StablePinned = pins(run, in.Status.Stable)
	if in.Status.Phase.InRun() {
		in.Run.Later = run.Spec.Later(&w.spec)
		in.Spec.Steps = run.Spec.Steps
	}
	in.Verdict = w.verdict(&in.Status, run)
}

// pins is whether a run has the stable version's template.
func pins(run *v1alpha1.RolloutRun, stable *v1alpha1.Revision) bool {
	if run == nil || stable == nil {
		return false
	}
	return run.Spec.Revision == stable.Revision || run.Spec.Stable.Revision.Revision == stable.Revision && len(run.Spec.Stable.Template.Raw) > 0
}

// completeRuns gives the runs that the controller has seen the outcomes that the
// status says, and their labels.
func (w *World) completeRuns(v view) {
	seen := slices.Clone(v.history.history.runs)
	if v.run != nil {
		seen = append(seen, v.run)
	}
	for _, cached := range seen {
		at := slices.IndexFunc(w.rollout.status.History, func(h v1alpha1.HistoryEntry) bool { return h.Run == cached.Name })
		live := w.history.named(cached.Name)
		if live == nil || (at < 0 || cached.Status.Outcome != "") && runs.Marked(cached) {
			continue
		}
		next := live.DeepCopy()
		if at >= 0 {
			next.Status.Outcome = w.rollout.status.History[at].Outcome
		}
		next.Labels, next.Finalizers = runs.Labels(next), runs.Finalizers(next)
		w.history.put(next)
	}
}

// endsRecorded: each run has its labels, and the outcome that the status says.
func (w *World) endsRecorded(expect func(bool, string, ...any)) {
	for _, run := range w.history.runs {
		expect(w.rollout.gone || runs.Marked(run), "run %s has the labels %v and the finalizers %v", run.Name, run.Labels, run.Finalizers)
	}
	for _, h := range w.rollout.status.History {
		run := w.history.named(h.Run)
		expect(run == nil || w.rollout.gone || run.Status.Outcome == h.Outcome, "run %s has no outcome, the status says %s", h.Run, h.Outcome)
	}
}

// judgedAt is when the newest verdict was written that the controller has seen.
func (w *World) judgedAt() time.Time {
	if f := w.frozen[partRuns]; w.at.Before(f.until) {
		return f.since
	}
	return w.at.Add(-w.lags[partRuns])
}

// verdict is what the analysis loop has written by then, summed up as the Rollout loop
// does. What it wrote before the present weight was acknowledged is about another one.
func (w *World) verdict(status *v1alpha1.RolloutStatus, run *v1alpha1.RolloutRun) plan.Verdict {
	from, judged := status.StageStart(w.at), w.judgedAt()
	at := metav1.NewMicroTime(judged.Truncate(poll))
	samples := metav1.NewMicroTime(from)
	t := &v1alpha1.TriggerAnalysis{Outcome: v1alpha1.VerdictPass, Reason: "Healthy", EvaluatedAt: &at, SamplesFrom: &samples}
	unseen, why := "", ""
	if w.byService {
		unseen, why = w.countedByService(status, judged)
	}
	switch {
	case w.failing == status.Run && !judged.Before(w.failedAt):
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictFail, "BurnRate", "5.0 % errors"
	case unseen != "":
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictInconclusive, unseen, why
	case judged.Before(w.blindUntil):
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictError, "Unreachable", "connection refused"
	case judged.Before(from):
		samples = metav1.NewMicroTime(judged.Add(-2 * poll))
	case at.Sub(from) < 2*poll:
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictInconclusive, "TooFewSamples", "100 of 200 requests"
	}
	if began := status.RunStartedAt; began != nil && judged.Before(began.Add(-time.Second)) {
		// The status keeps whole seconds, rounded up.
		t = nil
	}
	armed := []plan.Armed{{Guardrail: "shop", Trigger: "errors", SilentAfter: 6 * poll, Verdict: t}}
	if w.observer {
		armed = append(armed, w.observing(status))
	}
	if w.observeOnly {
		armed = armed[1:]
	}
	if w.checked != nil {
		armed = append(armed, plan.Armed{Kind: "Guardrail", Guardrail: "shop", Trigger: smoke.Name, Verdict: plan.JudgeCheck("Guardrail", "shop", smoke, status, run)})
	}
	sum := plan.Sum(armed, from, w.at)
	sum.WouldRollBack = plan.WouldRollBack(armed, status.WouldRollBack, from, w.at)
	return sum
}

// observing is the trigger in mode Observe. It passes no step before it fires.
func (w *World) observing(status *v1alpha1.RolloutStatus) plan.Armed {
	at := metav1.NewMicroTime(w.judgedAt().Truncate(poll))
	a := plan.Armed{
		Guardrail: "shop", Trigger: "slow", Observes: true, Blind: v1alpha1.WhenBlind{Hold: metav1.Duration{Duration: 10 * time.Minute}, Then: v1alpha1.Rollback},
		Verdict: &v1alpha1.TriggerAnalysis{Outcome: v1alpha1.VerdictInconclusive, Reason: "TooFewSamples", Message: "100 of 200 requests", EvaluatedAt: &at},
	}
	switch {
	case w.slow != "" && w.slow == status.Run:
		a.Verdict.Outcome, a.Verdict.Reason, a.Verdict.Message = v1alpha1.VerdictFail, "BurnRate", "9.0 % slower than 300ms"
	case !w.slowBlind.IsZero():
		since := metav1.NewMicroTime(w.slowBlind)
		a.Verdict.Outcome, a.Verdict.Reason, a.Verdict.Message, a.Verdict.BlindSince = v1alpha1.VerdictError, "Unreachable", "connection refused", &since
	}
	return a
}
