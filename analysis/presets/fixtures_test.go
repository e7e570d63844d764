package presets_test

import (
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

var at = time.UnixMilli(1_800_000_000_000)

// TestEveryPresetCountsItsFixture: an instrumentation's own exposition, scraped from two pods
// of the service and one of another namespace, gives the requests, the bad ones and the slow
// ones of each pod.
func TestEveryPresetCountsItsFixture(t *testing.T) {
	type counts struct{ total, bad float64 }
	for _, p := range presets.All {
		if p.By != "" {
			continue
		}
		requests, slow, threshold := counts{120, 4}, counts{120, 6}, 250*time.Millisecond
		switch p.Name {
		case "grpc-server", "grpc-java":
			slow.total = 114
		case "prometheus-net":
			threshold = 256 * time.Millisecond
		}
		fixture, err := os.ReadFile("testdata/" + string(p.Name) + ".txt")
		if err != nil {
			t.Errorf("%s has no fixture: %v", p.Name, err)
			continue
		}
		engine := enginetest.New(at)
		for _, target := range []map[string]string{
			{"namespace": "shop", "pod": "shop-1-aaaaa", "instance": "10.0.0.1:8080", "job": "shop"},
			{"namespace": "shop", "pod": "shop-1-bbbbb", "instance": "10.0.0.2:8080", "job": "shop"},
			{"namespace": "other", "pod": "shop-1-aaaaa", "instance": "10.0.0.3:8080", "job": "shop"},
		} {
			engine.Scrape(t, string(fixture), target)
		}
		client := connect(t, engine.Serve(t))
		for kind, tc := range map[string]struct {
			of   v1alpha1.Indicator
			want counts
		}{
			"requests": {v1alpha1.Indicator{Preset: p.Name, Requests: &v1alpha1.RequestsIndicator{}}, requests},
			"latency":  {v1alpha1.Indicator{Preset: p.Name, Latency: &v1alpha1.LatencyIndicator{Threshold: metav1.Duration{Duration: threshold}}}, slow},
		} {
			spec := presets.Fill(v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Indicator: tc.of}}})
			query, err := prometheus.IndicatorQuery(spec.SLOs[0].Indicator, prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1"}})
			if err != nil {
				t.Errorf("%s, %s: %v", p.Name, kind, err)
				continue
			}
			got, err := client.Counts(t.Context(), "shop", query, 2, func() time.Time { return at.Add(time.Second) })
			if err != nil || len(got.Faults) > 0 || len(got.Counters) != 2 {
				t.Errorf("%s, %s: %v, %v, %+v", p.Name, kind, err, got.Faults, got.Counters)
				continue
			}
			for _, pod := range got.Counters {
				if (counts{pod.Total, pod.Bad}) != tc.want || !pod.SampledAt.Equal(at) {
					t.Errorf("%s, %s: pod %s has %v of %v at %s, want %+v", p.Name, kind, pod.Pod, pod.Bad, pod.Total, pod.SampledAt, tc.want)
				}
			}
		}
	}
}

// TestEveryGatewayPresetCountsItsFixture: what two gateways count gives the requests, the bad
// and the slow ones of each version, without those of another namespace, of a Service whose
// name begins the same, or of another reporter.
func TestEveryGatewayPresetCountsItsFixture(t *testing.T) {
	gateways := 0
	for _, p := range presets.All {
		if p.By == "" {
			continue
		}
		gateways++
		fixture, err := os.ReadFile("testdata/" + string(p.Name) + ".txt")
		if err != nil {
			t.Errorf("%s has no fixture: %v", p.Name, err)
			continue
		}
		engine := enginetest.New(at)
		for _, instance := range []string{"10.0.0.1:15090", "10.0.0.2:15090"} {
			engine.Scrape(t, string(fixture), map[string]string{"namespace": "infra", "pod": "gateway-1", "instance": instance, "job": "gateway"})
		}
		source, shop := connect(t, engine.Serve(t)), prometheus.Pods{Namespace: "shop", Services: []string{"shop-stable", "shop-canary"}}
		for kind, tc := range map[string]struct {
			of             v1alpha1.Indicator
			canary, stable analysis.Counts
		}{
			"requests": {v1alpha1.Indicator{Preset: p.Name, Requests: &v1alpha1.RequestsIndicator{}}, analysis.Counts{Total: 40, Bad: 4}, analysis.Counts{Total: 160, Bad: 2}},
			"latency": {v1alpha1.Indicator{Preset: p.Name, Latency: &v1alpha1.LatencyIndicator{Threshold: metav1.Duration{Duration: 250 * time.Millisecond}}},
				analysis.Counts{Total: 40, Bad: 3}, analysis.Counts{Total: 160, Bad: 5}},
		} {
			if kind == "latency" && p.Histogram == "" {
				continue
			}
			indicator := presets.Fill(v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Indicator: tc.of}}}).SLOs[0].Indicator
			query, err := prometheus.IndicatorQuery(indicator, shop)
			if err != nil {
				t.Errorf("%s, %s: %v", p.Name, kind, err)
				continue
			}
			got, err := source.Reading(indicator).Counts(t.Context(), "shop", query, 4, func() time.Time { return at.Add(time.Second) })
			if err != nil || len(got.Faults) > 0 || len(got.Counters) != 4 {
				t.Errorf("%s, %s: %v, %v, %+v", p.Name, kind, err, got.Faults, got.Counters)
				continue
			}
			for _, c := range got.Counters {
				own, ok := prometheus.OwnedBy(indicator).By(shop, c)
				want := map[string]analysis.Counts{"shop-canary": tc.canary, "shop-stable": tc.stable}[own.Pod]
				if !ok || own.Counts != want || want.Total == 0 {
					t.Errorf("%s, %s: %+v, want %+v", p.Name, kind, own, want)
				}
			}
		}
	}
	if gateways == 0 {
		t.Error("no preset names a destination")
	}
}

func connect(t *testing.T, url string) *prometheus.Client {
	t.Helper()
	spec := v1alpha1.MetricSourceSpec{Address: url, Limits: v1alpha1.MetricSourceLimits{Series: 1000, Bytes: 4 << 20, InFlight: 8}}
	spec.ScrapeInterval.Duration, spec.Limits.Timeout.Duration = 15*time.Second, 7*time.Second
	c, err := prometheus.NewClient(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
