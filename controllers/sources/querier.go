package sources

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// Querier sends one query for all runs that query a source for the same indicator at
// the same time, and returns to each the series of its own pods. The number of
// queries grows with the indicators in use and the pods in a response, not with the
// number of runs. A run whose query fails by itself is found and queried alone.
type Querier struct {
	Sources *Clients
	Clock   clock.WithDelayedExecution
	// Gather is how long the first run waits for others to share its query.
	Gather time.Duration

	mu   sync.Mutex
	open map[sharedKey]*sharedQuery
	// experience by the UID of the source.
	experience map[types.UID]*experience
}

// sharedKey is what runs must have in common to share a query.
type sharedKey struct {
	source     types.UID
	generation int64
	measure    string
	// ordered is set for pods of StatefulSets, which other queries are for than those of
	// ReplicaSets.
	ordered bool
	// run is set for a query that cannot be shared.
	run string
}

// sharedQuery is a query that still waits for more runs to share it.
type sharedQuery struct {
	source  *v1alpha1.MetricSource
	measure Measure
	runs    []runQuery
}

// Measure is what is counted: an slo's indicator or an invariant; or the load of a
// saturation trigger.
type Measure struct {
	Indicator v1alpha1.Indicator
	Invariant *v1alpha1.Invariant
	Load      *prometheus.Load
}

// scrapedEvery is the measure for a source with this scrape interval.
func (s Measure) scrapedEvery(interval time.Duration) Measure {
	if s.Load != nil {
		load := s.Load.ScrapedEvery(interval)
		s.Load = &load
	}
	return s
}

func (s Measure) query(pods ...prometheus.Pods) (string, error) {
	switch {
	case s.Load != nil:
		return prometheus.LoadQuery(*s.Load, pods...)
	case s.Invariant != nil:
		return prometheus.InvariantQuery(*s.Invariant, pods...)
	default:
		return prometheus.IndicatorQuery(s.Indicator, pods...)
	}
}

// reader reads the responses to the measure's queries.
func (s Measure) reader(c *prometheus.Client) *prometheus.Client {
	switch {
	case s.Load != nil:
		return c.ReadingLoad(*s.Load)
	case s.Invariant != nil:
		return c.ReadingInvariant(*s.Invariant)
	default:
		return c.Reading(s.Indicator)
	}
}

// runQuery is one run's use of a shared query.
type runQuery struct {
	Query
	// size is how many pods to expect.
	size   int
	result chan Result
}

// NewQuerier returns a Querier. Gather is how long a query waits for more runs.
func NewQuerier(sources *Clients, c clock.WithDelayedExecution, gather time.Duration) *Querier {
	return &Querier{Sources: sources, Clock: c, Gather: gather, open: map[sharedKey]*sharedQuery{}, experience: map[types.UID]*experience{}}
}

// Query is for the counters of one run's pods. It is made once for all polls.
type Query struct {
	Measure Measure
	Pods    prometheus.Pods
	// Text is the PromQL for this run alone. It gives the same series as the query that
	// runs share.
	Text string
	// measure is the measure as text: equal for all queries that can be shared. run is
	// the namespace and the names of the versions.
	measure, run string
	// adds is by how many bytes the run makes a shared query longer.
	adds int
}

// NewQuery writes a measure's query for a source: with the labels by which its series name
// their pods, and for its scrape interval. The error says what to change in a measure that
// cannot be queried.
func NewQuery(source *v1alpha1.MetricSource, of Measure, pods prometheus.Pods) (Query, error) {
	of, pods.Labels = of.scrapedEvery(source.Interval()), source.Spec.Labels
	query, err := of.query(pods)
	if err != nil {
		return Query{}, fmt.Errorf("write the query: %w", err)
	}
	measure, err := json.Marshal(of)
	if err != nil {
		return Query{}, fmt.Errorf("encode the indicator: %w", err)
	}
	versions := pods.Versions(of.Indicator)
	q := Query{Measure: of, Pods: pods, Text: query, measure: string(measure), run: pods.Namespace + "/" + strings.Join(versions, "/")}
	// In a query each name has a separator, and a dot of a name becomes three bytes.
	names := len(q.run) + 2*strings.Count(q.run, ".") + 1 + len(versions)
	if pods.StatefulSet != "" {
		names += len("[0-9]+")
	}
	q.adds = of.selectors(query, pods.Namespace) * names
	return q, nil
}

// LooksBack is how far before its newest samples a response from a source with this scrape
// interval reaches.
func (s Measure) LooksBack(interval time.Duration) time.Duration {
	if s.Load != nil {
		return s.scrapedEvery(interval).Load.Window
	}
	return prometheus.LooksBack(s.Indicator)
}

// selectors is how often a query names the versions.
func (s Measure) selectors(query, namespace string) int {
	if prometheus.CountsByPod(s.Indicator) {
		return strings.Count(query, strconv.Quote(namespace))
	}
	return strings.Count(query, s.Indicator.Destination.Label)
}

