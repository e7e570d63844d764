package main

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// single collects one metric.
type single struct{ prometheus.Metric }

func (s single) Describe(to chan<- *prometheus.Desc) { to <- s.Desc() }
func (s single) Collect(to chan<- prometheus.Metric) { to <- s.Metric }

// labelsOf are the values of a metric's own labels, in the order of the requests: {cart-stable}.
func labelsOf(t *testing.T, m prometheus.Metric) string {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, label := range out.Label {
		values = append(values, label.GetValue())
	}
	return "{" + strings.Join(values, ",") + "}"
}

// TestEverySeriesIsThereFromTheStart, and is what the preset reads.
func TestEverySeriesIsThereFromTheStart(t *testing.T) {
	registry := prometheus.NewRegistry()
	newCounts(registry, "shop", service{name: "cart-stable"}, service{name: "cart-canary"})
	want := `
# HELP belay_comparer_requests_total Requests whose answers were compared. For the stable Service: its second answer with its first. For the canary Service: its answer with stable's first.
# TYPE belay_comparer_requests_total counter
belay_comparer_requests_total{compared_namespace="shop",compared_service="cart-canary"} 0
belay_comparer_requests_total{compared_namespace="shop",compared_service="cart-stable"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "belay_comparer_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "belay_comparer_different_total"); err != nil || n != 6 {
		t.Errorf("%d series of differences, want 2 versions in 3 places: %v", n, err)
	}
}
