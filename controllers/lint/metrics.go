package lint

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"belay.dev/belay/api/v1alpha1"
)

// Metrics are what an app exposes: the names of its series with their labels, and the buckets
// of its histograms.
type Metrics struct {
	labels  map[string]map[string]bool
	buckets map[string][]float64
}

// ParseMetrics reads the text format of Prometheus, as an app serves it at /metrics.
func ParseMetrics(text io.Reader) (*Metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	m := &Metrics{labels: map[string]map[string]bool{}, buckets: map[string][]float64{}}
	for name, family := range families {
		for _, metric := range family.Metric {
			m.add(name, family.GetType(), metric)
		}
	}
	return m, nil
}

func (m *Metrics) add(name string, kind dto.MetricType, metric *dto.Metric) {
	names := []string{name}
	switch kind {
	case dto.MetricType_HISTOGRAM:
		names = []string{name + "_bucket", name + "_count", name + "_sum"}
		for _, b := range metric.GetHistogram().GetBucket() {
			if !slices.Contains(m.buckets[name], b.GetUpperBound()) {
				m.buckets[name] = append(m.buckets[name], b.GetUpperBound())
			}
		}
	case dto.MetricType_SUMMARY:
		names = []string{name, name + "_count", name + "_sum"}
	}
	for _, n := range names {
		if m.labels[n] == nil {
			m.labels[n] = map[string]bool{}
		}
		for _, l := range metric.Label {
			m.labels[n][l.GetName()] = true
		}
	}
}

// addedByScraping are labels that a scrape adds: an app does not expose them.
var addedByScraping = []string{"job", "instance", "service", "container", "endpoint", "cluster", "node", "prometheus"}

// adviseMetrics compares the series of a guardrail with what the app exposes.
func (o *object) adviseMetrics(g v1alpha1.GuardrailSpec, m Metrics) {
	for i, slo := range g.SLOs {
		path := fmt.Sprintf("spec.slos[%d].indicator", i)
		if slo.Indicator.By != "" && slo.Indicator.By != v1alpha1.CountedByPod {
			continue
		}
		if r := slo.Indicator.Requests; r != nil {
			o.adviseSeries(path+".requests.total", r.Total, m)
			o.adviseSeries(path+".requests.bad", r.Bad, m)
		}
		if l := slo.Indicator.Latency; l != nil && slo.Indicator.Histograms != v1alpha1.HistogramsNative {
			o.adviseSeries(path+".latency", v1alpha1.Series{Metric: l.Histogram + "_bucket", Matchers: l.Matchers}, m)
		}
	}
	for i, invariant := range g.Invariants {
		path := fmt.Sprintf("spec.invariants[%d]", i)
		o.adviseSeries(path+".violations", invariant.Violations, m)
		o.adviseSeries(path+".checks", invariant.Checks, m)
	}
}

func (o *object) adviseSeries(path string, s v1alpha1.Series, m Metrics) {
	labels, ok := m.labels[s.Metric]
	if !ok {
		write := ""
		if like := nearest(s.Metric, slices.Sorted(maps.Keys(m.labels))); like != "" {
			write = "metric: " + like
		}
		o.add(Advice, path, "the metrics file has no metric "+s.Metric, write)
		return
	}
	known := slices.Sorted(maps.Keys(labels))
	for i, matcher := range s.Matchers {
		if labels[matcher.Name] || slices.Contains(addedByScraping, matcher.Name) {
			continue
		}
		has := "it has none"
		if len(known) > 0 {
			has = "it has " + strings.Join(known, ", ")
		}
		write := ""
		for _, k := range known {
			if strings.Contains(matcher.Name, k) || strings.Contains(k, matcher.Name) {
				write = "name: " + k
			}
		}
		if like := nearest(matcher.Name, known); like != "" {
			write = "name: " + like
		}
		o.add(Advice, fmt.Sprintf("%s.matchers[%d]", path, i), fmt.Sprintf("%s has no label %q (%s)", s.Metric, matcher.Name, has), write)
	}
}

// adviseBuckets compares thresholds with the buckets that exist.
func (o *object) adviseBuckets(g v1alpha1.GuardrailSpec, options Options) {
	for i, slo := range g.SLOs {
		l := slo.Indicator.Latency
		if l == nil || slo.Indicator.Histograms == v1alpha1.HistogramsNative {
			continue
		}
		buckets := options.Buckets
		if options.Metrics != nil && len(options.Metrics.buckets[l.Histogram]) > 0 {
			buckets = options.Metrics.buckets[l.Histogram]
		}
		unit := time.Second
		if l.Unit == v1alpha1.UnitMilliseconds {
			unit = time.Millisecond
		}
		threshold := float64(l.Threshold.Duration) / float64(unit)
		if len(buckets) == 0 || slices.Contains(buckets, threshold) {
			continue
		}
		o.add(Advice, fmt.Sprintf("spec.slos[%d].indicator.latency.threshold", i),
			fmt.Sprintf("no bucket of %s has the upper bound %s (%s): the verdict will be Inconclusive", l.Histogram, short(l.Threshold.Duration), strconv.FormatFloat(threshold, 'g', -1, 64)),
			"threshold: "+strings.Join(closest(buckets, threshold, unit), " or ")+", or add the bucket")
	}
}

// closest are the buckets next to a threshold, below and above.
func closest(buckets []float64, threshold float64, unit time.Duration) (out []string) {
	sorted := slices.Sorted(slices.Values(buckets))
	at, _ := slices.BinarySearch(sorted, threshold)
	for _, i := range []int{at - 1, at} {
		if i >= 0 && i < len(sorted) && sorted[i] > 0 && sorted[i] <= float64(time.Hour/unit) {
			out = append(out, short(time.Duration(sorted[i]*float64(unit)+0.5)))
		}
	}
	return out
}
