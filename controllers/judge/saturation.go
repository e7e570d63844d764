package judge

import (
	"slices"
	"strings"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/triggers"
	"belay.dev/belay/api/v1alpha1"
)

// judgeSaturation adds a poll to the time that the candidate has been above its bound, and
// judges it.
func (t *evaluation) judgeSaturation(g v1alpha1.PinnedGuardrail, trigger v1alpha1.Trigger, result result) analysis.Verdict {
	window := prometheus.LoadOf(*trigger.Saturation).ScrapedEvery(result.interval).Window
	rule, err := triggers.Saturation(g.Spec, trigger, result.interval, window)
	if err != nil {
		return analysis.Verdict{Reason: analysis.BadQuery, Message: err.Error()}
	}
	key := triggerKey(g, trigger)
	state := t.state.Saturations[key]
	var v analysis.Verdict
	if result.Err != nil {
		state, v = rule.Missed(state, t.now), analysis.Verdict{Reason: result.Err.Reason, Message: result.Err.Message}
	} else {
		state, v = rule.Judge(state, t.loads(result, trigger.Saturation.Per != nil, window))
	}
	if state == (analysis.SaturationState{}) {
		delete(t.state.Saturations, key)
	} else {
		t.state.Saturations[key] = state
	}
	return v
}

// loads are what the ready pods use, as a response says that looks back so far.
func (t *evaluation) loads(r result, divided bool, looksBack time.Duration) analysis.Loads {
	sampled := make(map[string]*prometheus.Counter, len(r.Pods))
	for i := range r.Pods {
		sampled[r.Pods[i].Pod] = &r.Pods[i]
	}
	l := analysis.Loads{EvaluatedAt: r.At, StageFrom: t.stageFrom}
	if t.run.Spec.Traffic != nil {
		l.Weight = t.weight
	}
	for name, pod := range t.pods {
		if !pod.ready {
			continue
		}
		load := analysis.Load{Pod: name, ReadyAt: pod.readyAt}
		if c := sampled[name]; c != nil && t.isYounger(c.SampledAt, pod, looksBack) {
			load.Value, load.SampledAt, load.Unusable = c.Total, c.SampledAt, c.Unusable
			if divided && c.Total > 0 && c.Unusable == "" {
				load.Value, load.Undivided = c.Total/c.Bad, c.Bad <= 0
			}
		}
		switch pod.side {
		case sideStable:
			l.Stable = append(l.Stable, load)
		case sideCanary:
			l.Canary = append(l.Canary, load)
		}
	}
	// The same response gives the same verdict, to the last digit.
	for _, pods := range [][]analysis.Load{l.Canary, l.Stable} {
		slices.SortFunc(pods, func(a, b analysis.Load) int { return strings.Compare(a.Pod, b.Pod) })
	}
	return l
}
