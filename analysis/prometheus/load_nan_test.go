package prometheus_test

import (
	"testing"
	"time"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// TestAGaugeThatIsNoNumber: docs/guardrails.md offers records_lag_max for consumer-lag. Kafka's own metric is a maximum over a window, and NaN while nothing was fetched in it
// (micrometer-metrics/micrometer#2212 shows such series). One idle consumer must not take
// the verdict from all pods.
func TestAGaugeThatIsNoNumber(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_000)
	engine := enginetest.New(at)
	for pod, lag := range map[string]string{"shop-1-aaaaa": "120.0", "shop-1-bbbbb": "NaN"} {
		engine.Scrape(t, "# TYPE kafka_consumer_fetch_manager_records_lag_max gauge\nkafka_consumer_fetch_manager_records_lag_max{client_id=\"a\"} "+lag+"\n", map[string]string{"namespace": "shop", "pod": pod})
	}
	spec := v1alpha1.MetricSourceSpec{Address: engine.Serve(t), Limits: v1alpha1.MetricSourceLimits{Series: 1000, Bytes: 4 << 20, InFlight: 8}}
	spec.ScrapeInterval.Duration, spec.Limits.Timeout.Duration = 15*time.Second, 7*time.Second
	client, err := prometheus.NewClient(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	query, err := prometheus.LoadQuery(prometheus.Load{Value: v1alpha1.Series{Metric: "kafka_consumer_fetch_manager_records_lag_max"}}, prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Counts(t.Context(), "shop", query, 2, func() time.Time { return at.Add(time.Second) })
	if err != nil || len(got.Faults) > 0 || len(got.Counters) != 1 {
		t.Errorf("%v, %v, %+v", err, got.Faults, got.Counters)
	}
}
