//go:build servers

// Package servers queries real metrics servers with Belay's client. Each server is tested in
// the same ways: with a target that it scrapes, and with a past that is written to it.
package servers

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// server is a metrics server and how it is started: to scrape a target every second, or to
// take samples of any time of the last day by remote write.
type server struct {
	name, binary string
	args         func(config, data, address string) []string
	// global is added to the section global of its configuration.
	global string
	// receive and receiving are arguments and configuration for remote write.
	receive   []string
	receiving string
	// behind starts what is queried in its place, and returns the URL of that.
	behind func(t *testing.T, url, data string) string
}

var (
	prometheusServer = server{name: "Prometheus", binary: "prometheus",
		args: func(config, data, address string) []string {
			return []string{"--config.file=" + config, "--storage.tsdb.path=" + data, "--web.listen-address=" + address, "--log.level=error"}
		},
		receive: []string{"--web.enable-remote-write-receiver"}, receiving: "storage: {tsdb: {out_of_order_time_window: 24h}}\n"}
	victoriaMetrics = server{name: "VictoriaMetrics", binary: "victoria-metrics",
		args: func(config, data, address string) []string {
			return []string{"-promscrape.config=" + config, "-storageDataPath=" + data, "-httpListenAddr=" + address, "-loggerLevel=ERROR"}
		}}
	servers = []server{prometheusServer, victoriaMetrics, thanosServer()}
)

// shop is the run whose pod the target is.
var shop = prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-1"}}

// target counts a request at every scrape; one in two is bad.
func target(t *testing.T) string {
	var scrapes atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := scrapes.Add(1)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprintf(w, "requests_total %d\nerrors_total %d\n", n, n/2)
		_, _ = fmt.Fprint(w, "memory_bytes{container=\"app\"} 1e9\nmemory_bytes{container=\"sidecar\"} 5e8\nmemory_bytes 2e9\nlimit_bytes{container=\"app\"} 2e9\n")
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// scrape runs the server with the target until the test ends and returns its URL.
func (s server) scrape(t *testing.T, target string) string {
	t.Helper()
	query, _ := s.start(t, "1s", fmt.Sprintf("scrape_configs:\n- job_name: shop\n  static_configs: [{targets: [%q], labels: {namespace: shop, pod: shop-1-aaaaa}}]\n", target))
	return query
}

// receiver runs the server without a target. It returns the URLs to query and to write to.
func (s server) receiver(t *testing.T) (query, write string) {
	t.Helper()
	return s.start(t, "15s", s.receiving, s.receive...)
}

func (s server) start(t *testing.T, interval, configuration string, more ...string) (query, write string) {
	t.Helper()
	folder := t.TempDir()
	config, data := filepath.Join(folder, "config.yaml"), filepath.Join(folder, "data")
	if err := os.WriteFile(config, []byte("global: {scrape_interval: "+interval+s.global+"}\n"+configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	run(t, s.binary, append(s.args(config, data, address), more...)...)
	write = "http://" + address
	if s.behind != nil {
		return s.behind(t, write, data), write
	}
	return write, write
}

func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	return free.Addr().String()
}

// run runs one of the servers' programs until the test ends.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	binary, err := filepath.Abs("../../.cluster/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, args...) // #nosec G204 -- built by make test-extended
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("start %s (make test-extended builds it): %v", name, err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

func client(t *testing.T, url string, interval time.Duration, parameters ...v1alpha1.Parameter) *prometheus.Client {
	t.Helper()
	return clientOf(t, v1alpha1.MetricSourceSpec{Address: url, Parameters: parameters}, interval)
}

func clientOf(t *testing.T, spec v1alpha1.MetricSourceSpec, interval time.Duration) *prometheus.Client {
	t.Helper()
	spec.Limits = v1alpha1.MetricSourceLimits{Series: 1000, Bytes: 4 << 20, InFlight: 8}
	spec.ScrapeInterval.Duration, spec.Limits.Timeout.Duration = interval, 20*time.Second
	c, err := prometheus.NewClient(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
