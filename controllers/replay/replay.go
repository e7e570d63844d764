// Package replay computes a run's decisions again from its record, and compares them
// with the recorded ones. It reads only the RolloutRun: no cluster, clock or source.
package replay

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
)

// Outcome is the result of replaying one decision.
type Outcome string

const (
	// Same means: the recorded input gives the recorded decision.
	Same Outcome = "Same"
	// Differs means: the recorded input gives another decision. The record was changed, or the
	// planner is not the one that decided.
	Differs Outcome = "Differs"
	// NotComparable means: the decision cannot be replayed. Another version of the planner made
	// it, or its input was not kept.
	NotComparable Outcome = "NotComparable"
)

// Decision is the result for one recorded decision.
type Decision struct {
	// Seq is its number in the run's record, from 1; Rule is the recorded rule.
	Seq     int32
	Rule    string
	Outcome Outcome
	// Message says what differs, or why the decision is not comparable; empty for Same.
	Message string
	// Finished is how the decision ends the run; nil when it does not, or is not Same.
	Finished *v1alpha1.HistoryEntry
}

// Run verifies the run's record and replays its decisions in order. An error means that
// the hash chain does not verify, so that nothing in the record can be trusted.
func Run(run *v1alpha1.RolloutRun) ([]Decision, error) {
	if err := evidence.Verify(run.Status.Decisions, run.Status.Head); err != nil {
		return nil, fmt.Errorf("the record of run %s does not verify: %w", run.Name, err)
	}
	return Records(run.Status.Decisions), nil
}

// Records replays the decisions of a record, which must begin with the first one.
func Records(records []v1alpha1.DecisionRecord) []Decision {
	var input []byte
	out := make([]Decision, 0, len(records))
	for i := range records {
		var d Decision
		d, input = again(records[:i+1], input)
		out = append(out, d)
	}
	return out
}

// again replays the last decision of a record. before is the input of the decision
// before it. It also returns the decision's own input, or nil when that is not known.
func again(records []v1alpha1.DecisionRecord, before []byte) (Decision, []byte) {
	r := records[len(records)-1]
	d := Decision{Seq: r.Seq, Rule: r.Rule, Outcome: NotComparable}
	input, err := evidence.Rebuild(before, r.Input)
	if err != nil {
		d.Message = err.Error()
		return d, nil
	}
	if r.Input.Planner != plan.Version {
		d.Message = fmt.Sprintf("version %d of the rules decided, this is version %d", r.Input.Planner, plan.Version)
		return d, input
	}
	in, err := plan.Read(input)
	if err != nil {
		d.Message = err.Error()
		return d, input
	}
	result := plan.Transition(in)
	d.Outcome, d.Finished = Same, result.Finished
	if d.Message = difference(records, result.Record); d.Message != "" {
		d.Outcome, d.Finished = Differs, nil
	}
	return d, input
}

// difference names the first field in which the last record differs from the replayed
// decision; empty when there is none.
func difference(records []v1alpha1.DecisionRecord, got *v1alpha1.DecisionRecord) string {
	want := records[len(records)-1]
	if got == nil {
		return fmt.Sprintf("recorded is %s, but replayed the input gives no new decision", want.Rule)
	}
	if want.SameVerdicts || want.MoreVerdicts > 0 {
		// Verdicts that the record left out are not compared.
		want.Verdicts = evidence.Verdicts(records)
		got.Verdicts = asKept(got.Verdicts, want)
	}
	want.Seq, want.Prev, want.Hash, want.Missing, want.Input = 0, "", "", 0, nil
	want.SameVerdicts, want.MoreVerdicts = false, 0
	recorded, made := fields(want), fields(*got)
	either := maps.Clone(recorded)
	maps.Copy(either, made)
	for _, name := range slices.Sorted(maps.Keys(either)) {
		if recorded[name] != made[name] {
			return fmt.Sprintf("%s: recorded is %s, replayed it is %s", name, orNothing(recorded[name]), orNothing(made[name]))
		}
	}
	return ""
}

// asKept reduces verdicts to what the record kept: only the worst one in a long record,
// and the older samples where nothing else changed.
func asKept(verdicts []v1alpha1.VerdictReference, kept v1alpha1.DecisionRecord) []v1alpha1.VerdictReference {
	out := slices.Clone(verdicts)
	if kept.MoreVerdicts > 0 && len(out) > len(kept.Verdicts) {
		return out[:len(kept.Verdicts)]
	}
	if len(out) != len(kept.Verdicts) {
		return out
	}
	for i := range out {
		out[i].SamplesSHA256 = kept.Verdicts[i].SamplesSHA256
	}
	return out
}

func fields(r v1alpha1.DecisionRecord) map[string]string {
	out := map[string]string{}
	raw, err := json.Marshal(r)
	if err != nil {
		return map[string]string{"record": err.Error()}
	}
	var each map[string]json.RawMessage
	if err := json.Unmarshal(raw, &each); err != nil {
		return map[string]string{"record": err.Error()}
	}
	for name, value := range each {
		out[name] = string(value)
	}
	return out
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
