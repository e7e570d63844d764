//go:build servers

package servers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belay.dev/belay/test/metrics"
)

// TestDashboards asks a real Prometheus, which scrapes every metric that Belay exports, all
// queries of all dashboards: each has an answer.
func TestDashboards(t *testing.T) {
	exported, err := metrics.Exported("../..")
	if err != nil {
		t.Fatal(err)
	}
	boards, err := metrics.Boards("../..")
	if err != nil {
		t.Fatal(err)
	}
	var scrapes atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprint(w, metrics.Sample(exported, int(scrapes.Add(1))))
	}))
	t.Cleanup(target.Close)
	folder, address := t.TempDir(), freeAddress(t)
	config := filepath.Join(folder, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: belay\n  honor_labels: true\n  static_configs: [{targets: [%q], labels: {namespace: belay, pod: controller-1}}]\n",
		strings.TrimPrefix(target.URL, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, prometheusServer.binary, prometheusServer.args(config, filepath.Join(folder, "data"), address)...)
	// Rates need samples at some distance from each other.
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for scrapes.Load() < 6 {
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus has scraped %d times", scrapes.Load())
		}
		<-tick.C
	}
	for file, b := range boards {
		for _, query := range b.Queries() {
			if n, err := seriesOf("http://"+address, query); err != nil || n == 0 {
				t.Errorf("%s: %s has %d series: %v", file, query, n, err)
			}
		}
	}
}

func seriesOf(server, query string) (int, error) {
	response, err := http.Get(server + "/api/v1/query?query=" + url.QueryEscape(query)) // #nosec G107 -- the server of this test
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, fmt.Errorf("prometheus: %s", answer.Error)
	}
	return len(answer.Data.Result), nil
}
