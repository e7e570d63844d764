//go:build servers

package servers

import (
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// thanosServer is a Prometheus that is queried through Thanos: a sidecar beside it, and the
// query component.
func thanosServer() server {
	s := prometheusServer
	s.name, s.global = "Thanos", `, external_labels: {cluster: a, replica: "0"}`
	s.behind = func(t *testing.T, url, data string) string { return thanosQuery(t, sidecar(t, url, data)) }
	return s
}

// sidecar starts Thanos' sidecar for a Prometheus and returns the address of its store. It
// gives up on a Prometheus that is still starting.
func sidecar(t *testing.T, url, data string) string {
	t.Helper()
	store, address := freeAddress(t), freeAddress(t)
	ready(t, url)
	run(t, "thanos", "sidecar", "--prometheus.url="+url, "--tsdb.path="+data, "--grpc-address="+store, "--http-address="+address, "--log.level=error")
	ready(t, "http://"+address)
	return store
}

// ready waits until a server of Prometheus or Thanos is.
func ready(t *testing.T, url string) {
	t.Helper()
	NewWithT(t).Eventually(func() (int, error) {
		answer, err := http.Get(url + "/-/ready") // #nosec G107 -- of this test
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}, 60*time.Second, 250*time.Millisecond).Should(Equal(http.StatusOK))
}

// thanosQuery starts Thanos' query component, which merges replicas, and returns its URL.
func thanosQuery(t *testing.T, stores ...string) string {
	t.Helper()
	address := freeAddress(t)
	args := []string{"query", "--http-address=" + address, "--grpc-address=" + freeAddress(t), "--query.replica-label=replica", "--log.level=error"}
	for _, store := range stores {
		args = append(args, "--endpoint="+store)
	}
	run(t, "thanos", args...)
	return "http://" + address
}

// TestReplicasOfThanos: two replicas of Prometheus have the same series. Merged, a request
// counts once; without, twice, which is why docs/metrics.md asks for the replica label.
func TestReplicasOfThanos(t *testing.T) {
	g := NewWithT(t)
	p := until(time.Now(), 10*time.Minute, every, counter("requests_total", 20, pod("shop", "shop-1-aaaaa")), counter("errors_total", 1, pod("shop", "shop-1-aaaaa")), counter("cpu_seconds", 2, pod("shop", "shop-1-aaaaa")))
	var stores []string
	for _, replica := range []string{"0", "1"} {
		s := prometheusServer
		s.global = `, external_labels: {cluster: a, replica: "` + replica + `"}`
		s.behind = sidecar
		store, write := s.receiver(t)
		p.send(t, write)
		stores = append(stores, store)
	}
	url := thanosQuery(t, stores...)
	query, err := prometheus.IndicatorQuery(errorsOfRequests, shop)
	g.Expect(err).NotTo(HaveOccurred())
	counts := func(url string, parameters ...v1alpha1.Parameter) func() (analysis.Counts, error) {
		return func() (analysis.Counts, error) {
			over, err := client(t, url, every, parameters...).CountsOver(t.Context(), "shop", query, p.newest())
			if err != nil || len(over[0].Counters) != 1 {
				return analysis.Counts{}, err
			}
			return over[0].Counters[0].Counts, nil
		}
	}
	once := analysis.Counts{Total: 12000, Bad: 600}
	g.Eventually(counts(url, v1alpha1.Parameter{Name: "dedup", Value: "false"}), 60*time.Second, 250*time.Millisecond).Should(Equal(once.Add(once)))
	g.Expect(counts(url)()).To(Equal(once))

	// Thanos lists what PromQL remarks about a name that is no counter's among its warnings.
	load, err := prometheus.LoadQuery(prometheus.Load{Value: v1alpha1.Series{Metric: "cpu_seconds"}, Window: time.Minute}, shop)
	g.Expect(err).NotTo(HaveOccurred())
	over, err := client(t, url, every).CountsOver(t.Context(), "shop", load, p.newest())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(over[0].Counters).To(HaveLen(1))
	g.Expect(over[0].Counters[0].Total).To(BeNumerically("~", 2, 0.1))
}
