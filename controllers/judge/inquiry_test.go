package judge

import (
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// TestAnInquiryFollowsTheRun: it is made once, until the guardrail or the
// ReplicaSets change.
func TestAnInquiryFollowsTheRun(t *testing.T) {
	tr := &trial{run: &v1alpha1.RolloutRun{}, stableSet: "shop-stable", canarySets: []string{"shop-canary"}, posed: map[string]posed{}}
	tr.run.Namespace = "shop"
	q := question{key: "k", subject: sources.Subject{Indicator: sourcestest.Requests("errors")}, hash: "1"}
	ask := func() string {
		got, err := tr.inquiryOf(q)
		if err != nil {
			t.Fatal(err)
		}
		return got.Query
	}
	first := ask()
	q.subject.Indicator = sourcestest.Requests("timeouts")
	if ask() != first {
		t.Error("the inquiry was made again")
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
