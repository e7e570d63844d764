// Package monitoring says how to run Prometheus over the cluster's pods.
package monitoring

import (
	"fmt"
	"strings"

	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

// scrape follows the prometheus.io annotations. Pods that are not running keep
// no address worth scraping and are dropped.
const scrape = `global:
  scrape_interval: 5s
  scrape_timeout: 4s
  evaluation_interval: 5s
scrape_configs:
- job_name: pods
  scrape_native_histograms: true
  # Classic buckets too: both kinds of query must work.
  always_scrape_classic_histograms: true
  kubernetes_sd_configs:
  - role: pod
    kubeconfig_file: %q
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], action: keep, regex: "true"}
  - {source_labels: [__meta_kubernetes_pod_phase], action: drop, regex: Pending|Succeeded|Failed}
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], action: replace, regex: (.+), target_label: __metrics_path__}
  - {source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port], action: replace, regex: (.+);(\d+), replacement: "$1:$2", target_label: __address__}
  # A pod of several ports is discovered several times; with equal targets Prometheus keeps one.
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  - {source_labels: [__meta_kubernetes_pod_label_app], target_label: app}
- job_name: gateway
  metrics_path: /.belay/metrics
  static_configs:
  - targets: [%q]
`

// Prometheus writes its configuration and says how to run it on the addresses. gateway is the
// address of the Gateway, which it scrapes.
func Prometheus(dir state.Dir, listen []string, gateway string) (process.Spec, error) {
	file := dir.Path("prometheus", "prometheus.yaml")
	kubeconfig := dir.Kubeconfig("prometheus")
	if err := state.WriteFile(file, fmt.Appendf(nil, scrape, kubeconfig, gateway), 0o644); err != nil {
		return process.Spec{}, err
	}
	args := []string{
		"--config.file=" + file, "--storage.tsdb.path=" + dir.Path("prometheus", "data"), "--storage.tsdb.retention.time=6h",
		// Tests write made-up series through it.
		"--web.enable-remote-write-receiver",
	}
	for _, address := range listen {
		args = append(args, "--web.listen-address="+address)
	}
	return process.Spec{Name: "prometheus", Path: dir.Bin("prometheus"), Args: args, Inputs: []string{file, kubeconfig}}, nil
}

// URL is where both the host and pods find a server that listens on an address.
func URL(address string) string {
	return "http://" + strings.TrimSuffix(address, "/")
}
