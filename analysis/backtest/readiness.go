package backtest

import (
	"context"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
)

// readiness is when pods became ready, and when they stopped being so, in order of time.
type readiness map[string][]change

type change struct {
	// at is zero for what was so at the beginning, when it is not known since when.
	at    time.Time
	ready bool
}

// readiness reads the spec's gauge; nil when it has none.
func (s *Spec) readiness(ctx context.Context, from *reader, spans []prometheus.Times) (readiness, error) {
	if s.Ready == nil {
		return nil, nil
	}
	pods := prometheus.Pods{Namespace: s.Namespace, ReplicaSets: s.Arms.sets(), Labels: s.Labels}
	query, err := prometheus.LoadQuery(prometheus.Load{Value: *s.Ready}, pods)
	if err != nil {
		return nil, err
	}
	out := readiness{}
	for _, times := range spans {
		if err := from.read(ctx, query, times, out.note); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// note takes in what the gauge was at one time. A pod that the response lacks is as it was.
func (r readiness) note(answer prometheus.Response) error {
	for i := range answer.Counters {
		pod := &answer.Counters[i]
		ready, known := pod.Total >= 1, r[pod.Pod]
		switch {
		case len(known) == 0 && ready:
			r[pod.Pod] = []change{{ready: true}}
		case len(known) == 0 || known[len(known)-1].ready != ready:
			r[pod.Pod] = append(known, change{pod.SampledAt, ready})
		}
	}
	return nil
}

// mark sets since when a pod is ready or not, as it was known at a time.
func (r readiness) mark(pod *analysis.PodCounter, name string, at time.Time) {
	for _, c := range r[name] {
		switch {
		case c.at.After(at):
			return
		case c.ready:
			pod.ReadyAt, pod.UnreadyAt = c.at, time.Time{}
		default:
			pod.ReadyAt, pod.UnreadyAt = time.Time{}, c.at
		}
	}
}

// ready is how many of the pods are not known to be unready.
func ready(pods []analysis.PodCounter) int {
	n := 0
	for i := range pods {
		if pods[i].UnreadyAt.IsZero() {
			n++
		}
	}
	return n
}
