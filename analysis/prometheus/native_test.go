package prometheus_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

var (
	scraped = time.UnixMilli(1_800_000_000_000)
	shop    = prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1"}}
)

func clientOf(t *testing.T, e *enginetest.Engine) *prometheus.Client {
	t.Helper()
	spec := v1alpha1.MetricSourceSpec{Address: e.Serve(t), Limits: v1alpha1.MetricSourceLimits{Series: 1000, Bytes: 4 << 20, InFlight: 8}}
	spec.ScrapeInterval.Duration, spec.Limits.Timeout.Duration = 15*time.Second, 7*time.Second
	c, err := prometheus.NewClient(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func now() time.Time { return scraped.Add(time.Second) }

func target(pod string) map[string]string {
	return map[string]string{"namespace": "shop", "pod": pod, "instance": pod + ":8080"}
}

// native has buckets that end at 0.25, 0.5 and 1 (schema 0), with 100, 20 and 8
// observations.
func native() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{Count: 128, Sum: 20, PositiveSpans: []histogram.Span{{Offset: -2, Length: 3}}, PositiveBuckets: []float64{100, 20, 8}}
}

// custom has the bounds of a classic histogram, as Prometheus converts them.
func custom() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema, Count: 128, Sum: 20, CustomValues: []float64{0.1, 0.3, 1},
		PositiveSpans: []histogram.Span{{Length: 4}}, PositiveBuckets: []float64{90, 20, 10, 8}}
}

const classic = "seconds_bucket{le=\"0.1\"} 90\nseconds_bucket{le=\"0.3\"} 110\nseconds_bucket{le=\"+Inf\"} 128\nseconds_sum 20\nseconds_count 128\n"

// TestLatencyOfNativeHistograms: by the same query as for classic ones, from pod to pod.
func TestLatencyOfNativeHistograms(t *testing.T) {
	for name, tc := range map[string]struct {
		threshold time.Duration
		unit      v1alpha1.DurationUnit
		scrape    func(*testing.T, *enginetest.Engine)
		total     float64
		// The bad ones are between these.
		least, most float64
	}{
		"a threshold that is a bucket's bound": {500 * time.Millisecond, "", func(_ *testing.T, e *enginetest.Engine) {
			e.Histogram("seconds", nil, target("shop-1-aaaaa"), native())
		}, 128, 8, 8},
		"one in a bucket": {300 * time.Millisecond, "", func(_ *testing.T, e *enginetest.Engine) {
			e.Histogram("seconds", nil, target("shop-1-aaaaa"), native())
		}, 128, 8.1, 27.9},
		"bounds of a classic one": {300 * time.Millisecond, "", func(_ *testing.T, e *enginetest.Engine) {
			e.Histogram("seconds", nil, target("shop-1-aaaaa"), custom())
		}, 128, 18, 18},
		"two series of a pod": {500 * time.Millisecond, "", func(_ *testing.T, e *enginetest.Engine) {
			e.Histogram("seconds", map[string]string{"code": "200"}, target("shop-1-aaaaa"), native())
			e.Histogram("seconds", map[string]string{"code": "500"}, target("shop-1-aaaaa"), native())
		}, 256, 16, 16},
		"nothing observed yet": {300 * time.Millisecond, "", func(_ *testing.T, e *enginetest.Engine) {
			e.Histogram("seconds", nil, target("shop-1-aaaaa"), &histogram.FloatHistogram{})
		}, 0, 0, 0},
		"in milliseconds": {512 * time.Millisecond, v1alpha1.UnitMilliseconds, func(_ *testing.T, e *enginetest.Engine) {
			h := native()
			h.PositiveSpans[0].Offset = 8
			e.Histogram("seconds", nil, target("shop-1-aaaaa"), h)
		}, 128, 8, 8},
		"classic": {300 * time.Millisecond, "", func(t *testing.T, e *enginetest.Engine) { e.Scrape(t, classic, target("shop-1-aaaaa")) }, 128, 18, 18},
		"classic in milliseconds": {300 * time.Millisecond, v1alpha1.UnitMilliseconds, func(t *testing.T, e *enginetest.Engine) {
			e.Scrape(t, strings.ReplaceAll(classic, `"0.3"`, `"300"`), target("shop-1-aaaaa"))
		}, 128, 18, 18},
		"both forms": {300 * time.Millisecond, "", func(t *testing.T, e *enginetest.Engine) {
			e.Scrape(t, classic, target("shop-1-aaaaa"))
			e.Histogram("seconds", nil, target("shop-1-aaaaa"), native())
		}, 128, 18, 18},
	} {
		t.Run(name, func(t *testing.T) {
			e := enginetest.New(scraped)
			tc.scrape(t, e)
			c := clientOf(t, e)
			i := v1alpha1.Indicator{Histograms: v1alpha1.HistogramsNative, Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds", Unit: tc.unit}}
			i.Latency.Threshold.Duration = tc.threshold
			query, err := prometheus.IndicatorQuery(i, shop)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Counts(t.Context(), "shop", query, 1, now)
			if err != nil || len(got.Counters) != 1 {
				t.Fatalf("%v, %+v", err, got)
			}
			if pod := got.Counters[0]; pod.Total != tc.total || pod.Bad < tc.least || pod.Bad > tc.most || !pod.SampledAt.Equal(scraped) {
				t.Errorf("%v bad of %v at %s; want %v to %v of %v", pod.Bad, pod.Total, pod.SampledAt, tc.least, tc.most, tc.total)
			}
			probe, found := probed(t, c, i, shop)
			sight := found.Of(probe, shop)
			if sight.Total != tc.total || math.Abs(sight.Bad-got.Counters[0].Bad) > 1e-6 || sight.Scopes[0].Series == 0 || sight.Scopes[1].Series == 0 {
				t.Errorf("the probe sees %+v", sight)
			}
		})
	}
}

// probed is what the probe of an indicator finds.
func probed(t *testing.T, c *prometheus.Client, of v1alpha1.Indicator, pods prometheus.Pods) (prometheus.Probe, prometheus.Sights) {
	t.Helper()
	probe, err := prometheus.IndicatorProbe(of, pods)
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Probe(t.Context(), "shop", probe, now)
	if err != nil {
		t.Fatal(err)
	}
	return probe, found
}

// TestRequestsOfNativeHistograms: the count of a histogram counts requests in either form.
func TestRequestsOfNativeHistograms(t *testing.T) {
	e := enginetest.New(scraped)
	e.Histogram("seconds", map[string]string{"code": "200"}, target("shop-1-aaaaa"), native())
	e.Histogram("seconds", map[string]string{"code": "500"}, target("shop-1-aaaaa"), native())
	e.Scrape(t, "seconds_count{code=\"200\"} 10\nseconds_count{code=\"503\"} 4\n", target("shop-1-bbbbb"))
	c := clientOf(t, e)
	i := v1alpha1.Indicator{Histograms: v1alpha1.HistogramsNative, Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "seconds_count"},
		Bad: v1alpha1.Series{Metric: "seconds_count", Matchers: []v1alpha1.Matcher{{Name: "code", Op: "=~", Value: "5.."}}}}}
	query, err := prometheus.IndicatorQuery(i, shop)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Counts(t.Context(), "shop", query, 2, now)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]string{}
	for _, pod := range got.Counters {
		counts[pod.Pod] = fmt.Sprintf("%v of %v, %v", pod.Bad, pod.Total, pod.SampledAt.Equal(scraped))
	}
	if counts["shop-1-aaaaa"] != "128 of 256, true" || counts["shop-1-bbbbb"] != "4 of 14, true" {
		t.Errorf("%v", counts)
	}
	probe, found := probed(t, c, i, shop)
	if sight := found.Of(probe, shop); sight.Total != 270 || sight.Bad != 132 || sight.Scopes[0].Series != 4 || sight.Scopes[1].With[0] != 4 {
		t.Errorf("the probe sees %+v", sight)
	}
}

