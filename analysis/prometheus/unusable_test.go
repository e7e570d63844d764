package prometheus_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

var (
	byCode = v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{
		Total: v1alpha1.Series{Metric: "requests_total"},
		Bad:   v1alpha1.Series{Metric: "requests_total", Matchers: []v1alpha1.Matcher{{Name: "code", Value: "500"}}},
	}}
	below300ms = v1alpha1.Indicator{Latency: below(300 * time.Millisecond)}
	belowToo   = v1alpha1.Indicator{Histograms: v1alpha1.HistogramsNative, Latency: below300ms.Latency}
	recorded   = v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "pod:requests:total", Bad: "pod:errors:total"}}
)

func below(threshold time.Duration) *v1alpha1.LatencyIndicator {
	l := &v1alpha1.LatencyIndicator{Histogram: "seconds"}
	l.Threshold.Duration = threshold
	return l
}

// staleMarker is what Prometheus writes for a series that is gone (model/value).
const staleMarker = 0x7ff0000000000002

// TestOneBrokenPod: with Prometheus' own engine, a value that no counter has takes one pod's
// sample away, and none of the others'.
func TestOneBrokenPod(t *testing.T) {
	odd := func(value, metric string) string {
		return `pod "shop-1-bbbbb" reports the value ` + value + " for " + metric + ": it must be finite and not negative"
	}
	broken := func(change func(*histogram.FloatHistogram)) func(*testing.T, *enginetest.Engine, map[string]string) {
		return func(_ *testing.T, e *enginetest.Engine, to map[string]string) {
			h := native()
			change(h)
			e.Histogram("seconds", nil, to, h)
		}
	}
	text := func(text string) func(*testing.T, *enginetest.Engine, map[string]string) {
		return func(t *testing.T, e *enginetest.Engine, to map[string]string) { e.Scrape(t, text, to) }
	}
	const ok, seconds = "requests_total{code=\"200\"} 97\nrequests_total{code=\"500\"} 3\n", "seconds_count 100\nseconds_bucket{le=\"0.3\"} 97\n"
	const beyond = `pod "shop-1-bbbbb" reports the value 1.8446744073709552e+19 for requests_total: it is above 2^53, which no counter of requests reaches`
	for name, tc := range map[string]struct {
		of     v1alpha1.Indicator
		others string
		scrape func(*testing.T, *enginetest.Engine, map[string]string)
		// Of the pod: what it says, or what it counts, or that it is absent.
		odd   string
		total float64
		bad   float64
	}{
		"total is NaN":                     {of: byCode, others: ok, scrape: text("requests_total{code=\"200\"} NaN\nrequests_total{code=\"500\"} 3\n"), odd: odd("NaN", "requests_total")},
		"bad is NaN":                       {of: byCode, others: ok, scrape: text("requests_total{code=\"200\"} 97\nrequests_total{code=\"500\"} NaN\n"), odd: odd("NaN", "requests_total")},
		"infinite":                         {of: byCode, others: ok, scrape: text("requests_total{code=\"200\"} +Inf\n"), odd: odd("+Inf", "requests_total")},
		"negative":                         {of: byCode, others: ok, scrape: text("requests_total{code=\"200\"} -4\n"), odd: odd("-4", "requests_total")},
		"decreased below 0":                {of: byCode, others: ok, scrape: text("requests_total{code=\"200\"} 1.8446744073709551615e+19\n"), odd: beyond},
		"a recording rule without traffic": {of: recorded, others: "pod:requests:total 100\npod:errors:total 3\n", scrape: text("pod:requests:total 50\npod:errors:total NaN\n"), odd: odd("NaN", "promQL.bad")},
		"the bucket is NaN":                {of: below300ms, others: seconds, scrape: text("seconds_count 100\nseconds_bucket{le=\"0.3\"} NaN\n"), odd: odd("NaN", "seconds_bucket")},
		"the count is NaN":                 {of: below300ms, others: seconds, scrape: text("seconds_count NaN\nseconds_bucket{le=\"0.3\"} 97\n"), odd: odd("NaN", "seconds_count")},
		"another bucket is NaN":            {of: below300ms, others: seconds, scrape: text("seconds_count 100\nseconds_bucket{le=\"0.3\"} 97\nseconds_bucket{le=\"1\"} NaN\n"), total: 100, bad: 3},
		"the sum is NaN":                   {of: below300ms, others: seconds, scrape: text("seconds_count 100\nseconds_sum NaN\nseconds_bucket{le=\"0.3\"} 97\n"), total: 100, bad: 3},
		"the sum of a native one is NaN": {of: belowToo, others: seconds, scrape: broken(func(h *histogram.FloatHistogram) {
			h.Sum, h.Schema, h.CustomValues = math.NaN(), histogram.CustomBucketsSchema, []float64{0.1, 0.3, 1}
			h.PositiveSpans, h.PositiveBuckets = custom().PositiveSpans, custom().PositiveBuckets
		}), total: 128, bad: 18},
		"the count of a native one is NaN":  {of: belowToo, others: seconds, scrape: broken(func(h *histogram.FloatHistogram) { h.Count = math.NaN() }), odd: odd("NaN", "seconds_count")},
		"a bucket of a native one is NaN":   {of: belowToo, others: seconds, scrape: broken(func(h *histogram.FloatHistogram) { h.PositiveBuckets = []float64{math.NaN(), 20, 8} }), odd: odd("NaN", "seconds_bucket")},
		"a series of it has ended (stale)":  {of: byCode, others: ok, scrape: ended("requests_total", map[string]string{"code": "500"}, "requests_total{code=\"200\"} 97\n"), total: 97},
		"its only series has ended (stale)": {of: byCode, others: ok, scrape: ended("requests_total", map[string]string{"code": "200"}, ""), total: -1},
	} {
		t.Run(name, func(t *testing.T) {
			e := enginetest.New(scraped)
			e.Scrape(t, tc.others, target("shop-1-aaaaa"))
			tc.scrape(t, e, target("shop-1-bbbbb"))
			c := clientOf(t, e).Reading(tc.of)
			query, err := prometheus.IndicatorQuery(tc.of, shop)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Counts(t.Context(), "shop", query, 2, now)
			if err != nil || len(got.Faults) > 0 {
				t.Fatalf("%v, %+v", err, got.Faults)
			}
			pods := map[string]prometheus.Counter{}
			for _, pod := range got.Counters {
				pods[pod.Pod] = pod
			}
			if a := pods["shop-1-aaaaa"]; a.Total != 100 || a.Bad != 3 || a.Unusable != "" || !a.SampledAt.Equal(scraped) {
				t.Errorf("the other pod has %+v", a)
			}
			b, there := pods["shop-1-bbbbb"]
			switch {
			case there == (tc.total < 0) || b.Unusable != tc.odd:
				t.Errorf("the pod has %+v, want %q", b, tc.odd)
			case tc.odd == "" && there && (b.Total != tc.total || math.Abs(b.Bad-tc.bad) > 1e-6):
				t.Errorf("the pod has %v of %v, want %v of %v", b.Bad, b.Total, tc.bad, tc.total)
			}
			probe, found := probed(t, c, tc.of, shop)
			sight := found.Of(probe, shop)
			example, err := c.Unusable(t.Context(), "shop", probe, now)
			if err != nil || example != tc.odd || (sight.Unusable > 0) != (tc.odd != "") {
				t.Errorf("the probe finds %d series, such as %q (%v), want %q", sight.Unusable, example, err, tc.odd)
			}
			if sight.Total < 100 || math.IsNaN(sight.Bad) || math.IsInf(sight.Total, 0) {
				t.Errorf("the probe counts %+v", sight.Counts)
			}
		})
	}
}

