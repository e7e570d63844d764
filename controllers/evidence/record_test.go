package evidence

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

func extend(t *testing.T, end *v1alpha1.RecordStatus, run string, e Entry) *v1alpha1.RecordStatus {
	t.Helper()
	next, err := Extend(end, run, nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// TestDecisionsWaitAndVerify: what waits in the status is bound as the run will
// hold it, whatever the run holds by then.
func TestDecisionsWaitAndVerify(t *testing.T) {
	var end *v1alpha1.RecordStatus
	for n, rule := range []string{"a", "b", "c", "d"} {
		end = extend(t, end, run, Entry{Record: record(rule), Number: int32(n) + 1})
	}
	for written := range 5 {
		held := With(nil, run, end.Pending)[:written]
		whole := With(held, run, end.Pending)
		if err := Verify(whole, &v1alpha1.ChainHead{Seq: end.Seq, Hash: end.Hash}); err != nil || len(whole) != 4 {
			t.Errorf("%d records after %d were written: %v", len(whole), written, err)
		}
		runs := []v1alpha1.RolloutRun{{ObjectMeta: metav1.ObjectMeta{Name: run}}}
		runs[0].Status.Decisions = held
		if left := Unwritten(end.Pending, runs); len(left) != 4-written {
			t.Errorf("%d wait after %d were written", len(left), written)
		}
	}
	if left := Unwritten(end.Pending, nil); len(left) != 4 {
		t.Errorf("%d wait for a run that is not there yet", len(left))
	}
	raw := With(nil, run, end.Pending)
	if got := EndOf(run, raw, nil); got.Bytes != end.Bytes || got.Decisions != end.Decisions {
		t.Errorf("the record ends at %d bytes and %d decisions, it has %d and %d", end.Bytes, end.Decisions, got.Bytes, got.Decisions)
	}
}

// TestAnotherRunBeginsAnotherRecord and keeps what waits for the one before.
func TestAnotherRunBeginsAnotherRecord(t *testing.T) {
	end := extend(t, nil, run, Entry{Record: record("a"), Number: 1})
	end = extend(t, end, "shop-2", Entry{Record: record("b"), Number: 1})
	if end.Run != "shop-2" || end.Seq != 1 || end.Decisions != 1 || len(end.Pending) != 2 {
		t.Fatalf("got %+v", end)
	}
	for _, name := range []string{run, "shop-2"} {
		one := With(nil, name, end.Pending)
		if err := Verify(one, Head(one)); err != nil || len(one) != 1 {
			t.Errorf("%s has %d records: %v", name, len(one), err)
		}
	}
}

// TestARecordGoesOnWhereTheRunEnds, whoever wrote it so far: nothing is lost, and
// what waits for another run stays.
func TestARecordGoesOnWhereTheRunEnds(t *testing.T) {
	held := chain(t, "a", "b", "c")
	before := extend(t, nil, "shop-2", Entry{Record: record("x"), Number: 1})
	end := EndOf(run, held, before)
	end = extend(t, end, run, Entry{Record: record("d"), Number: 4})
	whole := With(held, run, end.Pending)
	if err := Verify(whole, &v1alpha1.ChainHead{Seq: end.Seq, Hash: end.Hash}); err != nil || len(whole) != 4 || whole[3].Missing != 0 {
		t.Errorf("%d records, the last misses %d: %v", len(whole), whole[len(whole)-1].Missing, err)
	}
	if other := With(nil, "shop-2", end.Pending); len(other) != 1 {
		t.Errorf("%d decisions wait for the other run", len(other))
	}
}

// TestVerdictsStayWithoutTheRecordBefore: only a record known to its end says that
// the verdicts are the same.
func TestVerdictsStayWithoutTheRecordBefore(t *testing.T) {
	end := extend(t, nil, run, Entry{Record: record("a"), Number: 1})
	known := With(nil, run, end.Pending)
	for name, tc := range map[string]struct {
		known []v1alpha1.DecisionRecord
		same  bool
	}{"known": {known, true}, "nothing": {nil, false}, "another end": {chain(t, "z"), false}} {
		next, err := Extend(end, run, tc.known, Entry{Record: record("b"), Number: 2})
		if err != nil {
			t.Fatal(err)
		}
		if got := next.Pending[1].Decision; got.SameVerdicts != tc.same || (len(got.Verdicts) == 0) != tc.same {
			t.Errorf("%s: sameVerdicts %v with %d verdicts", name, got.SameVerdicts, len(got.Verdicts))
		}
	}
}

// TestWhatWaitsIsBounded: waits go first, what changes something later, the end of
// the run never.
func TestWhatWaitsIsBounded(t *testing.T) {
	wait, does := record("wait"), record("does")
	wait.Effect, wait.Actor = "", ""
	does.Input = &v1alpha1.RecordedInput{SHA256: "sha256:00", Form: v1alpha1.InputWhole, Change: strings.Repeat("c", 2000)}
	var end *v1alpha1.RecordStatus
	number := int32(0)
	add := func(r v1alpha1.DecisionRecord, last bool) int {
		number++
		end = extend(t, end, run, Entry{Record: r, Number: number, Last: last})
		return len(end.Pending)
	}
	for range 3 * maxPending {
		add(wait, false)
	}
	if n := add(wait, false); n != maxWaits {
		t.Errorf("%d waits, at most %d", n, maxWaits)
	}
	command, three := wait, int32(3)
	command.Actor = "ann"
	if n := add(command, false); n != maxWaits+1 {
		t.Errorf("%d decisions wait: a command is no wait", n)
	}
	wait.Step = &three
	if n := add(wait, false); n != maxWaits+2 {
		t.Errorf("%d decisions wait: the end of a step is no wait", n)
	}
	for range 3 * maxPending {
		add(does, false)
	}
	if n := add(does, false); n != maxPending-1 {
		t.Errorf("%d decisions wait, one place is for the end", n)
	}
	if n := add(does, true); n != maxPending || end.Decisions != number {
		t.Errorf("%d wait, the record accounts for %d of %d", n, end.Decisions, number)
	}
	if kept := end.Pending[maxPending-1].Decision.Input; kept.SHA256 == "" || kept.Change != "" || kept.Form != v1alpha1.InputDigest || does.Input.Change == "" {
		t.Errorf("a full status keeps %d bytes of an input", len(kept.Change))
	}
	if bytes := pendingBytes(end.Pending); bytes > MaxStatusBytes*3/4 {
		t.Errorf("%d bytes wait", bytes)
	}
	all := With(nil, run, end.Pending)
	if err := Verify(all, Head(all)); err != nil {
		t.Error(err)
	}
}

// TestDecisionsAreWrittenInBatches: at the end of a step, of a phase and of a run,
// and before they are many.
func TestDecisionsAreWrittenInBatches(t *testing.T) {
	two := int32(2)
	stepping := &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Run: run}
	pending := func(n int, change func(*v1alpha1.PendingDecision)) []v1alpha1.PendingDecision {
		var out []v1alpha1.PendingDecision
		for range n {
			out = append(out, v1alpha1.PendingDecision{Run: run, Decision: record("a")})
		}
		if change != nil {
			change(&out[n-1])
		}
		return out
	}
	for name, tc := range map[string]struct {
		status  *v1alpha1.RolloutStatus
		pending []v1alpha1.PendingDecision
		due     bool
	}{
		"nothing":        {stepping, nil, false},
		"within a step":  {stepping, pending(3, nil), false},
		"the next step":  {stepping, pending(2, func(p *v1alpha1.PendingDecision) { p.Decision.Step = &two }), true},
		"the next phase": {stepping, pending(2, func(p *v1alpha1.PendingDecision) { p.Decision.Phase = v1alpha1.PhasePromoting }), true},
		"many":           {stepping, pending(maxBatch, nil), true},
		"another run":    {&v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStepping, Run: "shop-2"}, pending(1, nil), true},
		"the end":        {&v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Run: run}, pending(1, nil), true},
	} {
		if got := Due(tc.status, tc.pending); got != tc.due {
			t.Errorf("%s: due %v", name, got)
		}
	}
}

