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

// Asker sends one query for all runs that ask a source about the same indicator
// at the same time, and hands each its own pods' rows. The number of queries
// grows with the indicators in use and the pods in an answer, not with the runs.
type Asker struct {
	Sources *Clients
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
	subject    string
	// alone keeps a run by itself.
	alone string
}

// batch is the runs that will share a query.
type batch struct {
	source  *v1alpha1.MetricSource
	subject Subject
	members []member
}

// Subject is what is asked about: an slo's indicator or an invariant.
type Subject struct {
	Indicator v1alpha1.Indicator
	Invariant *v1alpha1.Invariant
}

func (s Subject) query(pods ...prometheus.Pods) (string, error) {
	if s.Invariant != nil {
		return prometheus.InvariantQuery(*s.Invariant, pods...)
	}
	return prometheus.IndicatorQuery(s.Indicator, pods...)
}

// member is one run's part of a batch.
type member struct {
	pods prometheus.Pods
	// size is how many pods to expect.
	size  int
	reply chan Reply
}

// NewAsker returns an Asker without runs.
func NewAsker(sources *Clients, c clock.WithDelayedExecution, gather time.Duration) *Asker {
	return &Asker{Sources: sources, Clock: c, Gather: gather, open: map[shape]*batch{}}
}

// Inquiry is a question about one run's pods. It is made once for all polls.
type Inquiry struct {
	Subject Subject
	Pods    prometheus.Pods
	// Query for this run alone. It gives the same rows as one that runs share.
	Query string
	// shape of what is asked, the same for all that ask for the same.
	shape string
}

// NewInquiry returns an error, which says what to do, for what cannot be asked.
func NewInquiry(of Subject, pods prometheus.Pods) (Inquiry, error) {
	query, err := of.query(pods)
	if err != nil {
		return Inquiry{}, fmt.Errorf("write the query: %w", err)
	}
	shape, err := json.Marshal(of)
	if err != nil {
		return Inquiry{}, fmt.Errorf("encode what is asked: %w", err)
	}
	return Inquiry{of, pods, query, string(shape)}, nil
}

// Reply is what a source says of a run's pods at a time, or why it says nothing.
type Reply struct {
	Pods []prometheus.Counter
	// At is the time that was asked about. It is zero when nothing could be asked.
	At  time.Time
	Err *prometheus.QueryError
}

// Ask joins a question about a run's pods, of which it expects size, to those
// that can share a query with it. The answer, or why there is none, comes on the
// channel.
func (a *Asker) Ask(ctx context.Context, source *v1alpha1.MetricSource, q Inquiry, size int) <-chan Reply {
	m := member{q.Pods, max(1, size), make(chan Reply, 1)}
	key := shape{source: source.UID, generation: source.Generation, subject: q.shape}
	if q.Subject.Indicator.PromQL != nil {
		key.alone = q.Pods.Namespace + "/" + strings.Join(q.Pods.ReplicaSets, "/")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b, gathering := a.open[key]
	if !gathering {
		b = &batch{source: source, subject: q.Subject}
		a.open[key] = b
		// The batch outlives the run that came first.
		ctx = context.WithoutCancel(ctx)
		a.Clock.AfterFunc(a.Gather, func() { go a.send(ctx, key) })
	}
	b.members = append(b.members, m)
	return m.reply
}

// send closes a batch and asks for it, in as many queries as its answers need.
func (a *Asker) send(ctx context.Context, key shape) {
	a.mu.Lock()
	b := a.open[key]
	delete(a.open, key)
	a.mu.Unlock()
	// As a source takes it, so that what is recorded asks for the very same time.
	now := a.Clock.Now().Truncate(time.Millisecond)
	c, err := a.Sources.Client(ctx, b.source, now)
	if err != nil {
		deliver(b.members, Reply{Err: faultOf(analysis.Auth, err)})
		return
	}
	// One deadline for all that is asked for the batch: halves do not add to it.
	ctx, cancel := context.WithTimeout(ctx, b.source.Spec.Limits.Timeout.Duration)
	defer cancel()
	var parts sync.WaitGroup
	for _, members := range b.parts() {
		p := &part{asker: a, client: c, subject: b.subject, at: now}
		p.more.Store(int32(4 * bits.Len(uint(len(members)))))
		parts.Go(func() { p.query(ctx, members) })
	}
	parts.Wait()
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

// part is what is asked at once, and in halves where the answer is too large.
type part struct {
	asker   *Asker
	client  *prometheus.Client
	subject Subject
	at      time.Time
	// more is how many further queries may be sent: enough to find two runs that
	// are too large. A source that answers everything so gets no storm of queries.
	more atomic.Int32
}

func (p *part) query(ctx context.Context, members []member) {
	pods, expected := make([]prometheus.Pods, len(members)), 0
	for i, m := range members {
		pods[i] = m.pods
		expected += m.size
	}
	query, err := p.subject.query(pods...)
	if err != nil {
		deliver(members, Reply{At: p.at, Err: faultOf(analysis.BadQuery, err)})
		return
	}
	answer, err := p.client.Counts(ctx, query, expected, p.at, p.asker.Clock.Now())
	CountQuery(err)
	if err == nil {
		p.hand(answer, members)
		return
	}
	known := &prometheus.QueryError{}
	if !errors.As(err, &known) {
		known = faultOf(analysis.Malformed, err)
	}
	if len(members) == 1 || !isSize(known.Reason) || p.more.Add(-2) < 0 || ctx.Err() != nil {
		deliver(members, Reply{At: p.at, Err: known})
		return
	}
	var halves sync.WaitGroup
	half := len(members) / 2
	halves.Go(func() { p.query(ctx, members[:half]) })
	halves.Go(func() { p.query(ctx, members[half:]) })
	halves.Wait()
}

// faultOf is an error of ours as a reason not to decide.
func faultOf(reason analysis.Reason, err error) *prometheus.QueryError {
	return &prometheus.QueryError{Reason: reason, Message: utilstrings.ShortenString(err.Error(), 400)}
}

// isSize reports whether an answer to fewer runs may be within the limits. No
// other fault goes away with fewer: it is the source's, or of one pod, which the
// answer names.
func isSize(r analysis.Reason) bool { return r == analysis.TooManySeries || r == analysis.TooLarge }

// hand gives each run the rows of its own pods, or what is wrong with one of them.
func (p *part) hand(answer prometheus.Answer, members []member) {
	// An expression of the user's is asked for one run alone.
	alone := p.subject.Indicator.PromQL != nil
	rows := make(map[string][]prometheus.Counter, len(members))
	for _, run := range inNamespaces(answer.Counters) {
		rows[run[0].Namespace] = run
	}
	for _, m := range members {
		own := rows[m.pods.Namespace]
		if alone {
			own = answer.Counters
		}
		r := Reply{Pods: ownPods(own, m.pods), At: p.at}
		for _, f := range answer.Faults {
			if (alone || f.Namespace == m.pods.Namespace) && isOwn(f.Pod, m.pods) {
				r = Reply{At: p.at, Err: f.Err}
				break
			}
		}
		m.reply <- r
	}
}

// inNamespaces sorts rows by whose they are, in place, and cuts them between
// namespaces.
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

func deliver(members []member, r Reply) {
	for _, m := range members {
		m.reply <- r
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
