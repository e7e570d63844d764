package judge

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus/enginetest"
	"belay.dev/belay/api/v1alpha1"
)

// TestBucketsThatExist are named in the verdict where the candidate's histogram, or also
// stable's, has none for the threshold, by Prometheus' own engine.
func TestBucketsThatExist(t *testing.T) {
	const of, without = "seconds_count 9\nseconds_bucket{le=\"0.25\"} 7\nseconds_bucket{le=\"0.5\"} 8\nseconds_bucket{le=\"+Inf\"} 9\n", `: buckets exist for 250ms, 500ms; set threshold to one of them, or add the bucket`
	for stable, who := range map[string]string{of: "candidate", of + "seconds_bucket{le=\"0.3\"} 7\n": "candidate"} {
		b := newBench(t, 1)
		b.edit(func(g *v1alpha1.GuardrailSpec) {
			g.SLOs[0].Indicator = v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds"}}
			g.SLOs[0].Indicator.Latency.Threshold.Duration = 300 * time.Millisecond
		})
		e := enginetest.New(b.clock.Now().Add(pollsEvery))
		e.Scrape(t, stable, map[string]string{"namespace": "team-0", "pod": b.source.stablePod, "instance": "a"})
		e.Scrape(t, of, map[string]string{"namespace": "team-0", "pod": "shop-abcdef0123-bbbbb", "instance": "b"})
		source := &v1alpha1.MetricSource{}
		if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, source); err != nil {
			t.Fatal(err)
		}
		source.Spec.Address = e.Serve(t)
		if err := b.client.Update(t.Context(), source); err != nil {
			t.Fatal(err)
		}
		b.poll()
		got := b.recorded(b.runs[0])
		if want := `the histogram of the ` + who + ` pods has no bucket "seconds_bucket" whose upper bound is the threshold 300ms` + without; got.Reason != string(analysis.BadQuery) || got.Message != want {
			t.Errorf("%s: %s\nwant %s", got.Reason, got.Message, want)
		}
	}
}

// TestABucketThatSomePodsLack is not one that no pod has.
func TestABucketThatSomePodsLack(t *testing.T) {
	const without = "seconds_count 9\nseconds_bucket{le=\"0.25\"} 7\nseconds_bucket{le=\"+Inf\"} 9\n"
	const with = without + "seconds_bucket{le=\"0.3\"} 8\n"
	b := newBench(t, 1)
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		g.SLOs[0].Indicator = v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds"}}
		g.SLOs[0].Indicator.Latency.Threshold.Duration = 300 * time.Millisecond
	})
	e := enginetest.New(b.clock.Now().Add(pollsEvery))
	e.Scrape(t, with, map[string]string{"namespace": "team-0", "pod": b.source.stablePod, "instance": "a"})
	e.Scrape(t, with, map[string]string{"namespace": "team-0", "pod": "shop-abcdef0123-bbbbb", "instance": "b"})
	e.Scrape(t, without, map[string]string{"namespace": "team-0", "pod": "shop-abcdef0123-ccccc", "instance": "c"})
	// Of another service.
	e.Scrape(t, without, map[string]string{"namespace": "team-0", "pod": "cart-abcdef0123-ccccc", "instance": "d"})
	source := &v1alpha1.MetricSource{}
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, source); err != nil {
		t.Fatal(err)
	}
	source.Spec.Address = e.Serve(t)
	if err := b.client.Update(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	b.poll()
	got := b.recorded(b.runs[0])
	const want = `the histograms of 1 of 3 pods, such as "shop-abcdef0123-ccccc", have no bucket whose upper bound is the threshold, and those of the others do: give all pods the same buckets, or choose a threshold that is a bucket bound (label le) of all`
	if got.Reason != string(analysis.BadQuery) || got.Message != want {
		t.Errorf("%s: %s\nwant %s", got.Reason, got.Message, want)
	}
}