// TestInputsAreRebuilt from their differences, and only as they were.
func TestInputsAreRebuilt(t *testing.T) {
	inputs := []string{`{"A":1,"B":{"C":"<&>","D":[1,2]}}`, `{"A":2,"B":{"D":[2]}}`, `{"A":2,"B":{"D":[2]},"E":"é"}`}
	var before []byte
	var kept []*v1alpha1.RecordedInput
	for _, text := range inputs {
		input := canonical(t, text)
		r, err := Describe(2, before, input)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Rebuild(before, r)
		if err != nil || string(got) != string(input) {
			t.Errorf("%s became %s: %v", input, got, err)
		}
		kept, before = append(kept, r), input
	}
	if kept[2].Form != v1alpha1.InputDifference || kept[2].Change != `{"E":"é"}` {
		t.Errorf("the difference is %s", kept[2].Change)
	}
	for name, tc := range map[string]struct {
		before  []byte
		r       *v1alpha1.RecordedInput
		because string
	}{
		"none":               {before, nil, "does not have the input"},
		"no room":            {before, &v1alpha1.RecordedInput{SHA256: "sha256:00", Form: v1alpha1.InputDigest}, "only its digest: no more is kept from 96 KiB of decisions on, while 20 KiB wait to be written, and of one beyond 16 KiB"},
		"nothing before":     {nil, kept[1], "is not known"},
		"another one before": {canonical(t, `{"A":7,"F":1}`), kept[1], "has the digest"},
	} {
		if _, err := Rebuild(tc.before, tc.r); err == nil || !strings.Contains(err.Error(), tc.because) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long, err := Describe(2, nil, canonical(t, fmt.Sprintf(`{"A":%q}`, strings.Repeat("a", maxChange))))
	if err != nil || long.Change != "" || long.Form != v1alpha1.InputDigest || long.SHA256 == "" {
		t.Errorf("a long input is kept as %d bytes, form %s: %v", len(long.Change), long.Form, err)
	}
}

func canonical(t *testing.T, text string) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	raw, err := canonicalJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestWaitsLeaveRoomForCommands: two triggers that are unknown in turn for days do not keep the
// approval, and the end of the step, out of the record.
func TestWaitsLeaveRoomForCommands(t *testing.T) {
	first, second := int32(0), int32(1)
	var end *v1alpha1.RecordStatus
	var known []v1alpha1.DecisionRecord
	number := int32(0)
	add := func(r v1alpha1.DecisionRecord) bool {
		number++
		r.Phase = v1alpha1.PhaseStepping
		next, err := Extend(end, run, known, Entry{Record: r, Number: number})
		if err != nil {
			t.Fatal(err)
		}
		end = next
		had := len(known)
		known = With(known, run, end.Pending)
		end.Pending = nil
		return len(known) > had
	}
	for range 2 * MaxDecisions {
		add(v1alpha1.DecisionRecord{Rule: "StepUndecided", Step: &first})
	}
	if want := MaxDecisions - reserved; len(known) != want {
		t.Errorf("%d waits are recorded, want %d", len(known), want)
	}
	for _, r := range []v1alpha1.DecisionRecord{{Rule: "ApproveRequested", Actor: "ann", Step: &first}, {Rule: "StepPassed", Step: &second}} {
		if !add(r) {
			t.Errorf("%s is not recorded", r.Rule)
		}
	}
	if Count(known) != number {
		t.Errorf("the record accounts for %d of %d decisions", Count(known), number)
	}
}
