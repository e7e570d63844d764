package presets_test

import (
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

var shop = prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1"}}

func clock() time.Time { return at.Add(time.Second) }

func scraped(t *testing.T, text string) *prometheus.Client {
	engine := enginetest.New(at)
	engine.Scrape(t, text, map[string]string{"namespace": "shop", "pod": "shop-1-aaaaa", "instance": "10.0.0.1:8080", "job": "shop"})
	return connect(t, engine.Serve(t))
}

// TestGRPCServersWithTheSameNamesAndOtherCodes: nice-grpc-prometheus (Node) has the same
// metrics, labels and grpc_type="unary", and codes in capitals (its README: `OK`, `CANCELLED`,
// `NOT_FOUND`); py-grpc-prometheus and java-grpc-prometheus too. All requests fail, and the
// preset counts them as bad.
func TestGRPCServersWithTheSameNamesAndOtherCodes(t *testing.T) {
	client := scraped(t, `# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_type="unary",grpc_path="/shop.v1.Orders/Pay",grpc_service="shop.v1.Orders",grpc_method="Pay",grpc_code="INTERNAL"} 900
grpc_server_handled_total{grpc_type="unary",grpc_path="/shop.v1.Orders/Pay",grpc_service="shop.v1.Orders",grpc_method="Pay",grpc_code="UNAVAILABLE"} 100
`)
	spec := presets.Fill(v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Indicator: v1alpha1.Indicator{Preset: "grpc-server", Requests: &v1alpha1.RequestsIndicator{}}}}})
	query, err := prometheus.IndicatorQuery(spec.SLOs[0].Indicator, shop)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Counts(t.Context(), "shop", query, 1, clock)
	if err != nil || len(got.Counters) != 1 {
		t.Fatal(err, got.Counters)
	}
	probe, err := prometheus.IndicatorProbe(spec.SLOs[0].Indicator, shop)
	if err != nil {
		t.Fatal(err)
	}
	sights, err := client.Probe(t.Context(), "shop", probe, clock)
	if err != nil {
		t.Fatal(err)
	}
	seen := sights.Of(probe, shop)
	seen.Version = analysis.Candidate
	if v, ok := analysis.JudgeSights(probe.Scopes, false, seen); ok && got.Counters[0].Bad == 0 {
		t.Errorf("%v of %v requests are bad, want all of them; the selectors are %v %s", got.Counters[0].Bad, got.Counters[0].Total, ok, v.Message)
	}
}
