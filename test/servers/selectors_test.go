//go:build servers

package servers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// failed are the matchers of bad requests.
func failed(label string) []v1alpha1.Matcher {
	return []v1alpha1.Matcher{{Name: label, Op: "=~", Value: "5.."}}
}

func requests(metric, label string) *v1alpha1.RequestsIndicator {
	return &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: metric}, Bad: v1alpha1.Series{Metric: metric, Matchers: failed(label)}}
}

// TestDestinations: what two gateways count for the Services of a run is read as theirs,
// without that of another namespace or of a Service whose name begins the same.
func TestDestinations(t *testing.T) {
	sent := func(gateway, namespace, service, code string, perSecond float64) series {
		return counter("gateway_requests_total", perSecond, pod("infra", gateway, "destination_namespace", namespace, "destination_service", service, "code", code))
	}
	var all []series
	for _, gateway := range []string{"gateway-1", "gateway-2"} {
		all = append(all,
			sent(gateway, "shop", "shop-canary", "200", 3), sent(gateway, "shop", "shop-canary", "503", 1),
			sent(gateway, "shop", "shop-stable", "200", 16), sent(gateway, "shop", "shop-canary-2", "503", 50),
			sent(gateway, "bank", "shop-canary", "503", 50))
	}
	indicator := v1alpha1.Indicator{By: v1alpha1.CountedByService, Requests: requests("gateway_requests_total", "code"),
		Destination: &v1alpha1.Destination{Label: "destination_service", Value: "$(service)", NamespaceLabel: "destination_namespace"}}
	own := prometheus.Pods{Namespace: "shop", Services: []string{"shop-canary", "shop-stable"}}
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			g := NewWithT(t)
			query, err := prometheus.IndicatorQuery(indicator, own)
			g.Expect(err).NotTo(HaveOccurred())
			p := until(time.Now(), 10*time.Minute, every, all...)
			c := s.with(t, p, func(url string) *prometheus.Client { return client(t, url, every).Reading(indicator) }, query, 4)
			over, err := c.CountsOver(t.Context(), "shop", query, prometheus.Times{From: p.begin.Add(p.length - every), Step: every, Count: 2})
			g.Expect(err).NotTo(HaveOccurred())
			for i, since := range []float64{585, 600} {
				g.Expect(over[i].Counters).To(HaveLen(4))
				for _, counter := range over[i].Counters {
					version, ok := prometheus.OwnedBy(indicator).By(own, counter)
					g.Expect(ok).To(BeTrue(), "%+v", counter)
					want := map[string]analysis.Counts{"shop-canary": {Total: 4 * since, Bad: since}, "shop-stable": {Total: 16 * since}}[version.Pod]
					g.Expect(version.Counts).To(Equal(want), version.Pod)
				}
			}
			probe, err := prometheus.IndicatorProbe(indicator, own)
			g.Expect(err).NotTo(HaveOccurred())
			sights, err := c.Probe(t.Context(), "shop", probe, time.Now)
			g.Expect(err).NotTo(HaveOccurred())
			canary := sights.Of(probe, own.ByVersion(indicator)[0])
			g.Expect(canary.Counts).To(Equal(analysis.Counts{Total: 2 * 4 * 600, Bad: 2 * 600}))
			g.Expect(canary.Scopes[0].Series).To(Equal(4))
		})
	}
}

