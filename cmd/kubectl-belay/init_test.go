package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// around is a Deployment named checkout with four replicas, a ReplicaSet, a Service and a route.
func around() surrounds {
	d := workload.NewDeployment()
	d.Object["spec"] = map[string]any{"replicas": int64(4), "template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "app", "image": "a:1"}}}}}
	d.SetName("checkout")
	d.SetNamespace("shop")
	return surrounds{
		object: d, replicaSets: []string{"checkout-7d9f6b5c4"}, source: "default", sourced: true,
		service: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "checkout"}}, services: []string{"checkout", "checkout-internal"},
		routes: []v1alpha1.RouteRef{{Kind: "HTTPRoute", Name: "checkout"}, {Kind: "GRPCRoute", Name: "checkout-api"}}, scaler: "checkout",
	}
}

// exposed are metrics of two pods with the labels of a preset.
func exposed(t *testing.T, at time.Time, text string) string {
	t.Helper()
	e := enginetest.New(at)
	for _, pod := range []string{"checkout-7d9f6b5c4-aaaaa", "checkout-7d9f6b5c4-bbbbb"} {
		e.Scrape(t, text+"\n# EOF\n", map[string]string{"namespace": "shop", "pod": pod, "instance": pod + ":80"})
	}
	return e.Serve(t)
}

const goMetrics = `up 1
http_requests_total{code="200"} 9980
http_requests_total{code="500"} 20
http_request_duration_seconds_bucket{le="0.1"} 9000
http_request_duration_seconds_bucket{le="0.25"} 9900
http_request_duration_seconds_bucket{le="0.5"} 9999
http_request_duration_seconds_bucket{le="+Inf"} 10000
http_request_duration_seconds_count 10000
http_request_duration_seconds_sum 500`

// TestInitByWhatIsThere holds what is written to what was reviewed: with metrics, with those
// of a gRPC server without a histogram, and with nothing but a Deployment.
func TestInitByWhatIsThere(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	bare := around()
	bare.service, bare.services, bare.routes, bare.scaler = nil, nil, nil, ""
	bare.object.SetName("1-checkout")
	enforced := around()
	enforced.enforce, enforced.sourced, enforced.hold = true, false, "30s"
	for name, c := range map[string]struct {
		seen    surrounds
		metrics string
	}{
		"go":     {around(), goMetrics},
		"grpc":   {enforced, "up 1\ngrpc_server_handled_total{grpc_code=\"OK\",grpc_type=\"unary\"} 5"},
		"nobody": {bare, ""}, "unknown": {around(), "up 1\nmy_requests_total 5"},
	} {
		if c.metrics != "" {
			m := &metricsFlags{address: exposed(t, noon, c.metrics), labels: v1alpha1.MetricSourceLabels{Namespace: "namespace", Pod: "pod"}}
			if err := c.seen.measure(t.Context(), m, func() time.Time { return noon }); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		golden(t, "init."+name+".yaml", c.seen.manifests(), 140)
	}
}

func TestObjectivesAreNotYetMissed(t *testing.T) {
	for want, c := range map[string]struct {
		bad  float64
		from string
	}{"99.9": {0.0004, "99.9"}, "99.5": {0.002, "99.9"}, "99": {0.0001, "99"}, "95": {0.02, "99"}, "90": {0.5, "99.9"}} {
		if got := objectiveFor(analysis.Counts{Total: 1e6, Bad: 1e6 * c.bad}, c.from); got != want {
			t.Errorf("with a ratio of %v from %s on: %s, want %s", c.bad, c.from, got, want)
		}
	}
}

// TestNamesAreStrings: YAML takes some for something else.
func TestNamesAreStrings(t *testing.T) {
	for name, want := range map[string]string{"checkout": "checkout", "true": `"true"`, "1e3": `"1e3"`, "no": `"no"`} {
		if got := scalar(name); got != want {
			t.Errorf("%s is written %s", name, got)
		}
	}
}

// TestCommentsStayComments, whatever is in a text from outside.
func TestCommentsStayComments(t *testing.T) {
	seen := around()
	seen.object.SetLabels(map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps\nspec: {paused: true}"})
	seen.notes = []string{"a note\nkind: Secret", fmt.Sprint(strings.Repeat("long ", 100))}
	for line := range strings.Lines(seen.manifests()) {
		if strings.Contains(line, "Secret") || strings.Contains(line, "paused") {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") {
				t.Errorf("not a comment: %s", line)
			}
		}
	}
}
