package indicators

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// TestBucketsThatExist are named where the threshold has none, by Prometheus' own engine.
func TestBucketsThatExist(t *testing.T) {
	w := newWorld(t, append(app(0, 1), guardrailOf(func(s *v1alpha1.GuardrailSpec) {
		s.SLOs[0].Indicator = v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds", Threshold: metav1.Duration{Duration: 300 * time.Millisecond}}}
	}))...)
	e := enginetest.New(w.clock.Now())
	e.Scrape(t, "seconds_count 9\nseconds_bucket{le=\"0.25\"} 7\nseconds_bucket{le=\"0.5\"} 8\nseconds_bucket{le=\"1.0\"} 9\nseconds_bucket{le=\"+Inf\"} 9\n",
		map[string]string{"namespace": "shop", "pod": "app-0-stable-aaaaa", "instance": "a"})
	w.readsFrom(e.Serve(t))
	const says = `the histogram of the stable pods has no bucket "seconds_bucket" whose upper bound is the threshold 300ms: buckets exist for 250ms, 500ms, 1s; set threshold to one of them, or add the bucket`
	ready, status := w.look()
	if ready.Reason != v1alpha1.ReasonNoBucket || ready.Message != "slo availability: "+says || !strings.HasSuffix(status.Indicators[0].Message, says) {
		t.Errorf("%s: %s; %+v", ready.Reason, ready.Message, status.Indicators)
	}
}

// readsFrom lets the source have another address.
func (w *world) readsFrom(address string) {
	w.t.Helper()
	source := &v1alpha1.MetricSource{}
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Name: "default"}, source); err != nil {
		w.t.Fatal(err)
	}
	source.Spec.Address = address
	source.Generation++
	if err := w.client.Update(w.t.Context(), source); err != nil {
		w.t.Fatal(err)
	}
}