// A gateway's native histograms are counted by the names of its destinations.
func TestNativeHistogramsOfADestination(t *testing.T) {
	e := enginetest.New(scraped)
	for _, to := range []string{"web-stable", "web-canary", "pay-canary"} {
		e.Histogram("seconds", map[string]string{"to": to, "ns": "shop"}, map[string]string{"instance": "gateway:9090"}, native())
	}
	run := prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"web-1"}, Services: []string{"web-canary", "web-stable"}}
	i := v1alpha1.Indicator{By: v1alpha1.CountedByService, Destination: &v1alpha1.Destination{Label: "to", Value: "$(service)", NamespaceLabel: "ns"},
		Histograms: v1alpha1.HistogramsNative, Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds", Matchers: []v1alpha1.Matcher{{Name: "code", Op: "=~", Value: "2.."}}}}
	i.Latency.Threshold.Duration = 500 * time.Millisecond
	c := clientOf(t, e).Reading(i)
	probe, found := probed(t, c, i, run)
	if sight := found.Of(probe, run.ByVersion(i)[0]); !probe.Scopes[0].OfDestination || sight.Scopes[0].Series != 1 || probe.Scopes[0].Missing(sight.Scopes[0]) != 0 {
		t.Errorf("without a label of its matcher the probe sees %+v", sight)
	}
	i.Latency.Matchers = nil
	query, err := prometheus.IndicatorQuery(i, run)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Counts(t.Context(), "shop", query, 2, now)
	if err != nil || len(got.Counters) != 2 {
		t.Fatalf("%v, %+v", err, got)
	}
	for _, counted := range got.Counters {
		if _, own := prometheus.OwnedBy(i).By(run, counted); !own || counted.Total != 128 || counted.Bad != 8 || !counted.SampledAt.Equal(scraped) {
			t.Errorf("own is %v: %+v", own, counted)
		}
	}
}
