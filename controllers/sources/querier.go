package sources

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	utilstrings "k8s.io/utils/strings"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// Querier sends one query for all runs that query a source for the same indicator at
// the same time, and returns to each the series of its own pods. The number of
// queries grows with the indicators in use and the pods in a response, not with the
// number of runs.
type Querier struct {
	Sources *Clients
	Clock   clock.WithDelayedExecution
	// Gather is how long the first run waits for others to share its query.
	Gather time.Duration

	mu   sync.Mutex
	open map[sharedKey]*sharedQuery
}

// sharedKey is what runs must have in common to share a query.
type sharedKey struct {
	source     types.UID
	generation int64
	measure    string
	// run is set for a query that cannot be shared.
	run string
}

// sharedQuery is a query that still waits for more runs to share it.
type sharedQuery struct {
	source  *v1alpha1.MetricSource
	measure Measure
	runs    []runQuery
}

// Measure is what is counted: an slo's indicator or an invariant.
type Measure struct {
	Indicator v1alpha1.Indicator
	Invariant *v1alpha1.Invariant
}

func (s Measure) query(pods ...prometheus.Pods) (string, error) {
	if s.Invariant != nil {
		return prometheus.InvariantQuery(*s.Invariant, pods...)
	}
	return prometheus.IndicatorQuery(s.Indicator, pods...)
}

// runQuery is one run's use of a shared query.
type runQuery struct {
	pods prometheus.Pods
	// size is how many pods to expect.
	size   int
	result chan Result
}

// NewQuerier returns a Querier. Gather is how long a query waits for more runs.
func NewQuerier(sources *Clients, c clock.WithDelayedExecution, gather time.Duration) *Querier {
	return &Querier{Sources: sources, Clock: c, Gather: gather, open: map[sharedKey]*sharedQuery{}}
}

// Query is for the counters of one run's pods. It is made once for all polls.
type Query struct {
	Measure Measure
	Pods    prometheus.Pods
	// Text is the PromQL for this run alone. It gives the same series as the query that
	// runs share.
	Text string
	// measure is the measure as text: equal for all queries that can be shared.
	measure string
}

// NewQuery returns an error, which says what to change, for a measure that cannot be
// queried.
func NewQuery(of Measure, pods prometheus.Pods) (Query, error) {
	query, err := of.query(pods)
	if err != nil {
		return Query{}, fmt.Errorf("write the query: %w", err)
	}
	measure, err := json.Marshal(of)
	if err != nil {
		return Query{}, fmt.Errorf("encode the indicator: %w", err)
	}
	return Query{of, pods, query, string(measure)}, nil
}

// Result is the counters of a run's pods at a time, or why there are none.
type Result struct {
	Pods []prometheus.Counter
	// At is the evaluation time. It is zero when no query could be sent.
	At  time.Time
	Err *prometheus.QueryError
}