// ended adds a series that has a stale marker, after what others there are.
func ended(metric string, own map[string]string, others string) func(*testing.T, *enginetest.Engine, map[string]string) {
	return func(t *testing.T, e *enginetest.Engine, to map[string]string) {
		e.Scrape(t, others, to)
		labels := map[string]string{}
		for _, from := range []map[string]string{own, to} {
			for name, value := range from {
				labels[name] = value
			}
		}
		e.Series(metric, labels, 1, time.Second, func(time.Time) float64 { return math.Float64frombits(staleMarker) })
	}
}

// TestABrokenGateway: what one counts of the candidate cannot be used, while it counts stable.
func TestABrokenGateway(t *testing.T) {
	of := v1alpha1.Indicator{By: v1alpha1.CountedByService, Destination: &v1alpha1.Destination{Label: "to", Value: "$(service)", NamespaceLabel: "ns"}, Requests: byCode.Requests}
	run := prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"web-1"}, Services: []string{"web-stable", "web-canary"}}
	e := enginetest.New(scraped)
	for to, value := range map[string]string{"web-stable": "900", "web-canary": "NaN"} {
		e.Scrape(t, "requests_total{code=\"200\",ns=\"shop\",to=\""+to+"\"} "+value+"\n", map[string]string{"instance": "gateway:9090"})
	}
	c := clientOf(t, e).Reading(of)
	query, err := prometheus.IndicatorQuery(of, run)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Counts(t.Context(), "shop", query, 2, now)
	if err != nil || len(got.Faults) > 0 || len(got.Counters) != 2 {
		t.Fatalf("%v, %+v", err, got)
	}
	const want = `destination "web-canary" reports the value NaN for requests_total: it must be finite and not negative`
	poll := analysis.Poll{EvaluatedAt: got.At}
	for _, counted := range got.Counters {
		own, mine := prometheus.OwnedBy(of).By(run, counted)
		switch {
		case mine && own.Pod == "web-canary":
			poll.Canary = append(poll.Canary, own.OfTarget())
		case mine:
			poll.Stable = append(poll.Stable, own.OfTarget())
		}
	}
	v, ok := analysis.Quality{ScrapeInterval: 15 * time.Second, Destination: "web-canary"}.Judge(poll)
	if ok || v.Reason != analysis.PartialCoverage || v.Message != want+"; the samples of 1 of the candidate's 1 series cannot be used" {
		t.Errorf("%v %s %q", ok, v.Reason, v.Message)
	}
	probe, found := probed(t, c, of, run)
	if sight := found.Of(probe, run.ByVersion(of)[1]); sight.Unusable != 1 || sight.Total != 0 {
		t.Errorf("the canary: %+v", sight)
	}
	if sight := found.Of(probe, run.ByVersion(of)[0]); sight.Unusable != 0 || sight.Total != 900 {
		t.Errorf("stable: %+v", sight)
	}
	if example, err := c.Unusable(t.Context(), "shop", probe, now); err != nil || example != want {
		t.Errorf("%q, %v", example, err)
	}
}