// TestSelectorProbes: a label that the series have is told from one that they lack, and the
// labels that they have are listed.
func TestSelectorProbes(t *testing.T) {
	all := []series{
		counter("requests_total", 10, pod("shop", "shop-1-aaaaa", "code", "200")), counter("requests_total", 1, pod("shop", "shop-1-aaaaa", "code", "500")),
		counter("requests_total", 10, pod("shop", "shop-2-aaaaa", "code", "200")),
	}
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			g := NewWithT(t)
			both := prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1", "shop-2"}}
			right := v1alpha1.Indicator{Requests: requests("requests_total", "code")}
			query, err := prometheus.IndicatorQuery(right, both)
			g.Expect(err).NotTo(HaveOccurred())
			p := until(time.Now(), 5*time.Minute, every, all...)
			c := s.with(t, p, nil, query, 2)
			for label, lacking := range map[string]int{"code": -1, "status": 0} {
				probe, err := prometheus.IndicatorProbe(v1alpha1.Indicator{Requests: requests("requests_total", label)}, both)
				g.Expect(err).NotTo(HaveOccurred())
				sights, err := c.Probe(t.Context(), "shop", probe, time.Now)
				g.Expect(err).NotTo(HaveOccurred())
				for set, series := range map[string]int{"shop-1": 2, "shop-2": 1} {
					found := sights.Of(probe, prometheus.Pods{Namespace: "shop", ReplicaSets: []string{set}})
					g.Expect(found.Scopes).To(HaveLen(2))
					g.Expect(found.Scopes[1].Series).To(Equal(series), set)
					g.Expect(probe.Scopes[1].Missing(found.Scopes[1])).To(Equal(lacking), "%s of %s", label, set)
				}
				names, err := c.LabelNames(t.Context(), "shop", probe, 1, time.Now)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(names).To(ContainElements("code", "instance", "namespace", "pod"))
			}
		})
	}
}

// TestTheIntervalOfSamples: nine of ten targets of pods have the interval or a shorter one.
func TestTheIntervalOfSamples(t *testing.T) {
	for _, s := range servers {
		for _, interval := range []time.Duration{every, 30 * time.Second} {
			t.Run(s.name+" "+interval.String(), func(t *testing.T) {
				g := NewWithT(t)
				url, write := s.receiver(t)
				up := func(labels map[string]string) series {
					return series{"up", labels, func(time.Duration) float64 { return 1 }}
				}
				written := until(time.Now(), 25*time.Minute, interval, up(pod("shop", "shop-1-aaaaa")), up(pod("shop", "shop-1-bbbbb")))
				other := until(time.Now(), 25*time.Minute, 5*time.Second, up(map[string]string{"instance": "node:9100"}))
				written.send(t, write)
				g.Expect(other.write(write)).To(Succeed())
				c := client(t, url, every)
				g.Eventually(func() (time.Duration, error) { return c.Interval(t.Context(), time.Now) }, 60*time.Second, 250*time.Millisecond).Should(Equal(interval))
			})
		}
	}
}

// TestNamesOfOpenTelemetry: names with dots are quoted in queries.
func TestNamesOfOpenTelemetry(t *testing.T) {
	labels := func(code string) map[string]string {
		return map[string]string{"instance": "a", "k8s.namespace.name": "shop", "k8s.pod.name": "shop-1-aaaaa", "http.response.status_code": code}
	}
	all := []series{counter("http.server.request.duration_count", 9, labels("200")), counter("http.server.request.duration_count", 1, labels("500"))}
	indicator := v1alpha1.Indicator{Requests: requests("http.server.request.duration_count", "http.response.status_code")}
	names := v1alpha1.MetricSourceLabels{Namespace: "k8s.namespace.name", Pod: "k8s.pod.name"}
	own := prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1"}, Labels: names}
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			g := NewWithT(t)
			query, err := prometheus.IndicatorQuery(indicator, own)
			g.Expect(err).NotTo(HaveOccurred())
			reader := func(url string) *prometheus.Client {
				return clientOf(t, v1alpha1.MetricSourceSpec{Address: url, Labels: names}, every)
			}
			c := s.with(t, until(time.Now(), 10*time.Minute, every, all...), reader, query, 1)
			answer, err := c.Counts(t.Context(), "shop", query, 1, time.Now)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(answer.Counters).To(HaveLen(1))
			g.Expect(answer.Counters[0].Counts).To(Equal(analysis.Counts{Total: 6000, Bad: 600}))
			probe, err := prometheus.IndicatorProbe(indicator, own)
			g.Expect(err).NotTo(HaveOccurred())
			sights, err := c.Probe(t.Context(), "shop", probe, time.Now)
			g.Expect(err).NotTo(HaveOccurred())
			found := sights.Of(probe, own)
			g.Expect(found.Scopes[1].Series).To(Equal(2))
			g.Expect(probe.Scopes[1].Missing(found.Scopes[1])).To(Equal(-1))
		})
	}
}
