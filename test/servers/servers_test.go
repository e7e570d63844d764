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
// take samples of any time of the last day at /api/v1/write.
type server struct {
	name, binary string
	args         func(config, data, address string) []string
	receive      []string
	receiving    string
}

var (
	prometheusServer = server{"Prometheus", "prometheus", func(config, data, address string) []string {
		return []string{"--config.file=" + config, "--storage.tsdb.path=" + data, "--web.listen-address=" + address, "--log.level=error"}
	}, []string{"--web.enable-remote-write-receiver"}, "storage: {tsdb: {out_of_order_time_window: 24h}}\n"}
	victoriaMetrics = server{"VictoriaMetrics", "victoria-metrics", func(config, data, address string) []string {
		return []string{"-promscrape.config=" + config, "-storageDataPath=" + data, "-httpListenAddr=" + address, "-loggerLevel=ERROR"}
	}, nil, ""}
	servers = []server{prometheusServer, victoriaMetrics}
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

// scrape runs the server with the target until the test ends and returns its URL. more is
// added to its configuration.
func (s server) scrape(t *testing.T, target, more string) string {
	t.Helper()
	return s.start(t, fmt.Sprintf("global: {scrape_interval: 1s%s}\nscrape_configs:\n- job_name: shop\n  static_configs: [{targets: [%q], labels: {namespace: shop, pod: shop-1-aaaaa}}]\n", more, target))
}

// receiver runs the server without a target.
func (s server) receiver(t *testing.T) string {
	t.Helper()
	return s.start(t, "global: {scrape_interval: 15s}\n"+s.receiving, s.receive...)
}

func (s server) start(t *testing.T, configuration string, more ...string) string {
	t.Helper()
	binary, err := filepath.Abs("../../.cluster/bin/" + s.binary)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	config := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(config, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	run(t, binary, append(s.args(config, filepath.Join(folder, "data"), address), more...)...)
	return "http://" + address
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

// run runs a program until the test ends.
func run(t *testing.T, binary string, args ...string) {
	t.Helper()
	command := exec.Command(binary, args...) // #nosec G204 -- built by make test-extended
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("start %s (make test-extended builds it): %v", binary, err)
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
