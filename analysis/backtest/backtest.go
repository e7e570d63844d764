// Package backtest judges past data of a source by a guardrail: how often its triggers
// would have fired, when, and how soon. It uses the queries, the ledger and the triggers
// that runs in progress are judged by. It reads no clock: the times are given.
package backtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// Source has the counters of the past. *prometheus.Client is one.
type Source interface {
	// CountsOver returns a response for each of the times. Its error is a
	// *prometheus.QueryError.
	CountsOver(ctx context.Context, tenant, query string, times prometheus.Times) ([]prometheus.Response, error)
}

// Spec is what is judged.
type Spec struct {
	// Guardrail whose triggers are judged: those of SLOs and invariants. What else it has is
	// not in a source.
	Guardrail v1alpha1.GuardrailSpec
	// Namespace of the pods.
	Namespace string
	// Labels are the source's names of the labels for namespace and pod.
	Labels v1alpha1.MetricSourceLabels
	// Ready is a gauge that is 1 while a pod is ready, such as kube_pod_status_ready with the
	// matcher condition="true" of kube-state-metrics, with the labels of the pods it is about;
	// nil when the source has none. Without it a pod is taken as ready since its first sample.
	Ready *v1alpha1.Series
	// ScrapeInterval of the source, at least a second. Like a run, a release is judged as
	// often as that, and at least every 15 s.
	ScrapeInterval time.Duration
	// Arms are who is compared.
	Arms Arms
	// Windows are the times of the releases, in any order; they may overlap. See Sliding.
	Windows []Window
	// Stages of each release, in order of time. Those of a split are not given: its weight is
	// the part of the pods that it takes.
	Stages []Stage
	// Onset is when a known fault began; zero for none. The report then says how long the
	// triggers took to find it.
	Onset time.Time
	// Limits of the backtest. Zero values are those of DefaultLimits.
	Limits Limits
}

// Arms are the pods that are compared: either Candidate and Stable are set, or Split is.
type Arms struct {
	// Candidate and Stable are names of ReplicaSets.
	Candidate, Stable []string
	// Split are ReplicaSets of one version, which is compared with itself (an A/A test):
	// each fire is a false alarm.
	Split []string
	// Seeds of the splits: for each, a part of the pods is taken as the candidate, chosen by
	// a hash of the seed and their names. Without Split there are none.
	Seeds []uint64
	// Share is how many percent of the pods a split takes as the candidate, from 1 to 99; 0
	// is 50. Both arms have at least one pod.
	Share int
}

// Window is the time of a release.
type Window struct {
	Start    time.Time
	Duration time.Duration
}

func (w Window) end() time.Time { return w.Start.Add(w.Duration) }

// Stage is a part of a release.
type Stage struct {
	// After is how long after the start of the release the stage begins.
	After time.Duration
	// Weight of the candidate in percent, from 1 to 100.
	Weight int
}

// Limits bound what a backtest costs.
type Limits struct {
	// Times are how many evaluation times are read before they are judged, at most, by one
	// range query for every Step of the lookback (see prometheus.Times.Parts). Sources refuse
	// more than 11,000 in one. A response that is too large is queried again in halves.
	Times int
	// Queries are how many are sent, at most.
	Queries int
	// Releases are how many are judged, at most: windows times seeds. Each needs about
	// 100 bytes.
	Releases int
	// Active are how many releases are judged at the same time, because their windows
	// overlap. Each needs up to 100 KB.
	Active int
	// Fires are how many are listed in the report. More are counted, not listed.
	Fires int
}

