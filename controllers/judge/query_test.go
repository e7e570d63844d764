package judge

import (
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// TestAQueryFollowsTheRun: it is made once, until the guardrail or the
// ReplicaSets change.
func TestAQueryFollowsTheRun(t *testing.T) {
	tr := &evaluation{run: &v1alpha1.RolloutRun{}, stableSet: "shop-stable", canarySets: []string{"shop-canary"}, queries: map[string]cachedQuery{}}
	tr.run.Namespace = "shop"
	q := query{key: "k", measure: sources.Measure{Indicator: sourcestest.Requests("errors")}, hash: "1"}
	source := &v1alpha1.MetricSource{}
	ask := func() string {
		got, err := tr.queryOf(q, source)
		if err != nil {
			t.Fatal(err)
		}
		return got.Text
	}
	first := ask()
	q.measure.Indicator = sourcestest.Requests("timeouts")
	if ask() != first {
		t.Error("the query was made again")
	}
	q.hash = "2"
	changed := ask()
	if changed == first {
		t.Error("a changed guardrail is asked about as before")
	}
	tr.canarySets = append(tr.canarySets, "shop-promoted")
	if ask() == changed {
		t.Error("a ReplicaSet that joined is not asked about")
	}
	q.hash, q.measure = "3", sources.Measure{Load: &prometheus.Load{Value: v1alpha1.Series{Metric: "throttled_total"}, Window: time.Minute}}
	if got := ask(); !strings.Contains(got, "[1m]") {
		t.Errorf("a rate is asked for as %s", got)
	}
	source.Spec.ScrapeInterval.Duration = time.Minute
	if got := ask(); !strings.Contains(got, "[4m]") {
		t.Errorf("the rate of a counter that is scraped every minute is asked for as %s", got)
	}
}