// Result is the counters of a run's pods at a time, or why there are none.
type Result struct {
	Pods []prometheus.Counter
	// At is the evaluation time. It is zero when no query could be sent.
	At  time.Time
	Err *prometheus.QueryError
	// Own is set for an error whose cause is the run's own query or series: other runs
	// get responses from the source.
	Own bool
}

// Query adds a run's query, which expects size pods, to those that it can be shared
// with. The channel gets one result. Queries that cannot be shared are spread over a
// part of the poll's interval, so that a source does not get all of them at once.
func (q *Querier) Query(ctx context.Context, source *v1alpha1.MetricSource, of Query, size int) <-chan Result {
	r := runQuery{of, max(1, size), make(chan Result, 1)}
	key := sharedKey{source: source.UID, generation: source.Generation, measure: of.measure, ordered: of.Pods.StatefulSet != ""}
	wait := q.Gather
	if of.Measure.Indicator.PromQL != nil {
		key.run = of.run
		wait += spread(of.run, source.Interval()/4)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	shared, gathering := q.open[key]
	if !gathering {
		shared = &sharedQuery{source: source, measure: of.Measure}
		q.open[key] = shared
		// The query must not end with the context of the run that came first.
		ctx = context.WithoutCancel(ctx)
		q.Clock.AfterFunc(wait, func() { go q.send(ctx, key) })
	}
	shared.runs = append(shared.runs, r)
	return r.result
}

// spread is a part of the time that is always the same for a run.
func spread(run string, over time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(run))
	return over * time.Duration(h.Sum32()%1024) / 1024
}

// answerWithin is how long a shared query may take with all that it is split into.
const answerWithin = 45 * time.Second

// send sends a shared query, as several ones when one would be too long or its response
// too large.
func (q *Querier) send(ctx context.Context, key sharedKey) {
	now := q.Clock.Now()
	q.mu.Lock()
	shared := q.open[key]
	delete(q.open, key)
	groups := q.experienceOf(shared.source, now).of(key.measure, now).group(shared.runs, int(shared.source.Spec.Limits.Series), now)
	q.mu.Unlock()
	c, err := q.Sources.Client(ctx, shared.source, now)
	if err != nil {
		deliver(shared.runs, Result{Err: faultOf(analysis.Auth, err)})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s := &sender{querier: q, client: c, source: shared.source, measure: shared.measure, key: key.measure, began: now}
	s.send(ctx, groups)
}

// faultOf turns an error of Belay's own into a QueryError.
func faultOf(reason analysis.Reason, err error) *prometheus.QueryError {
	return &prometheus.QueryError{Reason: reason, Message: v1alpha1.Bounded(err.Error(), 400)}
}

// distribute gives each run the counters of its own pods, or the fault of one of them.
func distribute(response prometheus.Response, runs []runQuery) {
	// The user's own expression is queried for one run alone, and may have dropped the
	// namespace.
	alone := runs[0].Measure.Indicator.PromQL != nil
	owned := prometheus.OwnedBy(runs[0].Measure.Indicator)
	rows := make(map[string][]prometheus.Counter, len(runs))
	for _, of := range inNamespaces(response.Counters) {
		rows[of[0].Namespace] = of
	}
	for _, run := range runs {
		namespace := owned.NamespaceOf(run.Pods)
		own := rows[namespace]
		if alone {
			own = response.Counters
		}
		r := Result{Pods: ownCounters(own, owned, run.Pods), At: response.At}
		var faults []prometheus.Fault
		for _, f := range response.Faults {
			_, mine := owned.By(run.Pods, prometheus.Counter{Namespace: f.Namespace, Pod: f.Pod})
			if mine && (alone || f.Namespace == namespace) {
				faults = append(faults, f)
			}
		}
		if len(faults) > 0 {
			r = Result{At: response.At, Err: faultIn(faults, r.Pods), Own: true}
		}
		run.result <- r
	}
}

// faultIn is the first fault of a run's pods. When it is a bucket that others of its pods have,
// it says how many lack it.
func faultIn(faults []prometheus.Fault, usable []prometheus.Counter) *prometheus.QueryError {
	first := faults[0]
	if !first.Err.LacksBucket {
		return first.Err
	}
	lack, others := map[string]bool{}, map[string]bool{}
	for _, f := range faults {
		if f.Err.LacksBucket {
			lack[f.Pod] = true
		}
	}
	for _, c := range usable {
		if !lack[c.Pod] {
			others[c.Pod] = true
		}
	}
	if len(others) == 0 {
		return first.Err
	}
	return prometheus.SomeLackBucket(len(lack), len(others), first.Pod)
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

func ownCounters(rows []prometheus.Counter, owned prometheus.Owned, pods prometheus.Pods) []prometheus.Counter {
	own := make([]prometheus.Counter, 0, len(rows))
	for _, row := range rows {
		if c, mine := owned.By(pods, row); mine {
			own = append(own, c)
		}
	}
	return own
}
