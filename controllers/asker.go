package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// Asker sends one query for all runs that ask a source about the same indicator
// at the same time, and hands each its own pods' rows. The number of queries
// grows with the indicators in use and the pods in an answer, not with the runs.
type Asker struct {
	Sources *Sources
	Clock   clock.WithDelayedExecution
	// Gather is how long the first of them waits for the others.
	Gather time.Duration

	mu   sync.Mutex
	open map[shape]*batch
}

// shape is what runs must have in common to share a query.
type shape struct {
	source     types.UID
	generation int64
	indicator  string
	// alone keeps a run by itself.
	alone string
}

// batch is the runs that will share a query.
type batch struct {
	source    *v1alpha1.MetricSource
	indicator v1alpha1.Indicator
	members   []member
}

// member is one run's part of a batch.
type member struct {
	pods prometheus.Pods
	// size is how many pods to expect.
	size  int
	reply chan reply
}

// NewAsker returns an Asker without runs.
func NewAsker(sources *Sources, c clock.WithDelayedExecution, gather time.Duration) *Asker {
	return &Asker{Sources: sources, Clock: c, Gather: gather, open: map[shape]*batch{}}
}

// ask joins a question about a run's pods, of which it expects size, to those
// that can share a query with it. The answer, or why there is none, comes on the
// channel. The error says why the question cannot be asked.
func (a *Asker) ask(ctx context.Context, source *v1alpha1.MetricSource, indicator v1alpha1.Indicator, pods prometheus.Pods, size int) (<-chan reply, error) {
	text, err := json.Marshal(indicator)
	if err != nil {
		return nil, fmt.Errorf("encode the indicator: %w", err)
	}
	m := member{pods, max(1, size), make(chan reply, 1)}
	key := shape{source: source.UID, generation: source.Generation, indicator: string(text)}
	if indicator.PromQL != nil {
		key.alone = m.pods.Namespace + "/" + strings.Join(m.pods.ReplicaSets, "/")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b, gathering := a.open[key]
	if !gathering {
		b = &batch{source: source, indicator: indicator}
		a.open[key] = b
		// The batch outlives the run that came first.
		ctx = context.WithoutCancel(ctx)
		a.Clock.AfterFunc(a.Gather, func() { go a.send(ctx, key) })
	}
	b.members = append(b.members, m)
	return m.reply, nil
}

// send closes a batch and asks for it, in as many queries as its answers need.
func (a *Asker) send(ctx context.Context, key shape) {
	a.mu.Lock()
	b := a.open[key]
	delete(a.open, key)
	a.mu.Unlock()
	now := a.Clock.Now()
	c, err := a.Sources.Client(ctx, b.source, now)
	if err != nil {
		deliver(b.members, reply{err: &prometheus.QueryError{Reason: analysis.Auth, Message: bounded(err.Error(), 400)}})
		return
	}
	for _, part := range b.parts() {
		go a.query(ctx, c, b, part, now)
	}
}

// parts divides a batch so that no answer needs more series than the source's
// limit. A run that needs more by itself finds out from the source.
func (b *batch) parts() [][]member {
	var out [][]member
	room := 0
	for _, m := range b.members {
		if len(out) == 0 || m.size > room {
			out, room = append(out, nil), int(b.source.Spec.Limits.Series)
		}
		last := len(out) - 1
		out[last], room = append(out[last], m), room-m.size
	}
	return out
}

func (a *Asker) query(ctx context.Context, c *prometheus.Client, b *batch, members []member, at time.Time) {
	pods := make([]prometheus.Pods, len(members))
	for i, m := range members {
		pods[i] = m.pods
	}
	query, err := prometheus.IndicatorQuery(b.indicator, pods...)
	if err != nil {
		a.failed(ctx, c, b, members, at, &prometheus.QueryError{Reason: analysis.BadQuery, Message: bounded(err.Error(), 400)})
		return
	}
	answer, err := c.Counts(ctx, query, at, a.Clock.Now())
	sourceQueries.WithLabelValues(queryOutcome(err)).Inc()
	if err != nil {
		known := &prometheus.QueryError{}
		if !errors.As(err, &known) {
			known = &prometheus.QueryError{Reason: analysis.Malformed, Message: bounded(err.Error(), 400)}
		}
		a.failed(ctx, c, b, members, at, known)
		return
	}
	rows := map[string][]analysis.PodCounter{}
	for _, pod := range answer.Pods {
		rows[pod.Namespace] = append(rows[pod.Namespace], pod)
	}
	for _, m := range members {
		own := rows[m.pods.Namespace]
		if b.indicator.PromQL != nil {
			own = answer.Pods
		}
		m.reply <- reply{pods: ownPods(own, m.pods), at: at, sha256: answer.SHA256}
	}
}

// failed keeps one run's fault from blinding the others: what a single run's
// series can cause is asked for again in halves.
func (a *Asker) failed(ctx context.Context, c *prometheus.Client, b *batch, members []member, at time.Time, err *prometheus.QueryError) {
	if len(members) > 1 && ofOneRun(err.Reason) {
		half := len(members) / 2
		a.query(ctx, c, b, members[:half], at)
		a.query(ctx, c, b, members[half:], at)
		return
	}
	deliver(members, reply{at: at, err: err})
}

func ofOneRun(r analysis.Reason) bool {
	switch r {
	case analysis.TooManySeries, analysis.TooLarge, analysis.Malformed, analysis.WrongType, analysis.BadQuery, analysis.ClockSkew:
		return true
	default:
		return false
	}
}

func deliver(members []member, r reply) {
	for _, m := range members {
		m.reply <- r
	}
}

func ownPods(rows []analysis.PodCounter, pods prometheus.Pods) []analysis.PodCounter {
	var own []analysis.PodCounter
	for _, row := range rows {
		for _, set := range pods.ReplicaSets {
			if prometheus.BelongsTo(row.Pod, set) {
				own = append(own, row)
				break
			}
		}
	}
	return own
}
