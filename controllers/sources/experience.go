package sources

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// experience is what earlier polls have shown about a source.
type experience struct {
	generation int64
	// newest is the last usable response, and other the last one of a query that newest's
	// run did not share.
	newest, other answered
	measures      map[string]*lesson
	seen          time.Time
}

// answered is when a query got a response. run is empty when several runs shared it.
type answered struct {
	run string
	at  time.Time
}

// lesson is what polls of one measure have shown.
type lesson struct {
	// bytes is the longest query that is sent, until a time.
	bytes int
	until time.Time
	// splitFrom is when a query without a response may be split again.
	splitFrom time.Time
	// apart are the runs that are queried alone, by Query.run.
	apart map[string]*apart
	seen  time.Time
}

// apart is a run whose query got no response while others did.
type apart struct {
	// failures in a row, and good responses in a row.
	failures, good int
	seen           time.Time
}

const (
	// longestQuery is how many bytes a query of several runs may have. It is below the
	// limit of VictoriaMetrics (-search.maxQueryLen, 16 KiB). A query that the source still
	// refuses as a whole is sent half as long, down to shortestQuery.
	longestQuery  = 12 << 10
	shortestQuery = 1 << 10
	// forgetAfter is how long experience is kept without being confirmed.
	forgetAfter = 10 * time.Minute
	// goodPolls is after how many responses in a row a run shares queries again.
	goodPolls = 8
	// badPolls is how many times in a row a run's own query must time out, or overload the
	// source, until the run is held to be the cause and not the source. Once may be chance.
	badPolls = 3
	// splitEvery is how often a query is split when none of its parts got a response.
	splitEvery = time.Minute
	// elsewhereWithin is how old a response to other runs may be that shows that the source
	// works.
	elsewhereWithin = time.Minute
)

// experienceOf is called with the lock held. It drops what is old.
func (q *Querier) experienceOf(source *v1alpha1.MetricSource, now time.Time) *experience {
	e := q.experience[source.UID]
	if e == nil || e.generation != source.Generation {
		e = &experience{generation: source.Generation, measures: map[string]*lesson{}}
		q.experience[source.UID] = e
	}
	e.seen = now
	maps.DeleteFunc(q.experience, func(_ types.UID, e *experience) bool { return now.Sub(e.seen) > forgetAfter })
	return e
}

func (e *experience) of(measure string, now time.Time) *lesson {
	l := e.measures[measure]
	if l == nil {
		maps.DeleteFunc(e.measures, func(_ string, l *lesson) bool { return now.Sub(l.seen) > forgetAfter })
		l = &lesson{apart: map[string]*apart{}}
		e.measures[measure] = l
	}
	l.seen = now
	maps.DeleteFunc(l.apart, func(_ string, a *apart) bool { return now.Sub(a.seen) > forgetAfter })
	return l
}

// answers notes a usable response.
func (e *experience) answers(run string, at time.Time) {
	if e.newest.run != run {
		e.other = e.newest
	}
	e.newest = answered{run, at}
}

// answersOthers reports whether queries without this run have got responses of late.
func (e *experience) answersOthers(run string, now time.Time) bool {
	last := e.newest
	if last.run == run {
		last = e.other
	}
	return !last.at.IsZero() && now.Sub(last.at) <= elsewhereWithin
}

// group groups the runs so that no query is too long and no response needs more series
// than the source's limit. A run that needs more by itself gets the source's error.
func (l *lesson) group(runs []runQuery, series int, now time.Time) (out []group) {
	longest := longestQuery
	if now.Before(l.until) {
		longest = l.bytes
	}
	shared, room, bytes := -1, 0, 0
	for _, r := range runs {
		if a := l.apart[r.run]; a != nil {
			a.seen = now
			out = append(out, group{runs: []runQuery{r}})
			continue
		}
		if shared < 0 || r.size > room || r.adds > bytes {
			shared, room, bytes = len(out), series, longest-len(r.Text)+r.adds
			out = append(out, group{})
		}
		out[shared].runs = append(out[shared].runs, r)
		room, bytes = room-r.size, bytes-r.adds
	}
	return out
}

// learn changes what is known of the sender's measure.
func (p *sender) learn(change func(e *experience, l *lesson, now time.Time)) {
	now := p.querier.Clock.Now()
	p.querier.mu.Lock()
	defer p.querier.mu.Unlock()
	e := p.querier.experienceOf(p.source, now)
	change(e, e.of(p.key, now), now)
}

func (p *sender) noteResponse(g group) {
	p.learn(func(e *experience, l *lesson, now time.Time) {
		l.splitFrom = time.Time{}
		if len(g.runs) > 1 {
			e.answers("", now)
			return
		}
		run := g.runs[0].run
		e.answers(run, now)
		if a := l.apart[run]; a != nil {
			a.failures = 0
			if a.good++; a.good >= goodPolls {
				delete(l.apart, run)
			}
		}
	})
}

// noteFailure notes that a run got no response to a query of its own. It reports whether
// the run is the cause.
func (p *sender) noteFailure(run string, err *prometheus.QueryError) (own bool) {
	p.learn(func(e *experience, l *lesson, now time.Time) {
		// Text that a user's own expression makes of series is the user's.
		unusable := p.measure.Indicator.PromQL != nil && (err.Reason == analysis.Malformed || err.Reason == analysis.WrongType)
		if !e.answersOthers(run, now) || !err.MayBeSize() && !unusable {
			return
		}
		a := l.apart[run]
		if a == nil {
			a = &apart{}
			l.apart[run] = a
		}
		a.seen, a.good = now, 0
		a.failures++
		own = err.OfQuery || unusable || a.failures >= badPolls
	})
	return own
}

// noteTooLong notes that a query got no response, but all of its parts did.
func (p *sender) noteTooLong(bytes int) {
	p.learn(func(_ *experience, l *lesson, now time.Time) {
		l.bytes, l.until = max(shortestQuery, bytes/2), now.Add(forgetAfter)
	})
}

// noteNothing notes that no part of a query got a response. When no other query did since
// the poll began, the cause is the source, and splitting would only add to its load.
func (p *sender) noteNothing() {
	p.learn(func(e *experience, l *lesson, now time.Time) {
		if e.newest.at.Before(p.began) {
			l.splitFrom = now.Add(splitEvery)
		}
	})
}

func (p *sender) maySplit() (may bool) {
	p.learn(func(_ *experience, l *lesson, now time.Time) { may = !now.Before(l.splitFrom) })
	return may
}
