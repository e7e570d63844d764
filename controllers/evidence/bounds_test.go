package evidence

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

// largest is a record with all the API allows, in characters that JSON escapes.
func largest(n int) v1alpha1.DecisionRecord {
	r := record(strings.Repeat("r", 63))
	step := int32(n)
	r.Step, r.Why, r.Effect, r.Actor = &step, strings.Repeat("<", 1024), strings.Repeat("<", 256), strings.Repeat("<", 256)
	r.Verdicts = nil
	for i := range 64 {
		r.Verdicts = append(r.Verdicts, v1alpha1.VerdictReference{
			Trigger: fmt.Sprintf("%0340d", i), Outcome: v1alpha1.VerdictInconclusive, Reason: strings.Repeat("r", 63), SamplesSHA256: fmt.Sprintf("sha256:%064d", n),
		})
	}
	return r
}

// TestAChainStaysWithinItsBytes: however large the records, the chain fits its
// part of the object, and the one that ends the run is in it.
func TestAChainStaysWithinItsBytes(t *testing.T) {
	var c []v1alpha1.DecisionRecord
	for n := range int32(MaxDecisions) {
		c, _ = appended(c, largest(int(n)), n+1, false)
	}
	if !Full(EndOf(run, c, nil)) {
		t.Errorf("%d records of the largest kind, and not full", len(c))
	}
	c, err := appended(c, largest(MaxDecisions), MaxDecisions+1, true)
	if err != nil {
		t.Fatal(err)
	}
	last := c[len(c)-1]
	if Count(c) != MaxDecisions+1 || last.Missing == 0 || last.MoreVerdicts != 0 || len(last.Verdicts) != 64 {
		t.Errorf("the last record accounts for %d decisions with %d missing and %d verdicts", Count(c), last.Missing, len(last.Verdicts))
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > MaxBytes {
		t.Errorf("%d bytes, at most %d", len(raw), MaxBytes)
	}
	for _, r := range c {
		limit := maxRecord
		if r.MoreVerdicts > 0 {
			limit = maxTrimmed
		}
		if one, _ := json.Marshal(r); len(one) > limit {
			t.Errorf("record %d has %d bytes, reckoned with %d", r.Seq, len(one), limit)
		}
	}
	if before := c[len(c)-2]; before.MoreVerdicts != 63 || len(before.Verdicts) != 1 {
		t.Errorf("the last but one has %d verdicts and %d more, want the worst alone", len(before.Verdicts), before.MoreVerdicts)
	}
	if err := Verify(c, Head(c)); err != nil {
		t.Error(err)
	}
}

// TestALostDecisionIsCounted: the numbers stay without gaps, and the record
// after a gap says how many decisions it is.
func TestALostDecisionIsCounted(t *testing.T) {
	c := chain(t, "a", "b")
	c, _ = appended(c, record("f"), 6, false)
	c, _ = appended(c, record("g"), 7, false)
	if c[2].Seq != 3 || c[2].Missing != 3 || c[3].Seq != 4 || c[3].Missing != 0 || Count(c) != 7 {
		t.Errorf("got %+v", c)
	}
	if err := Verify(c, Head(c)); err != nil {
		t.Error(err)
	}
}

// TestVerdictsAreKeptWhereTheyMatter: repeated outcomes are left out within a
// step; a new step, a new phase, another outcome and the end have them whole.
func TestVerdictsAreKeptWhereTheyMatter(t *testing.T) {
	sampled := func(r v1alpha1.DecisionRecord, samples string) v1alpha1.DecisionRecord {
		r.Verdicts[0].SamplesSHA256 = samples
		return r
	}
	with := func(change func(*v1alpha1.DecisionRecord)) v1alpha1.DecisionRecord {
		r := sampled(record("x"), "sha256:02")
		change(&r)
		return r
	}
	two := int32(2)
	tests := map[string]struct {
		next     v1alpha1.DecisionRecord
		terminal bool
		left     bool
	}{
		"newer samples": {next: sampled(record("x"), "sha256:02"), left: true},
		"new step":      {next: with(func(r *v1alpha1.DecisionRecord) { r.Step = &two })},
		"no step":       {next: with(func(r *v1alpha1.DecisionRecord) { r.Step = nil })},
		"new phase":     {next: with(func(r *v1alpha1.DecisionRecord) { r.Phase = v1alpha1.PhasePromoting })},
		"other outcome": {next: with(func(r *v1alpha1.DecisionRecord) { r.Verdicts[0].Outcome = v1alpha1.VerdictFail })},
		"other reason":  {next: with(func(r *v1alpha1.DecisionRecord) { r.Verdicts[0].Reason = "NoData" })},
		"one more":      {next: with(func(r *v1alpha1.DecisionRecord) { r.Verdicts = append(r.Verdicts, r.Verdicts[0]) })},
		"the end":       {next: record("x"), terminal: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := chain(t, "a", "b")
			c, err := appended(c, tc.next, 3, tc.terminal)
			if err != nil {
				t.Fatal(err)
			}
			last := c[2]
			if last.SameVerdicts != tc.left || (len(last.Verdicts) == 0) != tc.left {
				t.Errorf("sameVerdicts %v with %d verdicts, want left out: %v", last.SameVerdicts, len(last.Verdicts), tc.left)
			}
			if got := Verdicts(c); len(got) == 0 || got[0].Outcome != tc.next.Verdicts[0].Outcome || got[0].Reason != tc.next.Verdicts[0].Reason {
				t.Errorf("resolves to %+v", got)
			}
		})
	}
	c := chain(t, "a", "b")
	bare := record("x")
	bare.Verdicts = nil
	c, _ = appended(c, bare, 3, false)
	if c[2].SameVerdicts || len(Verdicts(c)) != 0 {
		t.Error("a record that rests on no verdicts borrows the ones before it")
	}
	if c, _ = appended(c, record("y"), 4, false); len(c[3].Verdicts) != 1 {
		t.Error("the first verdicts after a record without any were left out")
	}
}
