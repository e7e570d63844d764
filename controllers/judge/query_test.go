package judge

import (
	"testing"

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
	ask := func() string {
		got, err := tr.queryOf(q, v1alpha1.MetricSourceLabels{})
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
}
