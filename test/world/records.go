package world

import (
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
)

// Record is a run's record as it grows, and the input of its newest decision.
type Record struct {
	Chain []v1alpha1.DecisionRecord
	end   *v1alpha1.RecordStatus
	input []byte
}

// Bytes is the record's size, as the controller bounds it.
func (r *Record) Bytes() int32 { return r.end.Bytes }

// KeepRecords makes the world keep the records of its runs, by the run's name.
func (w *World) KeepRecords() map[string]*Record {
	w.records = map[string]*Record{}
	return w.records
}

// recordDecision extends a run's record as the controller does, but writes it at once.
func (w *World) recordDecision(in plan.Input, t plan.Result) {
	run := t.Status.Run
	r := w.records[run]
	if r == nil {
		r = &Record{}
		w.records[run] = r
	}
	input, err := in.Canonical()
	if err != nil {
		w.broken("%v", err)
		return
	}
	entry := evidence.Entry{Record: *t.Record, Number: t.Status.Decision.Seq, Last: t.Finished != nil}
	if entry.Record.Input, err = evidence.Describe(plan.Version, r.input, input); err != nil {
		w.broken("%v", err)
		return
	}
	end, err := evidence.Extend(r.end, run, r.Chain, entry)
	if err != nil {
		w.broken("%v", err)
		return
	}
	r.Chain, r.input = evidence.With(r.Chain, run, end.Pending), input
	end.Pending = nil
	r.end = end
}