// DefaultLimits are enough for a week at 15 s, with a release every 10 minutes.
func DefaultLimits() Limits {
	return Limits{Times: 1000, Queries: 2000, Releases: 10_000, Active: 500, Fires: 100}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct {
		value    *int
		standard int
	}{{&l.Times, d.Times}, {&l.Queries, d.Queries}, {&l.Releases, d.Releases}, {&l.Active, d.Active}, {&l.Fires, d.Fires}} {
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	return l
}

// Progress is how many evaluation times were judged, of how many.
type Progress struct{ Judged, Of, Queries int }

// Sliding are the windows of this length that begin every so often from a time on and end
// until another. It has at most limit of them; more are an error.
func Sliding(from, until time.Time, duration, every time.Duration, limit int) ([]Window, error) {
	if every <= 0 || duration <= 0 {
		return nil, fmt.Errorf("windows last %s and begin every %s: both must be more than 0", duration, every)
	}
	var out []Window
	for start := from; !start.Add(duration).After(until); start = start.Add(every) {
		if len(out) == limit {
			return nil, fmt.Errorf("there are more than %d windows of %s between %s and %s: let them begin less often, or raise the limit", limit, duration, stamp(from), stamp(until))
		}
		out = append(out, Window{start, duration})
	}
	return out, nil
}

// slowestPoll is the longest time between two polls of a run.
const slowestPoll = 15 * time.Second

func (s *Spec) every() time.Duration { return min(s.ScrapeInterval, slowestPoll) }

// check says what is wrong with a spec, and fills in what is left out.
func (s *Spec) check() error {
	s.Limits = s.Limits.orDefault()
	if s.Arms.Share == 0 {
		s.Arms.Share = 50
	}
	s.Windows = slices.SortedFunc(slices.Values(s.Windows), func(a, b Window) int { return a.Start.Compare(b.Start) })
	releases := len(s.Windows) * max(1, len(s.Arms.Seeds))
	split := len(s.Arms.Split) > 0
	switch {
	case s.ScrapeInterval < time.Second:
		return fmt.Errorf("the scrape interval is %s, at least 1s is needed", s.ScrapeInterval)
	case len(s.Windows) == 0:
		return errors.New("there is no window to judge: the time between the first and the last is shorter than one")
	case split == (len(s.Arms.Candidate) > 0 || len(s.Arms.Stable) > 0), !split && (len(s.Arms.Candidate) == 0 || len(s.Arms.Stable) == 0):
		return errors.New("name ReplicaSets of both the candidate and stable, or those of one version to split")
	case split != (len(s.Arms.Seeds) > 0):
		return errors.New("a split needs seeds, and only a split has any")
	case split != (len(s.Stages) == 0):
		return errors.New("name the stages of the releases, with their weights; a split has none")
	case s.Arms.Share < 1 || s.Arms.Share > 99:
		return fmt.Errorf("the candidate's share of a split is %d %%, it must be from 1 to 99", s.Arms.Share)
	case s.Ready != nil && s.Ready.Metric == "kube_pod_status_ready" && len(s.Ready.Matchers) == 0:
		return errors.New(`kube_pod_status_ready has a series for each condition: add the matcher condition="true"`)
	case releases > s.Limits.Releases:
		return fmt.Errorf("there are %d releases to judge (windows times seeds), the limit Releases is %d: judge fewer, or raise it", releases, s.Limits.Releases)
	}
	for i, stage := range s.Stages {
		if stage.Weight < 1 || stage.Weight > 100 || stage.After < 0 || i > 0 && stage.After <= s.Stages[i-1].After || i == 0 && stage.After != 0 {
			return fmt.Errorf("stage %d begins after %s with a weight of %d: the first begins after 0s, each later than the one before, with a weight from 1 to 100", i+1, stage.After, stage.Weight)
		}
	}
	for _, w := range s.Windows {
		if w.Duration < s.every() {
			return fmt.Errorf("the window at %s lasts %s, which is shorter than the time between two polls, %s", stamp(w.Start), w.Duration, s.every())
		}
	}
	return nil
}

// Run judges the releases and returns the report. progress may be nil; it is called after
// every query. The error names the limit that was reached, or is the context's or the
// source's.
func Run(ctx context.Context, source Source, spec Spec, progress func(Progress)) (Report, error) {
	if err := spec.check(); err != nil {
		return Report{}, err
	}
	measures, err := spec.measures()
	if err != nil {
		return Report{}, err
	}
	if len(measures) == 0 {
		return Report{}, errors.New("the guardrail has no trigger of an slo or an invariant: nothing else can be judged from past data")
	}
	spans := spec.spans()
	r := reader{source: source, spec: &spec, report: progress, size: spec.Limits.Times}
	queries := len(measures)
	if spec.Ready != nil {
		queries++
	}
	for _, times := range spans {
		r.progress.Of += times.Count * queries
	}
	ready, err := spec.readiness(ctx, &r, spans)
	if err != nil {
		return Report{}, fmt.Errorf("read the past of the pods' readiness: %w", err)
	}
	book := newBook(&spec, measures)
	for _, m := range measures {
		track := &track{spec: &spec, measure: m, book: book, ready: ready}
		r.source = m.read(source)
		for _, times := range spans {
			if err := r.read(ctx, m.query, times, track.poll); err != nil {
				return Report{}, fmt.Errorf("read the past of %s: %w", m.name, err)
			}
		}
		track.finish()
	}
	return book.report(r.progress.Queries), nil
}

// stamp is a time in a message.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
