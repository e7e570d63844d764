package prometheus_test

import (
	"testing"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// TestAGaugeThatIsNoNumber: docs/guardrails.md offers records_lag_max for consumer-lag. Kafka's own
// metric is a maximum over a window, and NaN while nothing was fetched in it
// (micrometer-metrics/micrometer#2212 shows such series). One idle consumer must not take the
// value from its pod, and a pod without a number not the verdict from the others.
func TestAGaugeThatIsNoNumber(t *testing.T) {
	const lag = "kafka_consumer_fetch_manager_records_lag_max"
	e := enginetest.New(scraped)
	e.Scrape(t, lag+"{client_id=\"a\"} 120.0\n"+lag+"{client_id=\"b\"} NaN\n", target("shop-1-aaaaa"))
	e.Scrape(t, lag+"{client_id=\"a\"} NaN\n"+lag+"{client_id=\"b\"} NaN\n", target("shop-1-bbbbb"))
	e.Scrape(t, lag+"{client_id=\"a\"} +Inf\n", target("shop-1-ccccc"))
	load := prometheus.Load{Value: v1alpha1.Series{Metric: lag}}
	query, err := prometheus.LoadQuery(load, shop)
	if err != nil {
		t.Fatal(err)
	}
	got, err := clientOf(t, e).ReadingLoad(load).Counts(t.Context(), "shop", query, 3, now)
	if err != nil || len(got.Faults) > 0 {
		t.Fatalf("%v, %+v", err, got.Faults)
	}
	pods := map[string]prometheus.Counter{}
	for _, c := range got.Counters {
		pods[c.Pod] = c
	}
	if a := pods["shop-1-aaaaa"]; a.Total != 120 || a.Unusable != "" || !a.SampledAt.Equal(scraped) {
		t.Errorf("a pod with an idle consumer: %+v", a)
	}
	for pod, value := range map[string]string{"shop-1-bbbbb": "NaN", "shop-1-ccccc": "+Inf"} {
		want := `pod "` + pod + `" reports the value ` + value + " for " + lag + ": it must be finite and not negative"
		if pods[pod].Unusable != want {
			t.Errorf("%+v, want %s", pods[pod], want)
		}
	}
}
