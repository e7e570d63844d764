package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
)

// ofRecord tells writes of the run's record from all others.
func ofRecord(write string) bool { return strings.HasPrefix(write, "run's status") }

// TestRollbackNeedsNoRecord: from the moment that a candidate fails, its record
// cannot be written. The rollback is carried out all the same, and when the
// record can be written again it lacks nothing: the status has kept it.
func TestRollbackNeedsNoRecord(t *testing.T) {
	s := open(t)
	s.release(better)
	s.fails = atWeight
	s.until("at its weight", atWeight)
	s.api.faulty = func(_ int, write string) fault {
		if ofRecord(write) {
			return refused
		}
		return none
	}
	r := s.until("rolled back", ended(better))
	last := r.Status.Decision
	if last.Rule != "RollbackDone" {
		t.Fatalf("the last decision is %+v", last)
	}
	for range 3 {
		s.must(s.look())
	}
	if r = s.rollout(); r.Status.Record == nil || r.Status.Record.Decisions != last.Seq {
		t.Errorf("the status keeps %+v, %d decisions were taken", r.Status.Record, last.Seq)
	}
	if run := s.run(r.Status.Run); run.Status.Outcome != "" {
		t.Fatalf("the record was written: %+v", run.Status)
	}
	s.api.forget()
	expect(t, s.settle(better, good), append(isServed, "phase RolledBack, stable BEFORE", `run RolledBack "shop/errors", labelled RolledBack`, ": RunStarts SplitsRoute", "TriggerFired RollbackTakesTraffic", " RollbackDone\n")...)
	run := s.run(r.Status.Run)
	if got := len(run.Status.Decisions); got != int(last.Seq) {
		t.Errorf("the record has %d decisions, %d were taken", got, last.Seq)
	}
	s.until("tidy", func(r *v1alpha1.Rollout) bool { return len(r.Status.Record.Pending) == 0 })
}

// TestWhatCannotBeExplainedDoesNotShip: while the record cannot be written, the
// candidate gets no further than the step whose decisions the status keeps; then the
// release goes on.
func TestWhatCannotBeExplainedDoesNotShip(t *testing.T) {
	s := open(t)
	s.release(better)
	s.until("at its weight", atWeight)
	s.api.faulty = func(_ int, write string) fault {
		if ofRecord(write) {
			return refused
		}
		return none
	}
	s.until("past its step", inPhase(v1alpha1.PhasePromoting))
	s.api.forgetWrites()
	refusals := 0
	for range 12 {
		if err := s.look(); err != nil {
			refusals++
		}
	}
	if refusals == 0 {
		t.Errorf("looks without their record said nothing, after %q", s.api.writes)
	}
	for _, write := range s.api.writes {
		if strings.Contains(write, "HTTPRoute") || strings.Contains(write, "ReplicaSet") {
			t.Errorf("the candidate got more: %s", write)
		}
	}
	s.api.faulty = nil
	s.until("promoted", ended(better))
	expect(t, s.settle(better, good), append(isServed, `labelled Promoted: RunStarts SplitsRoute`)...)
}

// TestDeletionWaitsForItsRecordAtTheEnd: a deleted Rollout takes its traffic
// back without a record, and stays until the record says how it ended.
func TestDeletionWaitsForItsRecordAtTheEnd(t *testing.T) {
	s := open(t)
	s.release(better)
	run := s.until("at its weight", atWeight).Status.Run
	s.must(admin.Delete(t.Context(), s.rollout()))
	s.api.faulty = func(_ int, write string) fault {
		if ofRecord(write) {
			return refused
		}
		return none
	}
	s.until("released", func(r *v1alpha1.Rollout) bool { return r.Status.Decision.Rule == "DeletingReleasesRoute" })
	for range 3 {
		_ = s.look()
	}
	if r := s.rollout(); r.UID == "" {
		t.Fatal("the Rollout went without a word about how its run ended")
	}
	s.api.forget()
	s.until("gone", func(r *v1alpha1.Rollout) bool { return r.UID == "" })
	expect(t, s.evidenceOf(run), `run Cancelled "", labelled Cancelled`, "Released")
}

// TestALargeRunIsRecordedToItsEnd: with as many triggers as a run can hold, under
// the longest names, the record is whole.
func TestALargeRunIsRecordedToItsEnd(t *testing.T) {
	s := open(t)
	var triggers []string
	for i := range 15 {
		triggers = append(triggers, fmt.Sprintf("{name: %s-%02d, pods: {}}", strings.Repeat("t", 60), i))
	}
	r := s.rollout()
	for i := range 4 {
		name := fmt.Sprintf("%s-%d", strings.Repeat("g", 61), i)
		create(t, object(t, fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Guardrail, metadata: {name: %s, namespace: %s}, spec: {source: shops, triggers: [%s]}}`,
			name, s.namespace, strings.Join(triggers, ", "))))
		r.Spec.Guardrails = append(r.Spec.Guardrails, v1alpha1.GuardrailRef{Kind: "Guardrail", Name: name})
	}
	for i := range int32(7) {
		r.Spec.Steps = append(r.Spec.Steps, v1alpha1.Step{Weight: 51 + i})
	}
	s.must(admin.Update(t.Context(), r))
	s.release(better)
	run := s.until("promoted", ended(better)).Status.Run
	expect(t, s.settle(better, good), append(isServed, `labelled Promoted: RunStarts`, " Promoted\n")...)
	decisions := s.run(run).Status.Decisions
	raw, err := json.Marshal(decisions)
	s.must(err)
	trimmed := slices.IndexFunc(decisions, func(d v1alpha1.DecisionRecord) bool { return d.MoreVerdicts > 0 })
	if missing := evidence.Count(decisions) - int32(len(decisions)); trimmed < 0 || missing != 0 {
		t.Errorf("%d decisions are missing, the first with trimmed verdicts is at %d of %d: is the run large?", missing, trimmed, len(decisions))
	}
	// The handover is the last decision that waits for its record, however long that takes.
	at := slices.IndexFunc(decisions, func(d v1alpha1.DecisionRecord) bool { return d.Rule == "BakePassed" })
	if d := decisions[at]; len(raw) > evidence.MaxBytes || !d.SameVerdicts && int32(len(d.Verdicts))+d.MoreVerdicts != 62 {
		t.Errorf("%d bytes, and the handover rests on %d verdicts and %d more", len(raw), len(d.Verdicts), d.MoreVerdicts)
	}
}