// Query adds a run's query, which expects size pods, to those that it can be shared
// with. The channel gets one result.
func (q *Querier) Query(ctx context.Context, source *v1alpha1.MetricSource, of Query, size int) <-chan Result {
	r := runQuery{of.Pods, max(1, size), make(chan Result, 1)}
	key := sharedKey{source: source.UID, generation: source.Generation, measure: of.measure}
	if of.Measure.Indicator.PromQL != nil {
		key.run = of.Pods.Namespace + "/" + strings.Join(of.Pods.ReplicaSets, "/")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	shared, gathering := q.open[key]
	if !gathering {
		shared = &sharedQuery{source: source, measure: of.Measure}
		q.open[key] = shared
		// The query must not end with the context of the run that came first.
		ctx = context.WithoutCancel(ctx)
		q.Clock.AfterFunc(q.Gather, func() { go q.send(ctx, key) })
	}
	shared.runs = append(shared.runs, r)
	return r.result
}

// send sends a shared query, as several ones when one response would be too large.
func (q *Querier) send(ctx context.Context, key sharedKey) {
	q.mu.Lock()
	shared := q.open[key]
	delete(q.open, key)
	q.mu.Unlock()
	// Sources take milliseconds: the recorded time is the one that was queried.
	now := q.Clock.Now().Truncate(time.Millisecond)
	c, err := q.Sources.Client(ctx, shared.source, now)
	if err != nil {
		deliver(shared.runs, Result{Err: faultOf(analysis.Auth, err)})
		return
	}
	// One deadline for all of them: splitting a query does not extend it.
	ctx, cancel := context.WithTimeout(ctx, shared.source.Spec.Limits.Timeout.Duration)
	defer cancel()
	var sent sync.WaitGroup
	for _, runs := range shared.withinLimit() {
		s := &sender{querier: q, client: c, measure: shared.measure, at: now}
		s.more.Store(int32(4 * bits.Len(uint(len(runs)))))
		sent.Go(func() { s.query(ctx, runs) })
	}
	sent.Wait()
}

// withinLimit groups the runs so that no response needs more series than the source's
// limit. A run that needs more by itself gets the source's error.
func (q *sharedQuery) withinLimit() [][]runQuery {
	var out [][]runQuery
	room := 0
	for _, r := range q.runs {
		if len(out) == 0 || r.size > room {
			out, room = append(out, nil), int(q.source.Spec.Limits.Series)
		}
		last := len(out) - 1
		out[last], room = append(out[last], r), room-r.size
	}
	return out
}

// sender sends the query of a group of runs, and again for each half of them when the
// response is too large.
type sender struct {
	querier *Querier
	client  *prometheus.Client
	measure Measure
	at      time.Time
	// more is how many further queries may be sent: enough to find two runs that are too
	// large. It bounds the load on a source whose every response is too large.
	more atomic.Int32
}

func (p *sender) query(ctx context.Context, runs []runQuery) {
	pods, expected := make([]prometheus.Pods, len(runs)), 0
	for i, r := range runs {
		pods[i] = r.pods
		expected += r.size
	}
	query, err := p.measure.query(pods...)
	if err != nil {
		deliver(runs, Result{At: p.at, Err: faultOf(analysis.BadQuery, err)})
		return
	}
	response, err := p.client.Counts(ctx, query, expected, p.at, p.querier.Clock.Now())
	CountQuery(err)
	if err == nil {
		p.distribute(response, runs)
		return
	}
	known := &prometheus.QueryError{}
	if !errors.As(err, &known) {
		known = faultOf(analysis.Malformed, err)
	}
	if len(runs) == 1 || !isSize(known.Reason) || p.more.Add(-2) < 0 || ctx.Err() != nil {
		deliver(runs, Result{At: p.at, Err: known})
		return
	}
	var halves sync.WaitGroup
	half := len(runs) / 2
	halves.Go(func() { p.query(ctx, runs[:half]) })
	halves.Go(func() { p.query(ctx, runs[half:]) })
	halves.Wait()
}

// faultOf turns an error of Belay's own into a QueryError.
func faultOf(reason analysis.Reason, err error) *prometheus.QueryError {
	return &prometheus.QueryError{Reason: reason, Message: utilstrings.ShortenString(err.Error(), 400)}
}

// isSize reports whether the response for fewer runs may be within the limits. Other
// errors would be the same for fewer runs.
func isSize(r analysis.Reason) bool { return r == analysis.TooManySeries || r == analysis.TooLarge }

// distribute gives each run the counters of its own pods, or the fault of one of them.
func (p *sender) distribute(response prometheus.Response, runs []runQuery) {
	// The user's own expression is queried for one run alone, and may have dropped the
	// namespace.
	alone := p.measure.Indicator.PromQL != nil
	rows := make(map[string][]prometheus.Counter, len(runs))
	for _, of := range inNamespaces(response.Counters) {
		rows[of[0].Namespace] = of
	}
	for _, run := range runs {
		own := rows[run.pods.Namespace]
		if alone {
			own = response.Counters
		}
		r := Result{Pods: ownPods(own, run.pods), At: p.at}
		for _, f := range response.Faults {
			if (alone || f.Namespace == run.pods.Namespace) && isOwn(f.Pod, run.pods) {
				r = Result{At: p.at, Err: f.Err}
				break
			}
		}
		run.result <- r
	}
}

// inNamespaces sorts counters by namespace, pod and instance, in place, and splits
// them by namespace.
func inNamespaces(rows []prometheus.Counter) (out [][]prometheus.Counter) {
	slices.SortFunc(rows, func(a, b prometheus.Counter) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Pod, b.Pod), strings.Compare(a.Instance, b.Instance))
	})
	for begin, end := 0, 0; begin < len(rows); begin = end {
		for end < len(rows) && rows[end].Namespace == rows[begin].Namespace {
			end++
		}
		out = append(out, rows[begin:end])
	}
	return out
}

func deliver(runs []runQuery, r Result) {
	for _, run := range runs {
		run.result <- r
	}
}

func ownPods(rows []prometheus.Counter, pods prometheus.Pods) []prometheus.Counter {
	own := make([]prometheus.Counter, 0, len(rows))
	for _, row := range rows {
		if isOwn(row.Pod, pods) {
			own = append(own, row)
		}
	}
	return own
}

func isOwn(pod string, pods prometheus.Pods) bool {
	return slices.ContainsFunc(pods.ReplicaSets, func(set string) bool { return prometheus.BelongsTo(pod, set) })
}
