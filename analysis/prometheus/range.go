package prometheus

import (
	"context"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"belay.dev/belay/analysis"
)

// Times are the evaluation times From, From+Step, …, Count of them, in the past.
type Times struct {
	From time.Time
	// Step is at least a millisecond.
	Step time.Duration
	// Count is at least 1.
	Count int
}

// At is the evaluation time with a number from 0 to Count-1.
func (t Times) At(i int) time.Time { return t.From.Add(time.Duration(i) * t.Step) }

// First are the first n times, and Rest the others.
func (t Times) First(n int) Times { return Times{t.From, t.Step, n} }

// Rest are the times without the first n.
func (t Times) Rest(n int) Times { return Times{t.At(n), t.Step, t.Count - n} }

// Parts are the same times, as those of several range queries whose steps are as long as the
// lookback of a source with this scrape interval. VictoriaMetrics looks back from a time of a
// range query at most one step, and for timestamp() exactly one, whatever max_lookback says
// (app/vmselect/promql/rollup.go). The i-th of n parts has the times i, i+n, i+2n, ….
func (t Times) Parts(scrapeInterval time.Duration) []Times {
	n := max(1, min(t.Count, int(lookbackScrapes*scrapeInterval/max(t.Step, time.Millisecond))))
	parts := make([]Times, n)
	for i := range parts {
		parts[i] = Times{t.At(i), time.Duration(n) * t.Step, (t.Count - i + n - 1) / n}
	}
	return parts
}

// number of the evaluation time that a response names in Unix seconds.
func (t Times) number(at float64) (int, bool) {
	steps := (at - seconds(t.From)) / t.Step.Seconds()
	i := math.Round(steps)
	if !(math.Abs(steps-i)*t.Step.Seconds() <= 0.001) || i < 0 || i >= float64(t.Count) {
		return 0, false
	}
	return int(i), true
}

// CountsOver evaluates a query made by IndicatorQuery at several times and returns what
// Counts would have returned at each; the times must not be closer than the lookback (see
// Parts). The query has the same text and the same lookback as an instant query, because a
// range query is an instant query at every step: samples that a range selector returns would
// have to be aligned, joined and left out when they are old or stale, as the source does by
// itself. The error is a *QueryError; MayBeSize says whether fewer times may get a response.
func (c *Client) CountsOver(ctx context.Context, tenant, query string, times Times) ([]Response, error) {
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer done()
	times.From = times.From.Truncate(time.Millisecond)
	collectors := make([]*collector, times.Count)
	take := func(r *sample) *QueryError {
		if r.histogram {
			return failed(analysis.WrongType, "the response has a native histogram where a counter is expected: use a classic histogram or a counter")
		}
		i, ok := times.number(r.at)
		if !ok {
			return failed(analysis.ClockSkew, "the response has another evaluation time than the query")
		}
		if collectors[i] == nil {
			collectors[i] = c.collector(times.At(i), 0)
		}
		return collectors[i].take(r)
	}
	if err := c.readRange(ctx, query, times, &vectorReader{limit: c.limits.rows(), labels: c.labels, times: times.Count, take: take}); err != nil {
		return nil, err
	}
	answers := make([]Response, times.Count)
	for i := range answers {
		answers[i].At = times.At(i)
		if collectors[i] != nil {
			collectors[i].finish(&answers[i])
		}
	}
	return answers, nil
}

func (c *Client) readRange(ctx context.Context, query string, times Times, rows *vectorReader) error {
	unix := func(t time.Time) string { return strconv.FormatFloat(seconds(t), 'f', -1, 64) }
	form := maps.Clone(c.parameters)
	form.Set("query", query)
	form.Set("start", unix(times.From))
	form.Set("end", unix(times.At(times.Count-1)))
	form.Set("step", strconv.FormatFloat(times.Step.Seconds(), 'f', -1, 64))
	form.Set("timeout", c.timeout.String())
	got, err := c.send(ctx, http.MethodPost, "/api/v1/query_range", form, rows.read)
	if err != nil {
		return err
	}
	if err := got.incomplete(); err != nil {
		return err
	}
	return rows.outcome()
}

// incomplete is the error of a response with a warning, which is a partial one: truncated,
// or from some replicas only.
func (r receipt) incomplete() error {
	if !r.warned {
		return nil
	}
	return failed(analysis.Warning, "the source returned a warning, so its data may be incomplete: %s", quote(r.warning))
}
