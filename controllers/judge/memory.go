package judge

import (
	"math"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// memory is what this process keeps about a run in progress. The run's status has the
// same, but is written only when something changed, because a write for every poll of
// every run would cost the API server too much. What a crash loses is contained in the
// counters of the next poll.
type memory struct {
	run types.UID
	// newest evaluation, and the judge's state after it.
	newest *v1alpha1.AnalysisStatus
	state  judgeState
	// waiting has the queries that were sent and have no response yet, by key.
	waiting map[string]sent
	// queries are kept from poll to poll, by their keys.
	queries map[string]cachedQuery
	// sights are what is known of the queries' selectors, by their keys. Another process asks
	// again.
	sights map[string]*sighting
	// shown are the run's series on /metrics.
	shown shownTriggers
	// written is the newest evaluation that was written to the API server.
	written *v1alpha1.AnalysisStatus
}

// judgeState is what a judge continues from, also in another process.
type judgeState struct {
	// Ledgers by query.
	Ledgers map[string]analysis.Ledger `json:"ledgers,omitempty"`
	// Regressions by trigger.
	Regressions map[string]analysis.RegressionState `json:"regressions,omitempty"`
	// Saturations by trigger: since when the candidate is above its bound, and what to
	// compare it with at weight 100.
	Saturations map[string]analysis.SaturationState `json:"saturations,omitempty"`
	// Lost counts how many times the state could not be read.
	Lost int `json:"lost,omitempty"`
}

// withoutPods returns the state without what grows with the number of pods.
func (s judgeState) withoutPods() judgeState {
	ledgers := make(map[string]analysis.Ledger, len(s.Ledgers))
	for key, l := range s.Ledgers {
		ledgers[key] = l.WithoutPods()
	}
	s.Ledgers = ledgers
	return s
}

// recall returns the memory of a run. It is read from the run's status when there is
// none, or when the status is newer because another process judged the run meanwhile.
// What a clock that was set back since has counted cannot be continued: the state counts as
// lost then.
func (r *Reconciler) recall(run *v1alpha1.RolloutRun, now time.Time) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, recorded := r.memories[client.ObjectKeyFromObject(run)], run.Status.Analysis
	future := v1alpha1.IsFuture(evaluatedAt(recorded), now)
	if m != nil && m.run == run.UID && (future || !evaluatedAt(recorded).After(evaluatedAt(m.newest))) {
		if v1alpha1.IsFuture(evaluatedAt(m.newest), now) {
			m.state = lostState(m.state.Lost)
		}
		return m
	}
	var shown shownTriggers
	if m != nil {
		shown = m.shown
	}
	m = &memory{run: run.UID, newest: recorded, state: restore(recorded), written: recorded, shown: shown, queries: map[string]cachedQuery{}, sights: map[string]*sighting{}}
	if future {
		m.state = lostState(m.state.Lost)
	}
	if r.memories == nil {
		r.memories = map[types.NamespacedName]*memory{}
	}
	r.memories[client.ObjectKeyFromObject(run)] = m
	return m
}

// forget drops the memory of a run that is no longer judged.
func (r *Reconciler) forget(run types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.memories[run]; m != nil {
		m.shown.hide()
	}
	delete(r.memories, run)
}

func evaluatedAt(a *v1alpha1.AnalysisStatus) time.Time {
	if a == nil || a.EvaluatedAt == nil {
		return time.Time{}
	}
	return a.EvaluatedAt.Time
}

// restore reads the state that an earlier process recorded. When it cannot be read, the
// judge starts again, and counts that: its tests then need more evidence.
func restore(recorded *v1alpha1.AnalysisStatus) judgeState {
	var s judgeState
	if recorded != nil && recorded.State != nil {
		var err error
		if s, err = unpack(recorded.State.Raw); err != nil {
			s = judgeState{Lost: 1 + lostBefore(recorded)}
		}
	}
	if s.Ledgers == nil {
		s.Ledgers = map[string]analysis.Ledger{}
	}
	if s.Regressions == nil {
		s.Regressions = map[string]analysis.RegressionState{}
	}
	if s.Saturations == nil {
		s.Saturations = map[string]analysis.SaturationState{}
	}
	return s
}

// lostState is what a judge begins with that has lost its state.
func lostState(before int) judgeState {
	return judgeState{Lost: before + 1, Ledgers: map[string]analysis.Ledger{}, Regressions: map[string]analysis.RegressionState{}, Saturations: map[string]analysis.SaturationState{}}
}

// lostBefore is how many states of a run were lost before. It is read from the verdicts,
// because the state itself cannot be read.
func lostBefore(recorded *v1alpha1.AnalysisStatus) int {
	lost := 0
	for i := range recorded.Triggers {
		lost = max(lost, int(statistic(&recorded.Triggers[i], "restarts")))
	}
	return lost
}

// isNews reports whether an evaluation must be written: it differs from the recorded
// one, or that one is old enough to be renewed.
func isNews(recorded, newest *v1alpha1.AnalysisStatus) bool {
	if len(newest.Triggers) == 0 && (recorded == nil || len(recorded.Triggers) == 0) {
		// There is nothing to judge by metrics.
		return false
	}
	age := evaluatedAt(newest).Sub(evaluatedAt(recorded))
	if recorded == nil || age >= v1alpha1.VerdictsRenewed || age < 0 {
		return true
	}
	if len(recorded.Triggers) != len(newest.Triggers) {
		return true
	}
	return slices.ContainsFunc(newest.Triggers, func(t v1alpha1.TriggerAnalysis) bool {
		was := recorded.Trigger(t.Kind, t.Guardrail, t.Name)
		return was == nil || was.Outcome != t.Outcome || was.Mode != t.Mode || was.Reason != t.Reason || !was.SamplesFrom.Equal(t.SamplesFrom) || evidenceMoved(was, &t)
	})
}

// evidenceMoved reports whether the evidence has changed by a factor of e.
func evidenceMoved(was, is *v1alpha1.TriggerAnalysis) bool {
	for _, name := range []string{"logRelative", "logAbsolute"} {
		if math.Abs(statistic(is, name)-statistic(was, name)) >= 1 {
			return true
		}
	}
	return false
}

// statistic is 0 for one that the trigger does not have.
func statistic(t *v1alpha1.TriggerAnalysis, name string) float64 {
	for _, s := range t.Statistics {
		if s.Name == name {
			v, _ := strconv.ParseFloat(s.Value, 64)
			return v
		}
	}
	return 0
}

// microTime is a time in the precision of the record.
func microTime(t time.Time) *metav1.MicroTime { return new(metav1.NewMicroTime(t)) }
