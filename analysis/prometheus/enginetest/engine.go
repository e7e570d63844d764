// Package enginetest answers Belay's queries with Prometheus' own engine, over exposition
// text as a target would serve it. It is for tests.
package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Engine is Prometheus' engine over samples of one time, or of a past: see Series.
type Engine struct {
	at     time.Time
	series []storage.Series
	engine *promql.Engine
}

// New returns an engine whose samples have the time at.
func New(at time.Time) *Engine {
	return &Engine{at: at, engine: promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: parser.NewParser(parser.Options{}),
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
	b.Set(model.MetricNameLabel, name)
	e.add(b.Labels(), target, sample{at: e.at.UnixMilli(), histogram: h})
}

// Series adds a counter or gauge of a target with count samples, the newest at the engine's
// time. value is called with the time of each.
func (e *Engine) Series(name string, labelled map[string]string, count int, every time.Duration, value func(time.Time) float64) {
	times := make([]time.Time, count)
	for i := range times {
		times[i] = e.at.Add(-time.Duration(count-1-i) * every)
	}
	e.Samples(name, labelled, times, value)
}

// Samples adds a counter or gauge of a target with a sample at each of the times. Those of a
// series that is known continue it.
func (e *Engine) Samples(name string, labelled map[string]string, times []time.Time, value func(time.Time) float64) {
	b := labels.NewBuilder(labels.FromMap(labelled))
	b.Set(model.MetricNameLabel, name)
	var samples []chunks.Sample
	known := slices.IndexFunc(e.series, func(s storage.Series) bool { return labels.Equal(s.Labels(), b.Labels()) })
	if known >= 0 {
		for i := e.series[known].Iterator(nil); i.Next() != chunkenc.ValNone; {
			at, v := i.At()
			samples = append(samples, sample{at: at, value: v})
		}
		e.series = slices.Delete(e.series, known, known+1)
	}
	for _, at := range times {
		samples = append(samples, sample{at: at.UnixMilli(), value: value(at)})
	}
	e.series = append(e.series, storage.NewListSeries(b.Labels(), samples))
}

// Stale is the value of a sample that says that a series has ended, as Prometheus writes it when
// a target or one of its series is gone.
func Stale() float64 { return math.Float64frombits(value.StaleNaN) }

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

// answer is Prometheus' API for queries.
func (e *Engine) answer(w http.ResponseWriter, r *http.Request) {
	data, err := e.data(r)
	w.Header().Set("Content-Type", "application/json")
	// The client compares clocks.
	now := e.at
	if asked, err := unix(r.FormValue("time")); err == nil {
		now = asked
	}
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "error", "errorType": "execution", "error": err.Error()})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
}

func (e *Engine) data(r *http.Request) (any, error) {
	if strings.HasSuffix(r.URL.Path, "/query_range") {
		matrix, err := e.queryRange(r)
		result := []any{}
		for _, s := range matrix {
			values := []any{}
			for _, p := range s.Floats {
				values = append(values, point(p.T, p.F))
			}
			result = append(result, map[string]any{"metric": s.Metric, "values": values})
		}
		return map[string]any{"resultType": "matrix", "result": result}, err
	}
	vector, err := e.query(r)
	result := []any{}
	for _, s := range vector {
		one := map[string]any{"metric": s.Metric}
		if s.H != nil {
			one["histogram"] = []any{float64(s.T) / 1000, map[string]string{"count": strconv.FormatFloat(s.H.Count, 'f', -1, 64), "sum": "0"}}
		} else {
			one["value"] = point(s.T, s.F)
		}
		result = append(result, one)
	}
	return map[string]any{"resultType": "vector", "result": result}, err
}

func point(at int64, value float64) []any {
	return []any{float64(at) / 1000, strconv.FormatFloat(value, 'f', -1, 64)}
}

func (e *Engine) query(r *http.Request) (promql.Vector, error) {
	at, err := unix(r.FormValue("time"))
	if err != nil {
		return nil, err
	}
	q, err := e.engine.NewInstantQuery(r.Context(), e, nil, r.FormValue("query"), at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	return q.Exec(r.Context()).Vector()
}

// queryRange has the lookback that is asked for, as Prometheus does.
func (e *Engine) queryRange(r *http.Request) (promql.Matrix, error) {
	start, err := unix(r.FormValue("start"))
	if err != nil {
		return nil, err
	}
	end, err := unix(r.FormValue("end"))
	if err != nil {
		return nil, err
	}
	step, err := strconv.ParseFloat(r.FormValue("step"), 64)
	if err != nil {
		return nil, err
	}
	lookback, err := time.ParseDuration(r.FormValue("lookback_delta"))
	if err != nil {
		return nil, err
	}
	q, err := e.engine.NewRangeQuery(r.Context(), e, promql.NewPrometheusQueryOpts(false, lookback, nil), r.FormValue("query"), start, end, time.Duration(step*float64(time.Second)))
	if err != nil {
		return nil, err
	}
	defer q.Close()
	return q.Exec(r.Context()).Matrix()
}

func unix(text string) (time.Time, error) {
	seconds, err := strconv.ParseFloat(text, 64)
	return time.UnixMilli(int64(seconds * 1000)), err
}

// Querier has all series.
func (e *Engine) Querier(int64, int64) (storage.Querier, error) { return querier{of: e}, nil }

type querier struct {
	storage.LabelQuerier
	of *Engine
}

// Close does nothing.
func (querier) Close() error { return nil }

// Select returns the series that match.
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

// Next moves to the next series.
func (s *seriesSet) Next() bool { s.at++; return s.at < len(s.all) }

// At is the present series.
func (s *seriesSet) At() storage.Series { return s.all[s.at] }

// Err is nil.
func (s *seriesSet) Err() error { return nil }

// Warnings has none.
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// sample is a number or a histogram.
type sample struct {
	at        int64
	value     float64
	histogram *histogram.FloatHistogram
}

// T is the time in milliseconds.
func (s sample) T() int64 { return s.at }

// ST is no start time.
func (s sample) ST() int64 { return 0 }

// F is the number.
func (s sample) F() float64 { return s.value }

// H is nil: histograms have floats.
func (s sample) H() *histogram.Histogram { return nil }

// FH is the histogram.
func (s sample) FH() *histogram.FloatHistogram { return s.histogram }

// Copy is the sample, which nobody changes.
func (s sample) Copy() chunks.Sample { return s }

// Type is that of the value.
func (s sample) Type() chunkenc.ValueType {
	if s.histogram != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}
