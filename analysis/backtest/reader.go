package backtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"belay.dev/belay/analysis/prometheus"
)

// spans are the evaluation times of all windows, without those between them. Like polls of
// runs, they are multiples of the interval.
func (s *Spec) spans() []prometheus.Times {
	var out []prometheus.Times
	every := s.every()
	for _, w := range s.Windows {
		from, until := ceil(w.Start, every), w.end()
		if n := len(out); n > 0 && !from.After(out[n-1].At(out[n-1].Count)) {
			from = out[n-1].From
			out, until = out[:n-1], later(until, out[n-1].At(out[n-1].Count-1))
		}
		out = append(out, prometheus.Times{From: from, Step: every, Count: int(until.Sub(from)/every) + 1})
	}
	return out
}

func ceil(t time.Time, unit time.Duration) time.Time {
	if down := t.Truncate(unit); down.Before(t) {
		return down.Add(unit)
	}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// reader reads times in parts that the source can answer.
type reader struct {
	source   Source
	spec     *Spec
	report   func(Progress)
	progress Progress
	// size is how many times a query has.
	size int
}

// read passes the responses to take in order of time. A query that may be too large is
// halved, and so are those after it.
func (r *reader) read(ctx context.Context, query string, times prometheus.Times, take func(prometheus.Response) error) error {
	for times.Count > 0 {
		some := times.First(min(r.size, times.Count))
		answers, err := r.readAll(ctx, query, some)
		var known *prometheus.QueryError
		switch {
		case err != nil && errors.As(err, &known) && known.MayBeSize() && some.Count > 1 && ctx.Err() == nil:
			r.size = some.Count / 2
			continue
		case err != nil:
			return err
		}
		for i := range answers {
			if err := take(answers[i]); err != nil {
				return err
			}
		}
		times = times.Rest(some.Count)
		r.progress.Judged += some.Count
		if r.report != nil {
			r.report(r.progress)
		}
	}
	return nil
}

// readAll reads times in the parts that sources answer alike, and puts them in order.
func (r *reader) readAll(ctx context.Context, query string, times prometheus.Times) ([]prometheus.Response, error) {
	answers := make([]prometheus.Response, times.Count)
	parts := times.Parts(r.spec.ScrapeInterval)
	for n, part := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if r.progress.Queries == r.spec.Limits.Queries {
			return nil, fmt.Errorf("the limit Queries of %d is reached at %s: judge a shorter time, or raise it", r.spec.Limits.Queries, stamp(times.From))
		}
		r.progress.Queries++
		some, err := r.source.CountsOver(ctx, r.spec.Namespace, query, part)
		if err != nil {
			return nil, err
		}
		for i := range some {
			answers[n+i*len(parts)] = some[i]
		}
	}
	return answers, nil
}
