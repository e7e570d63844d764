package judge

import (
	"encoding/json"
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

// memory is what this process knows of a run in progress. The run's record says
// the same, but is written only when there is news: a fleet must not cost the
// API server a write for every poll of every run. What a crash loses is contained
// in the counters of the next poll.
type memory struct {
	run types.UID
	// newest evaluation, and the state behind it.
	newest *v1alpha1.AnalysisStatus
	state  judgeState
	// waiting is what has been asked and not been answered yet, by question.
	waiting map[string]pending
	// posed are the run's questions as they are asked, by their keys.
	posed map[string]posed
	// shown are the run's series.
	shown shownTriggers
	// written is the newest that the API server has.
	written *v1alpha1.AnalysisStatus
}

// judgeState is what a judge goes on from, wherever the last one stopped.
type judgeState struct {
	// Ledgers by question.
	Ledgers map[string]analysis.Ledger `json:"ledgers,omitempty"`
	// Regressions by trigger.
	Regressions map[string]analysis.CombinedState `json:"regressions,omitempty"`
	// Lost counts the times that a state could not be read.
	Lost int `json:"lost,omitempty"`
}

// recall returns what is known of a run: the memory of it, unless there is none
// or its record is newer, because another process judged it meanwhile.
func (r *Reconciler) recall(run *v1alpha1.RolloutRun) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, recorded := r.memories[client.ObjectKeyFromObject(run)], run.Status.Analysis
	if m != nil && m.run == run.UID && !evaluatedAt(recorded).After(evaluatedAt(m.newest)) {
		return m
	}
	var shown shownTriggers
	if m != nil {
		shown = m.shown
	}
	m = &memory{run: run.UID, newest: recorded, state: restore(recorded), written: recorded, shown: shown, posed: map[string]posed{}}
	if r.memories == nil {
		r.memories = map[types.NamespacedName]*memory{}
	}
	r.memories[client.ObjectKeyFromObject(run)] = m
	return m
}

// forget drops a run that is judged no more.
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

// restore takes up the state where an earlier process left it. One that cannot
// be read is gone: the judge starts anew, and says so to the tests that must then
// ask for more evidence.
func restore(recorded *v1alpha1.AnalysisStatus) judgeState {
	var s judgeState
	if recorded != nil && recorded.State != nil {
		if err := json.Unmarshal(recorded.State.Raw, &s); err != nil {
			s = judgeState{Lost: 1 + lostBefore(recorded)}
		}
	}
	if s.Ledgers == nil {
		s.Ledgers = map[string]analysis.Ledger{}
	}
	if s.Regressions == nil {
		s.Regressions = map[string]analysis.CombinedState{}
	}
	return s
}

// lostBefore counts the states of a run that were lost before: its verdicts say so,
// as a state that cannot be read does not.
func lostBefore(recorded *v1alpha1.AnalysisStatus) int {
	lost := 0
	for i := range recorded.Triggers {
		lost = max(lost, int(statistic(&recorded.Triggers[i], "restarts")))
	}
	return lost
}

// isNews reports whether an evaluation says something that the record does not,
// or the record is due anyway.
func isNews(recorded, newest *v1alpha1.AnalysisStatus) bool {
	if len(newest.Triggers) == 0 && (recorded == nil || len(recorded.Triggers) == 0) {
		// There is nothing to judge by metrics.
		return false
	}
	if recorded == nil || evaluatedAt(newest).Sub(evaluatedAt(recorded)) >= v1alpha1.VerdictsRenewed {
		return true
	}
	if len(recorded.Triggers) != len(newest.Triggers) {
		return true
	}
	return slices.ContainsFunc(newest.Triggers, func(t v1alpha1.TriggerAnalysis) bool {
		was := recorded.Trigger(t.Kind, t.Guardrail, t.Name)
		return was == nil || was.Outcome != t.Outcome || was.Reason != t.Reason || !was.SamplesFrom.Equal(t.SamplesFrom) || evidenceMoved(was, &t)
	})
}

// evidenceMoved reports whether a wealth has changed by a factor of e.
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

// microTime is a time as a record keeps it.
func microTime(t time.Time) *metav1.MicroTime { return new(metav1.NewMicroTime(t)) }
