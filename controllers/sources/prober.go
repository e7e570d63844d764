package sources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// Prober asks sources what the selectors of indicators find on pods. Probes for the same
// indicator at the same time share a query.
type Prober struct {
	Sources *Clients
	Clock   clock.WithDelayedExecution
	// Gather is how long the first probe waits for others to share its query.
	Gather time.Duration

	mu   sync.Mutex
	open map[sharedKey]*sharedProbe
}

// sharedProbe is a probe that still waits for more to share its query.
type sharedProbe struct {
	source  *v1alpha1.MetricSource
	measure Measure
	waiting []waitingProbe
}

type waitingProbe struct {
	pods   prometheus.Pods
	result chan Sighting
}

// Sighting is what a probe found, or why it found nothing.
type Sighting struct {
	// Scopes are what was looked for.
	Scopes []analysis.Scope
	// Sights has what each version has of that, in the order of the versions asked for.
	// Where a label or a bucket is missing, they have the names of those that exist.
	Sights []analysis.Sight
	Err    *prometheus.QueryError
}

// NewProber returns a Prober. Gather is how long a probe waits for more to share its query.
func NewProber(sources *Clients, c clock.WithDelayedExecution, gather time.Duration) *Prober {
	return &Prober{Sources: sources, Clock: c, Gather: gather, open: map[sharedKey]*sharedProbe{}}
}

// maxProbed is how many runs or Rollouts one query is for: its text grows with them.
const maxProbed = 8

