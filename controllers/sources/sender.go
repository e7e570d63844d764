package sources

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// sender sends the queries of one measure for groups of runs. When a group gets no usable
// response, it sends smaller ones until the runs that cause it are alone.
type sender struct {
	querier *Querier
	client  *prometheus.Client
	source  *v1alpha1.MetricSource
	measure Measure
	// key is Query.measure.
	key   string
	began time.Time
	// extra is how many queries were sent beyond one for each group.
	extra atomic.Int32
}

// A group is split into splitInto parts: a run that causes timeouts is alone after two of
// them among 64 runs. At most maxExtra queries are sent beyond one for each group, which is
// enough to find two runs of 500; what is not found then is found in the next poll.
const (
	splitInto = 8
	maxExtra  = 40
)

// group is runs that share a query.
type group struct {
	runs []runQuery
	// text is the query that was sent, at its evaluation time, and err why it got no usable
	// response.
	text string
	at   time.Time
	err  *prometheus.QueryError
}

// send gives each run of the groups one result.
func (p *sender) send(ctx context.Context, groups []group) {
	var rest sync.WaitGroup
	for i, g := range p.sendAll(ctx, groups) {
		if i == 0 {
			// When no part of the first one gets a response, the others are not split.
			p.narrow(ctx, g)
			continue
		}
		rest.Go(func() { p.narrow(ctx, g) })
	}
	rest.Wait()
}

// narrow sends the parts of a group that got no response.
func (p *sender) narrow(ctx context.Context, g group) {
	parts := g.split()
	if len(parts) < 2 || ctx.Err() != nil || !p.maySplit() || p.extra.Add(int32(len(parts))) > maxExtra {
		p.giveUp(g)
		return
	}
	failing := p.sendAll(ctx, parts)
	switch len(failing) {
	case 0:
		p.noteTooLong(len(g.text))
	case len(parts):
		p.noteNothing()
	}
	var rest sync.WaitGroup
	for _, part := range failing {
		rest.Go(func() { p.narrow(ctx, part) })
	}
	rest.Wait()
}

func (p *sender) giveUp(g group) {
	own := len(g.runs) == 1 && p.noteFailure(g.runs[0].run, g.err)
	deliver(g.runs, Result{At: g.at, Err: g.err, Own: own})
}

// sendAll sends the groups' queries and returns the groups that got no usable response.
func (p *sender) sendAll(ctx context.Context, groups []group) (failing []group) {
	var all sync.WaitGroup
	for i := range groups {
		all.Go(func() { p.query(ctx, &groups[i]) })
	}
	all.Wait()
	for _, g := range groups {
		if g.err != nil {
			failing = append(failing, g)
		}
	}
	return failing
}

func (p *sender) query(ctx context.Context, g *group) {
	pods, expected := make([]prometheus.Pods, len(g.runs)), 0
	for i, r := range g.runs {
		pods[i] = r.Pods
		expected += r.size
	}
	var err error
	if g.text, err = p.measure.query(pods...); err != nil {
		g.err = faultOf(analysis.BadQuery, err)
		return
	}
	response, err := p.measure.reader(p.client).Counts(ctx, g.tenant(), g.text, expected, p.querier.Clock.Now)
	g.at = response.At
	CountQuery(err)
	if err == nil {
		p.noteResponse(*g)
		distribute(response, g.runs)
		return
	}
	if !errors.As(err, &g.err) {
		g.err = faultOf(analysis.Malformed, err)
	}
}

// tenant is the namespace that a group's query is for; empty when several share it.
func (g group) tenant() string {
	for _, r := range g.runs[1:] {
		if r.Pods.Namespace != g.runs[0].Pods.Namespace {
			return ""
		}
	}
	return g.runs[0].Pods.Namespace
}

// split returns the parts of a group that may get responses; none when its error would be
// the same for fewer runs.
func (g group) split() (parts []group) {
	if !g.err.MayBeSize() {
		return nil
	}
	size := (len(g.runs) + splitInto - 1) / splitInto
	for rest := g.runs; len(rest) > 0; {
		n := min(size, len(rest))
		parts = append(parts, group{runs: rest[:n]})
		rest = rest[n:]
	}
	return parts
}
