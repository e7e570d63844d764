//go:build servers

package servers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

var errorsOfRequests = v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "requests_total"}, Bad: v1alpha1.Series{Metric: "errors_total"}}}

func TestServers(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			g := NewWithT(t)
			url := s.scrape(t, target(t))
			c := client(t, url, time.Second)
			query, err := prometheus.IndicatorQuery(errorsOfRequests, shop)
			g.Expect(err).NotTo(HaveOccurred())
			g.Eventually(func(g Gomega) {
				answer, err := c.Counts(t.Context(), "shop", query, 1, time.Now)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(answer.Counters).To(HaveLen(1))
				counter := answer.Counters[0]
				g.Expect(counter.Pod).To(Equal("shop-1-aaaaa"))
				g.Expect(counter.Total).To(BeNumerically(">=", 3))
				g.Expect(counter.Bad).To(BeNumerically("~", counter.Total/2, 1))
				g.Expect(answer.At.Sub(counter.SampledAt)).To(BeNumerically("<", 3*time.Second), "the age of the newest sample")
			}, 30*time.Second, 250*time.Millisecond).Should(Succeed())

			_, err = c.Version(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			_, err = c.Interval(t.Context(), time.Now)
			g.Expect(err).NotTo(HaveOccurred())

			// 100 runs share a query that the server accepts.
			var pods []prometheus.Pods
			for i := range 100 {
				pods = append(pods, prometheus.Pods{Namespace: fmt.Sprintf("team-%d", i), ReplicaSets: []string{fmt.Sprintf("checkout-service-%d-5d4f8b7c96", i)}})
			}
			for n, accepted := range map[int]bool{30: true, 100: s.name != victoriaMetrics.name} {
				query, err := prometheus.IndicatorQuery(errorsOfRequests, append(pods[:n:n], pods[:n]...)...)
				g.Expect(err).NotTo(HaveOccurred())
				query += strings.Repeat(" ", max(0, 180*n-len(query)))
				_, err = c.Counts(t.Context(), "", query, 1, time.Now)
				known := &prometheus.QueryError{}
				g.Expect(err == nil || errors.As(err, &known) && known.OfQuery && !accepted).To(BeTrue(), "%d bytes: %v", len(query), err)
				g.Expect(err == nil).To(Equal(accepted), "%d bytes: %v", len(query), err)
			}
		})
	}
}

// TestLoads: a gauge is the sum over a pod's containers, and a rate is what a counter that
// increases by 1 every second has; both are divided by another series.
func TestLoads(t *testing.T) {
	container := []v1alpha1.Matcher{{Name: "container", Op: "!="}}
	memory, limit := v1alpha1.Series{Metric: "memory_bytes", Matchers: container}, v1alpha1.Series{Metric: "limit_bytes", Matchers: container}
	requests, failures := v1alpha1.Series{Metric: "requests_total"}, v1alpha1.Series{Metric: "errors_total"}
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			g := NewWithT(t)
			c := client(t, s.scrape(t, target(t)), time.Second)
			for name, tc := range map[string]struct {
				trigger    v1alpha1.SaturationTrigger
				value, per float64
			}{
				"gauge": {v1alpha1.SaturationTrigger{Gauge: &memory, Per: &limit}, 1.5e9, 2e9},
				"rate":  {v1alpha1.SaturationTrigger{Rate: &failures, Per: &requests}, 0.5, 1},
			} {
				load := prometheus.LoadOf(tc.trigger)
				query, err := prometheus.LoadQuery(load, shop)
				g.Expect(err).NotTo(HaveOccurred())
				g.Eventually(func(g Gomega) {
					answer, err := c.Counts(t.Context(), "shop", query, 1, time.Now)
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(answer.Faults).To(BeEmpty())
					g.Expect(answer.Counters).To(HaveLen(1), name)
					pod := answer.Counters[0]
					g.Expect(pod.Pod).To(Equal("shop-1-aaaaa"))
					g.Expect(pod.Total).To(BeNumerically("~", tc.value, 0.1*tc.value), name)
					g.Expect(pod.Bad).To(BeNumerically("~", tc.per, 0.1*tc.per), name)
					g.Expect(answer.At.Sub(pod.SampledAt)).To(BeNumerically("<", 3*time.Second), name)
				}, 90*time.Second, 250*time.Millisecond).Should(Succeed())
				probe, err := prometheus.LoadProbe(load, shop)
				g.Expect(err).NotTo(HaveOccurred())
				sights, err := c.Probe(t.Context(), "shop", probe, time.Now)
				g.Expect(err).NotTo(HaveOccurred())
				scopes := sights.Of(probe, shop).Scopes
				g.Expect(scopes).To(HaveLen(2))
				g.Expect(scopes[0].Series).To(BeNumerically(">=", 1), name)
				g.Expect(probe.Scopes[0].Missing(scopes[0])).To(Equal(-1), name)
			}
		})
	}
}

// TestVictoriaMetricsNeedsNocache shows what Belay's own parameter is for.
func TestVictoriaMetricsNeedsNocache(t *testing.T) {
	g := NewWithT(t)
	url := victoriaMetrics.scrape(t, target(t))
	query, err := prometheus.IndicatorQuery(errorsOfRequests, shop)
	g.Expect(err).NotTo(HaveOccurred())
	count := func(c *prometheus.Client) int {
		answer, err := c.Counts(t.Context(), "shop", query, 1, time.Now)
		if err != nil {
			return -1
		}
		return len(answer.Counters)
	}
	g.Eventually(func() int { return count(client(t, url, time.Second)) }, 30*time.Second, 250*time.Millisecond).Should(Equal(1))
	g.Expect(count(client(t, url, time.Second, v1alpha1.Parameter{Name: "nocache"}))).To(Equal(0))
}
