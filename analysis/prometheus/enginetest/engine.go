// Package enginetest answers Belay's queries with Prometheus' own engine, over exposition
// text as a target would serve it. It is for tests.
package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Engine is Prometheus' engine over samples of one time.
type Engine struct {
	at     time.Time
	series []storage.Series
	engine *promql.Engine
}

// New returns an engine whose samples have the time at.
func New(at time.Time) *Engine {
	return &Engine{at: at, engine: promql.NewEngine(promql.EngineOpts{
		MaxSamples: 100_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: parser.NewParser(parser.Options{}),
	})}
}

// Scrape adds what a target exposes in Prometheus' text format, with the labels that
// relabelling gives to it, such as namespace, pod and instance.
func (e *Engine) Scrape(t testing.TB, text string, target map[string]string) {
	t.Helper()
	p, err := textparse.New([]byte(text), "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("the exposition cannot be parsed: %v", err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var own labels.Labels
		p.Labels(&own)
		_, _, value := p.Series()
		e.add(own, target, sample{at: e.at.UnixMilli(), value: value})
	}
}

// Histogram adds a native histogram of a target.
func (e *Engine) Histogram(name string, own, target map[string]string, h *histogram.FloatHistogram) {
	b := labels.NewBuilder(labels.FromMap(own))
	b.Set(labels.MetricName, name)
	e.add(b.Labels(), target, sample{at: e.at.UnixMilli(), histogram: h})
}

func (e *Engine) add(own labels.Labels, target map[string]string, s sample) {
	b := labels.NewBuilder(own)
	for name, value := range target {
		b.Set(name, value)
	}
	e.series = append(e.series, storage.NewListSeries(b.Labels(), []chunks.Sample{s}))
}

// Serve answers queries at the URL that it returns until the test ends.
func (e *Engine) Serve(t testing.TB) string {
	s := httptest.NewServer(http.HandlerFunc(e.answer))
	t.Cleanup(s.Close)
	return s.URL
}

// answer is Prometheus' API for instant queries.
func (e *Engine) answer(w http.ResponseWriter, r *http.Request) {
	vector, err := e.query(r.Context(), r.FormValue("query"), r.FormValue("time"))
	w.Header().Set("Content-Type", "application/json")
	// The client compares clocks.
	w.Header().Set("Date", e.at.UTC().Format(http.TimeFormat))
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "error", "errorType": "execution", "error": err.Error()})
		return
	}
	result := []any{}
	for _, s := range vector {
		one := map[string]any{"metric": s.Metric}
		if s.H != nil {
			one["histogram"] = []any{float64(s.T) / 1000, map[string]string{"count": strconv.FormatFloat(s.H.Count, 'f', -1, 64), "sum": "0"}}
		} else {
			one["value"] = []any{float64(s.T) / 1000, strconv.FormatFloat(s.F, 'f', -1, 64)}
		}
		result = append(result, one)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

func (e *Engine) query(ctx context.Context, text, at string) (promql.Vector, error) {
	seconds, err := strconv.ParseFloat(at, 64)
	if err != nil {
		return nil, err
	}
	q, err := e.engine.NewInstantQuery(ctx, e, nil, text, time.UnixMilli(int64(seconds*1000)))
	if err != nil {
		return nil, err
	}
	defer q.Close()
	return q.Exec(ctx).Vector()
}

// Querier has all series.
func (e *Engine) Querier(int64, int64) (storage.Querier, error) { return querier{of: e}, nil }

type querier struct {
	storage.LabelQuerier
	of *Engine
}

func (querier) Close() error { return nil }

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	set := &seriesSet{at: -1}
	for _, s := range q.of.series {
		if matches(s.Labels(), matchers) {
			set.all = append(set.all, s)
		}
	}
	return set
}

func matches(of labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(of.Get(m.Name)) {
			return false
		}
	}
	return true
}

type seriesSet struct {
	all []storage.Series
	at  int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.all) }
func (s *seriesSet) At() storage.Series                { return s.all[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// sample is a number or a histogram.
type sample struct {
	at        int64
	value     float64
	histogram *histogram.FloatHistogram
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return s.histogram }
func (s sample) Copy() chunks.Sample           { return s }
func (s sample) Type() chunkenc.ValueType {
	if s.histogram != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}