// Probe asks what the selectors of a measure find on the pods. The channel gets one
// result.
func (p *Prober) Probe(ctx context.Context, source *v1alpha1.MetricSource, of Measure, pods prometheus.Pods) <-chan Sighting {
	pods.Labels = source.Spec.Labels
	w := waitingProbe{pods, make(chan Sighting, 1)}
	text, err := json.Marshal(of)
	if err != nil {
		w.result <- Sighting{Err: faultOf(analysis.BadQuery, fmt.Errorf("encode the indicator: %w", err))}
		return w.result
	}
	key := sharedKey{source: source.UID, generation: source.Generation, measure: string(text), ordered: pods.StatefulSet != ""}
	if of.Indicator.PromQL != nil {
		// An expression may drop the namespace.
		key.run = fmt.Sprint(pods)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	shared, gathering := p.open[key]
	if !gathering {
		shared = &sharedProbe{source: source, measure: of}
		p.open[key] = shared
		// The query must not end with the context of the one that came first.
		ctx = context.WithoutCancel(ctx)
		p.Clock.AfterFunc(p.Gather, func() { go p.send(ctx, key) })
	}
	shared.waiting = append(shared.waiting, w)
	return w.result
}

// send sends the query for all that have gathered, in parts.
func (p *Prober) send(ctx context.Context, key sharedKey) {
	p.mu.Lock()
	shared := p.open[key]
	delete(p.open, key)
	p.mu.Unlock()
	limit := maxProbed
	if key.run != "" {
		limit = 1
	}
	for rest := shared.waiting; len(rest) > 0; rest = rest[min(limit, len(rest)):] {
		p.sendPart(ctx, shared, rest[:min(limit, len(rest))])
	}
}

func (p *Prober) sendPart(ctx context.Context, shared *sharedProbe, part []waitingProbe) {
	client, err := p.Sources.Client(ctx, shared.source, p.Clock.Now())
	if err != nil {
		deliverSighting(part, Sighting{Err: faultOf(analysis.Auth, err)})
		return
	}
	pods := make([]prometheus.Pods, len(part))
	for i, w := range part {
		pods[i] = w.pods
	}
	probe, err := shared.measure.probe(pods...)
	if err != nil {
		deliverSighting(part, Sighting{Err: faultOf(analysis.BadQuery, err)})
		return
	}
	client = shared.measure.reader(client)
	found, err := client.Probe(ctx, tenantOf(part), probe, p.Clock.Now)
	CountQuery(err)
	if err != nil {
		known := knownFault(err)
		if len(part) == 1 || !known.OfQuery {
			deliverSighting(part, Sighting{Err: known})
			return
		}
		for i := range part {
			p.sendPart(ctx, shared, part[i:i+1])
		}
		return
	}
	for _, w := range part {
		s := Sighting{Scopes: probe.Scopes}
		for _, version := range w.pods.ByVersion(shared.measure.Indicator) {
			sight := found.Of(probe, version)
			p.nameOthers(ctx, client, shared.measure, probe.Scopes, version, &sight)
			s.Sights = append(s.Sights, sight)
		}
		w.result <- s
	}
}

// tenantOf is the namespace that a query is for; empty for several.
func tenantOf(part []waitingProbe) string {
	if len(part) == 1 {
		return part[0].pods.Namespace
	}
	return ""
}

// nameOthers adds what exists where a label or a bucket is missing, the names of labels or the
// bounds of buckets, and a series that cannot be used, of these pods alone: the query that was
// shared is about others too. Without an answer the message lacks them.
func (p *Prober) nameOthers(ctx context.Context, client *prometheus.Client, of Measure, scopes []analysis.Scope, pods prometheus.Pods, sight *analysis.Sight) {
	lacking := firstLacking(scopes, *sight)
	if lacking < 0 && sight.Unusable == 0 {
		return
	}
	probe, err := of.probe(pods)
	if err != nil {
		return
	}
	if sight.Unusable > 0 {
		sight.Example, err = client.Unusable(ctx, pods.Namespace, probe, p.Clock.Now)
		CountQuery(err)
	}
	switch {
	case lacking < 0:
		return
	case sight.LacksBucket(scopes, lacking):
		sight.Scopes[lacking].Names, err = client.Bounds(ctx, pods.Namespace, probe, p.Clock.Now)
	default:
		sight.Scopes[lacking].Names, err = client.LabelNames(ctx, pods.Namespace, probe, lacking, p.Clock.Now)
	}
	CountQuery(err)
}

// firstLacking is the index of the first scope whose series lack a label or a bucket; -1 for none.
func firstLacking(scopes []analysis.Scope, sight analysis.Sight) int {
	for i := range sight.Scopes {
		if sight.LacksBucket(scopes, i) || scopes[i].Missing(sight.Scopes[i]) >= 0 {
			return i
		}
	}
	return -1
}

// nobody stands for the pods of a version.
var nobody = prometheus.Pods{Namespace: "namespace", ReplicaSets: []string{"replicaset"}, Services: []string{"service"}}

// Check returns an error, which says what to change, for a measure that cannot be queried.
func (s Measure) Check() error {
	_, err := s.query(nobody)
	return err
}

func (s Measure) probe(pods ...prometheus.Pods) (prometheus.Probe, error) {
	switch {
	case s.Load != nil:
		return prometheus.LoadProbe(*s.Load, pods...)
	case s.Invariant != nil:
		return prometheus.InvariantProbe(*s.Invariant, pods...)
	default:
		return prometheus.IndicatorProbe(s.Indicator, pods...)
	}
}

// MissingIsZero reports whether a metric of bad requests or violations that was never seen
// means that there were none.
func (s Measure) MissingIsZero() bool {
	switch {
	case s.Invariant != nil:
		return s.Invariant.MissingViolations == v1alpha1.MissingZero
	case s.Indicator.Requests != nil:
		return s.Indicator.Requests.MissingBad == v1alpha1.MissingZero
	case s.Indicator.PromQL != nil:
		return s.Indicator.PromQL.MissingBad == v1alpha1.MissingZero
	default:
		return false
	}
}

func knownFault(err error) *prometheus.QueryError {
	var known *prometheus.QueryError
	if errors.As(err, &known) {
		return known
	}
	return faultOf(analysis.Malformed, err)
}

func deliverSighting(part []waitingProbe, s Sighting) {
	for _, w := range part {
		w.result <- s
	}
}
