//go:build servers

package servers

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	client_golang "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// nativeTarget has a native histogram of 30 requests of 100 ms and 10 of 500 ms, without
// classic buckets.
func nativeTarget(t *testing.T) string {
	registry := client_golang.NewRegistry()
	durations := client_golang.NewHistogram(client_golang.HistogramOpts{Name: "duration_seconds", Help: "Of requests.", NativeHistogramBucketFactor: 1.1})
	registry.MustRegister(durations)
	for i := range 40 {
		durations.Observe([]float64{0.1, 0.1, 0.1, 0.5}[i%4])
	}
	s := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestNativeHistograms: Prometheus stores them. VictoriaMetrics converts them to buckets with
// another label than le, which hold no threshold (its documentation, "Prometheus integration",
// native histograms): an indicator of latency is an error that says so, and the count of
// requests can be judged.
func TestNativeHistograms(t *testing.T) {
	g := NewWithT(t)
	converted, write := victoriaMetrics.receiver(t)
	keeping := prometheusServer
	keeping.global = ", scrape_native_histograms: true"
	stored, _ := keeping.start(t, "1s", fmt.Sprintf("remote_write: [{url: %q, send_native_histograms: true}]\nscrape_configs:\n- job_name: shop\n  static_configs: [{targets: [%q], labels: {namespace: shop, pod: shop-1-aaaaa}}]\n", write+"/api/v1/write", nativeTarget(t)))
	latency := v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "duration_seconds", Threshold: metav1.Duration{Duration: 250 * time.Millisecond}}}
	native := latency
	native.Histograms = v1alpha1.HistogramsNative
	count := v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "duration_seconds_count"}, Bad: v1alpha1.Series{Metric: "errors_total"}}}
	nativeCount := count
	nativeCount.Histograms = v1alpha1.HistogramsNative

	for name, tc := range map[string]struct {
		url   string
		of    v1alpha1.Indicator
		want  analysis.Counts
		fault string
		err   string
	}{
		"Prometheus, latency":             {stored, native, analysis.Counts{Total: 40, Bad: 10}, "", ""},
		"Prometheus, requests":            {stored, nativeCount, analysis.Counts{Total: 40}, "", ""},
		"VictoriaMetrics, latency":        {converted, native, analysis.Counts{}, "", `unsupported function \"histogram_count\"`},
		"VictoriaMetrics, classic bucket": {converted, latency, analysis.Counts{}, "bucket", ""},
		"VictoriaMetrics, requests":       {converted, count, analysis.Counts{Total: 40}, "", ""},
	} {
		query, err := prometheus.IndicatorQuery(tc.of, shop)
		g.Expect(err).NotTo(HaveOccurred())
		g.Eventually(func(g Gomega) {
			// Samples reach VictoriaMetrics in batches: they are some seconds old.
			answer, err := client(t, tc.url, every).Counts(t.Context(), "shop", query, 1, time.Now)
			if tc.err != "" {
				known := &prometheus.QueryError{}
				g.Expect(errors.As(err, &known)).To(BeTrue(), "%v", err)
				g.Expect(known.Reason).To(Equal(analysis.BadQuery))
				g.Expect(known.OfQuery).To(BeTrue())
				g.Expect(known.Message).To(And(ContainSubstring(tc.err), ContainSubstring("histograms: Native")))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			if tc.fault != "" {
				g.Expect(answer.Faults).To(HaveLen(1))
				g.Expect(answer.Faults[0].Err.Reason).To(Equal(analysis.BadQuery))
				g.Expect(answer.Faults[0].Err.Message).To(ContainSubstring(tc.fault))
				return
			}
			g.Expect(answer.Faults).To(BeEmpty())
			g.Expect(answer.Counters).To(HaveLen(1))
			g.Expect(answer.Counters[0].Counts).To(Equal(tc.want))
		}, 60*time.Second, 250*time.Millisecond).Should(Succeed(), name)
	}
}
