package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/runs"
)

// maxTriggersSize and maxStateSize bound the analysis in a run's status, in bytes of
// JSON. With the run's templates and decisions the object stays below etcd's limit
// (1.5 MiB); an object above it could never be written again.
const (
	maxTriggersSize = 512 << 10
	maxStateSize    = 512 << 10
)

// write records the newest evaluation in the run, with the state to continue from.
func (r *Reconciler) write(ctx context.Context, run *v1alpha1.RolloutRun, m *memory) error {
	record, err := recordOf(m.newest, m.state)
	if err != nil {
		return err
	}
	err = runs.ApplyStatus(ctx, r.Client, run, "", v1alpha1.RolloutRunStatus{Analysis: record}, v1alpha1.AnalysisFieldManager)
	if err == nil {
		m.written = m.newest
	}
	return err
}

// recordOf leaves out what does not fit. Without the pods' last counters, the next process
// begins with a baseline of each and keeps the evidence. Without the whole state, it needs
// more evidence, as after any other loss.
func recordOf(newest *v1alpha1.AnalysisStatus, state judgeState) (*v1alpha1.AnalysisStatus, error) {
	raw, err := json.Marshal(state)
	if err == nil && len(raw) > maxStateSize {
		raw, err = json.Marshal(state.withoutPods())
	}
	if err == nil && len(raw) > maxStateSize {
		raw, err = json.Marshal(judgeState{Lost: state.Lost + 1})
	}
	if err != nil {
		return nil, fmt.Errorf("encode the judge's state: %w", err)
	}
	record := *newest
	record.State = &runtime.RawExtension{Raw: raw}
	record.Triggers, err = fitting(newest.Triggers)
	return &record, err
}

// fitting removes queries, those of the least severe outcome first, and then the older
// history, until the rest fits. A fail keeps its query.
func fitting(triggers []v1alpha1.TriggerAnalysis) ([]v1alpha1.TriggerAnalysis, error) {
	raw, err := json.Marshal(triggers)
	if err != nil {
		return nil, fmt.Errorf("encode the verdicts: %w", err)
	}
	over := len(raw) - maxTriggersSize
	if over <= 0 {
		return triggers, nil
	}
	out := slices.Clone(triggers)
	order := make([]*v1alpha1.TriggerAnalysis, len(out))
	for i := range out {
		order[i] = &out[i]
	}
	slices.SortStableFunc(order, func(a, b *v1alpha1.TriggerAnalysis) int { return a.Outcome.Severity() - b.Outcome.Severity() })
	for _, t := range order {
		if over > 0 && t.Outcome != v1alpha1.VerdictFail {
			over -= len(t.Query)
			t.Query = ""
		}
	}
	for _, t := range order {
		for over > 0 && len(t.History) > 1 {
			over -= len(t.History[0].Message)
			t.History = t.History[1:]
		}
	}
	return out, nil
}
