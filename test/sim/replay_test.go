package sim

import (
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/replay"
	"belay.dev/belay/test/world"
)

// TestEveryRecordReplays makes every decision of every story again from the runs'
// records alone: each comes out as it was recorded.
func TestEveryRecordReplays(t *testing.T) {
	decisions, bytes, longest := 0, int32(0), int32(0)
	for _, s := range world.Stories() {
		w := s.Begin(1)
		records := w.KeepRecords()
		w.Run()
		for name, r := range records {
			run := &v1alpha1.RolloutRun{}
			run.Name, run.Status.Decisions, run.Status.Head = name, r.Chain, evidence.Head(r.Chain)
			made, err := replay.Run(run)
			if err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
			for i, d := range made {
				// A record beyond 96 KiB keeps only the digests of inputs.
				trimmed := s.Name == "sizes-never-rest" && r.Chain[i].Input.Form == v1alpha1.InputDigest && i > 80
				if d.Outcome != replay.Same && !trimmed {
					t.Errorf("%s, run %s, decision %d (%s): %s: %s", s.Name, name, d.Seq, d.Rule, d.Outcome, d.Message)
				}
			}
			decisions, bytes, longest = decisions+len(made), bytes+r.Bytes(), max(longest, r.Bytes())
		}
	}
	t.Logf("%d decisions of %d stories, %d bytes each on average, the longest record has %d", decisions, len(world.Stories()), bytes/int32(max(1, decisions)), longest)
	if decisions < 2000 {
		t.Errorf("only %d decisions were recorded", decisions)
	}
}

// TestAChangedRecordDoesNotReplay: whoever changes a decision, its input or the
// order in which they stand is found out.
func TestAChangedRecordDoesNotReplay(t *testing.T) {
	s := world.Stories()[0]
	w := s.Begin(1)
	records := w.KeepRecords()
	w.Run()
	var chain []v1alpha1.DecisionRecord
	for _, r := range records {
		chain = r.Chain
	}
	sealed := func(change func([]v1alpha1.DecisionRecord)) []v1alpha1.DecisionRecord {
		var out []v1alpha1.DecisionRecord
		for _, r := range chain {
			if r.Input != nil {
				input := *r.Input
				r.Input = &input
			}
			out = append(out, r)
		}
		change(out)
		return out
	}
	for name, tc := range map[string]struct {
		change  func([]v1alpha1.DecisionRecord)
		at      int
		outcome replay.Outcome
		because string
	}{
		"another rule":    {func(c []v1alpha1.DecisionRecord) { c[3].Rule = "Promoted" }, 3, replay.Differs, "rule: recorded is \"Promoted\""},
		"another reason":  {func(c []v1alpha1.DecisionRecord) { c[3].Why = "it was fine" }, 3, replay.Differs, "why: recorded is"},
		"another weight":  {func(c []v1alpha1.DecisionRecord) { c[3].Weight = &v1alpha1.WeightChange{To: 99} }, 3, replay.Differs, "weight: recorded is"},
		"another effect":  {func(c []v1alpha1.DecisionRecord) { c[3].Effect = "nothing at all" }, 3, replay.Differs, "effect: recorded is"},
		"another actor":   {func(c []v1alpha1.DecisionRecord) { c[3].Actor = "nobody" }, 3, replay.Differs, "actor: recorded is"},
		"another input":   {func(c []v1alpha1.DecisionRecord) { c[3].Input.Change = `{"Now":"2026-11-24T12:00:00Z"}` }, 3, replay.NotComparable, "has the digest"},
		"no input":        {func(c []v1alpha1.DecisionRecord) { c[3].Input = nil }, 3, replay.NotComparable, "does not have the input"},
		"after no input":  {func(c []v1alpha1.DecisionRecord) { c[3].Input = nil }, 4, replay.NotComparable, "is not known"},
		"another planner": {func(c []v1alpha1.DecisionRecord) { c[3].Input.Planner = 1 }, 3, replay.NotComparable, "version 1 of the rules decided"},
	} {
		made := replay.Records(sealed(tc.change))
		if d := made[tc.at]; d.Outcome != tc.outcome || !strings.Contains(d.Message, tc.because) {
			t.Errorf("%s: %s: %s", name, d.Outcome, d.Message)
		}
		if made[2].Outcome != replay.Same {
			t.Errorf("%s: the decision before it is %s: %s", name, made[2].Outcome, made[2].Message)
		}
	}
	run := &v1alpha1.RolloutRun{}
	run.Status.Decisions = sealed(func(c []v1alpha1.DecisionRecord) { c[3].Why = "it was fine" })
	run.Status.Head = evidence.Head(run.Status.Decisions)
	if _, err := replay.Run(run); err == nil || !strings.Contains(err.Error(), "record 4 was changed") {
		t.Errorf("a record with a false hash is replayed: %v", err)
	}
}
