package triggers

import (
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// A poll that lacks a pod has no verdict. A regression keeps its scrapes for the next look, and
// other triggers keep nothing.
func TestAPollWithoutAVerdictIsKept(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	at := func(n int, pods ...string) analysis.Poll {
		p := analysis.Poll{EvaluatedAt: start.Add(time.Duration(n) * 15 * time.Second), ScrapeInterval: 15 * time.Second}
		for _, name := range pods {
			p.Canary = append(p.Canary, analysis.PodCounter{Pod: name, Counts: analysis.Counts{Total: float64(100 * n), Bad: float64(n)}, SampledAt: p.EvaluatedAt, ReadyAt: start})
		}
		return p
	}
	g := v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "errors", Objective: "99.9"}}}
	regression := v1alpha1.Trigger{SLO: "errors", Regression: &v1alpha1.RegressionTrigger{WorseThan: "1.5", Burn: "2", FalseAlarm: "0.01"}}
	var l analysis.Ledger
	var s analysis.RegressionState
	for n, pods := range [][]string{{"a", "b"}, {"a", "b"}, {"a"}, {"a", "b"}} {
		p := at(n, pods...)
		l = l.Advance(p, start)
		look := Look{Counted: p, Judged: p, Ledger: l, Quality: analysis.Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 2, Weight: 50}, Regressions: 1}
		v, after := Judge(g, regression, look, s)
		if after == nil {
			t.Fatalf("poll %d: no evidence", n)
		}
		s = *after
		if lacks := len(pods) < 2; lacks != (v.Reason == analysis.PartialCoverage) || lacks != (s.Unobserved != nil && s.Unobserved.Bad == 1) {
			t.Errorf("poll %d: %s, kept %+v", n, v.Reason, s.Unobserved)
		}
		burn := v1alpha1.Trigger{SLO: "errors", Burn: &v1alpha1.BurnTrigger{Rate: "14.4"}}
		if _, kept := Judge(g, burn, look, s); kept != nil {
			t.Errorf("poll %d: a burn keeps evidence", n)
		}
	}
	looks := s.Trail.Looks
	if n := len(looks); n != 2 || len(looks[1].Parts) != 3 {
		t.Errorf("%d looks, want 2, the last with all three scrapes: %+v", n, looks)
	}
}

// What a change of weight leaves out is known from a poll that has no verdict, too.
func TestAPollWithoutAVerdictSeesAChangeOfWeight(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	g := v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Name: "errors", Objective: "99.9"}}}
	regression := v1alpha1.Trigger{SLO: "errors", Regression: &v1alpha1.RegressionTrigger{WorseThan: "1.5", Burn: "2", FalseAlarm: "0.01"}}
	for weight, shift := range map[int]bool{50: false, 90: true} {
		p := analysis.Poll{EvaluatedAt: start.Add(time.Minute), ScrapeInterval: 15 * time.Second}
		quality := analysis.Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 2, Weight: weight}
		_, after := Judge(g, regression, Look{Counted: p, Judged: p, Ledger: analysis.Ledger{}.Advance(p, start), Quality: quality, Regressions: 1}, analysis.RegressionState{})
		if after == nil || (after.Shift.Before != nil) != shift {
			t.Errorf("first weight %d: the state is %+v, want a shift: %v", weight, after, shift)
		}
	}
}
