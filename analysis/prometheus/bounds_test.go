package prometheus_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// TestBounds: the thresholds for which a histogram has a bucket, nearest to the indicator's,
// as Prometheus knows its buckets.
func TestBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		threshold time.Duration
		unit      v1alpha1.DurationUnit
		les       string
		want      string
	}{
		"three":                        {300 * time.Millisecond, "", "0.25 0.5 1.0 +Inf", "250ms 500ms 1s"},
		"the nearest of many":          {300 * time.Millisecond, "", "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 3600 +Inf", "50ms 100ms 250ms 500ms 1s 2500ms"},
		"milliseconds":                 {300 * time.Millisecond, v1alpha1.UnitMilliseconds, "0.5 250 500 1000 +Inf", "500us 250ms 500ms 1s"},
		"in any form":                  {time.Second, "", "1e-05 2 2.0 0.50 30 +Inf", "10us 500ms 2s 30s"},
		"none that a threshold can be": {time.Second, "", "-1 0 0.268435456 0.30000000000000004 7200 NaN soon +Inf", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := enginetest.New(scraped)
			text := "seconds_count 9\nother_bucket{le=\"0.2\"} 9\n"
			for _, le := range strings.Fields(tc.les) {
				text += fmt.Sprintf("seconds_bucket{le=%q,code=\"200\"} 9\n", le)
			}
			e.Scrape(t, text, target("shop-1-aaaaa"))
			e.Scrape(t, "seconds_bucket{le=\"0.301\"} 9\n", target("other-1-aaaaa"))
			i := v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds", Unit: tc.unit}}
			i.Latency.Threshold.Duration = tc.threshold
			probe, err := prometheus.IndicatorProbe(i, shop)
			if err != nil {
				t.Fatal(err)
			}
			got, err := clientOf(t, e).Bounds(t.Context(), "shop", probe, now)
			if err != nil || !slices.Equal(got, strings.Fields(tc.want)) {
				t.Errorf("got %q, %v; want %s", got, err, tc.want)
			}
		})
	}
}
