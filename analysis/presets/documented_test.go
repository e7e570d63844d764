package presets_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// counted is what a gateway exposes of the two versions, of another Service and of another
// namespace; claimed is what the candidate's pod says of itself by the same names.
const (
	counted = `
gateway_requests_total{destination_namespace="shop",destination_service="checkout-canary",code="200"} 36
gateway_requests_total{destination_namespace="shop",destination_service="checkout-canary",code="503"} 4
gateway_requests_total{destination_namespace="shop",destination_service="checkout-stable",code="200"} 160
gateway_requests_total{destination_namespace="shop",destination_service="checkout",code="500"} 9
gateway_requests_total{destination_namespace="bank",destination_service="checkout-canary",code="500"} 9
gateway_request_duration_seconds_bucket{destination_namespace="shop",destination_service="checkout-canary",le="0.25"} 37
gateway_request_duration_seconds_bucket{destination_namespace="shop",destination_service="checkout-canary",le="+Inf"} 40
gateway_request_duration_seconds_count{destination_namespace="shop",destination_service="checkout-canary"} 40
gateway_request_duration_seconds_bucket{destination_namespace="shop",destination_service="checkout-stable",le="0.25"} 160
gateway_request_duration_seconds_bucket{destination_namespace="shop",destination_service="checkout-stable",le="+Inf"} 160
gateway_request_duration_seconds_count{destination_namespace="shop",destination_service="checkout-stable"} 160
`
	claimed = `
gateway_requests_total{destination_namespace="shop",destination_service="checkout-canary",code="200",job="gateway"} 9000
gateway_request_duration_seconds_bucket{destination_namespace="shop",destination_service="checkout-canary",le="0.25",job="gateway"} 9000
gateway_request_duration_seconds_count{destination_namespace="shop",destination_service="checkout-canary",job="gateway"} 9000
`
)

// TestTheDocumentedGuardrailOfAGateway counts what the gateway has sent to each version, and
// nothing that a pod says of itself.
func TestTheDocumentedGuardrailOfAGateway(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(apiVersion: belay.dev/v1alpha1\nkind: Guardrail\n.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/metrics.md has no Guardrail")
	}
	guardrail := v1alpha1.Guardrail{}
	if err := yaml.UnmarshalStrict(block[1], &guardrail); err != nil {
		t.Fatal(err)
	}
	engine := enginetest.New(at)
	engine.Scrape(t, counted, map[string]string{"instance": "10.0.0.1:9090", "job": "gateway"})
	// The scraper's job replaces the pod's.
	engine.Scrape(t, claimed, map[string]string{"namespace": "shop", "pod": "checkout-1-aaaaa", "instance": "10.0.0.2:8080", "job": "pods"})
	source, shop := connect(t, engine.Serve(t)), prometheus.Pods{Namespace: "shop", Services: []string{"checkout-stable", "checkout-canary"}}
	for name, want := range map[string]map[string]analysis.Counts{
		"availability": {"checkout-canary": {Total: 40, Bad: 4}, "checkout-stable": {Total: 160}},
		"latency":      {"checkout-canary": {Total: 40, Bad: 3}, "checkout-stable": {Total: 160}},
	} {
		slo, ok := guardrail.Spec.SLO(name)
		if !ok {
			t.Errorf("it has no slo %s", name)
			continue
		}
		query, err := prometheus.IndicatorQuery(slo.Indicator, shop)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := source.Reading(slo.Indicator).Counts(t.Context(), "shop", query, 2, func() time.Time { return at.Add(time.Second) })
		if err != nil || len(got.Faults) > 0 || len(got.Counters) != len(want) {
			t.Errorf("%s: %v, %v, %+v", name, err, got.Faults, got.Counters)
			continue
		}
		for _, c := range got.Counters {
			if own, ok := prometheus.OwnedBy(slo.Indicator).By(shop, c); !ok || own.Counts != want[own.Pod] {
				t.Errorf("%s: %+v, want %+v", name, own, want[own.Pod])
			}
		}
	}
}
