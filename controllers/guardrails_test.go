package controllers

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
)

// TestAPinnedGuardrailIsHashedOnce, as long as it is the same one and unchanged.
func TestAPinnedGuardrailIsHashedOnce(t *testing.T) {
	spec := v1alpha1.GuardrailSpec{Source: "default", SLOs: []v1alpha1.SLO{{Name: "errors", Objective: "99.9", Indicator: requests("errors")}}}
	before, err := pin("Guardrail", "shop", "1", spec)
	if err != nil {
		t.Fatal(err)
	}
	before.Hash = "as pinned before"
	changed := spec
	changed.MinimumSamples++
	for name, tc := range map[string]struct {
		kind   string
		uid    types.UID
		spec   v1alpha1.GuardrailSpec
		reused bool
	}{
		"the same":           {"Guardrail", "1", spec, true},
		"changed":            {"Guardrail", "1", changed, false},
		"of another kind":    {"ClusterGuardrail", "1", spec, false},
		"created once again": {"Guardrail", "2", spec, false},
	} {
		got, err := pin(tc.kind, "shop", tc.uid, tc.spec, before)
		if err != nil {
			t.Fatal(err)
		}
		if reused := got.Hash == before.Hash; reused != tc.reused {
			t.Errorf("%s: hash %s, reused %v, want %v", name, got.Hash, reused, tc.reused)
		}
	}
}

// TestAnInquiryFollowsTheRun: it is made once, until the guardrail or the
// ReplicaSets change.
func TestAnInquiryFollowsTheRun(t *testing.T) {
	tr := &trial{run: &v1alpha1.RolloutRun{}, stableSet: "shop-stable", canarySets: []string{"shop-canary"}, posed: map[string]posed{}}
	tr.run.Namespace = "shop"
	q := question{key: "k", subject: subject{Indicator: requests("errors")}, hash: "1"}
	ask := func() string {
		got, err := tr.inquiryOf(q)
		if err != nil {
			t.Fatal(err)
		}
		return got.query
	}
	first := ask()
	q.subject.Indicator = requests("timeouts")
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