// TestABrokenPodInThePreflight: it neither keeps a run from starting nor hides an alert; and what
// is no number on all pods is not taken for no errors.
func TestABrokenPodInThePreflight(t *testing.T) {
	isNaN := func(time.Time) float64 { return math.NaN() }
	// A counter that is 2^64 in one of its scrapes.
	below0 := func(at time.Time) float64 {
		if scraped.Sub(at) == time.Minute {
			return 1 << 64
		}
		return 1
	}
	query, err := prometheus.SharesQuery(byCode, prometheus.Pods{Namespace: "shop"}, "web", 30*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		broken map[string]string
		says   func(at time.Time) float64
		want   float64
		fails  analysis.Reason
	}{
		"none":                  {nil, isNaN, 0.2, ""},
		"one pod":               {map[string]string{"web-abc123-bbbbb": "200 500"}, isNaN, 0.2, ""},
		"bad on all pods":       {map[string]string{"web-abc123-aaaaa": "500", "web-abc123-bbbbb": "500"}, isNaN, 0, analysis.NoTraffic},
		"everything everywhere": {map[string]string{"web-abc123-aaaaa": "200 500", "web-abc123-bbbbb": "200 500"}, isNaN, 0, analysis.NoTraffic},
		"one pod below 0":       {map[string]string{"web-abc123-bbbbb": "200 500"}, below0, 0.2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := enginetest.New(scraped)
			for _, pod := range []string{"web-abc123-aaaaa", "web-abc123-bbbbb"} {
				for code, perSecond := range map[string]float64{"200": 8, "500": 2} {
					labels := target(pod)
					labels["code"] = code
					e.Series("requests_total", labels, 300, 15*time.Second, func(at time.Time) float64 {
						if strings.Contains(tc.broken[pod], code) {
							return tc.says(at)
						}
						return perSecond * (3600*10 - scraped.Sub(at).Seconds())
					})
				}
			}
			got, err := clientOf(t, e).Shares(t.Context(), "shop", query, now)
			var known *prometheus.QueryError
			if errors.As(err, &known) != (tc.fails != "") || known != nil && known.Reason != tc.fails {
				t.Fatalf("%v, want %q", err, tc.fails)
			}
			for _, share := range []float64{got.Period, got.Long, got.Short} {
				if math.Abs(share-tc.want) > 1e-9 {
					t.Errorf("%+v, want %v in all windows", got, tc.want)
				}
			}
		})
	}
}

// TestTheTargetsOfAPod: one whose sample cannot be used takes the pod's, but not the violations
// that another has counted.
func TestTheTargetsOfAPod(t *testing.T) {
	good := analysis.PodCounter{Pod: "a", Counts: analysis.Counts{Total: 9, Bad: 2}, SampledAt: scraped}
	odd := analysis.PodCounter{Pod: "a", Counts: analysis.Counts{Total: math.NaN(), Bad: math.Inf(1)}, SampledAt: scraped, Unusable: "why"}
	for name, targets := range map[string][]analysis.PodCounter{"first": {odd, good}, "last": {good, odd}} {
		var pods []analysis.PodCounter
		for _, target := range targets {
			pods = prometheus.AddTarget(pods, target)
		}
		if len(pods) != 1 || pods[0].Fault() != "why" || pods[0].Bad != 2 {
			t.Errorf("the odd one %s: %+v", name, pods)
		}
		if v := analysis.JudgeInvariant(analysis.Poll{Canary: pods}, 1); v.Reason != analysis.InvariantViolated {
			t.Errorf("the odd one %s: %s", name, v.Reason)
		}
	}
}

// TestALongQueryCanBeProbed: what a probe says of values that cannot be used must not cost the
// guardrails whose queries are almost too long.
func TestALongQueryCanBeProbed(t *testing.T) {
	long := 0
	for n := range 11 {
		latency := below(300 * time.Millisecond)
		for i := range n {
			latency.Matchers = append(latency.Matchers, v1alpha1.Matcher{Name: "label_" + string(rune('a'+i)), Op: "=~", Value: strings.Repeat("x", 100)})
		}
		of := v1alpha1.Indicator{Histograms: v1alpha1.HistogramsNative, Latency: latency}
		query, err := prometheus.IndicatorQuery(of, shop)
		if err != nil {
			continue
		}
		long = len(query)
		if _, err := prometheus.IndicatorProbe(of, shop); err != nil {
			t.Errorf("the query has %d bytes: %v", len(query), err)
		}
	}
	if long < 7000 {
		t.Errorf("the longest query has %d bytes: the test needs longer ones", long)
	}
}
