package sim

import (
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/plan"
)

// runRecord is a run's record as it grows, and the input of its newest decision.
type runRecord struct {
	end   *v1alpha1.RecordStatus
	chain []v1alpha1.DecisionRecord
	input []byte
}

// recordDecision extends a run's record as the controller does, but writes it at once.
func (w *World) recordDecision(in plan.Input, t plan.Result) {
	run := t.Status.Run
	r := w.records[run]
	if r == nil {
		r = &runRecord{}
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
	end, err := evidence.Extend(r.end, run, r.chain, entry)
	if err != nil {
		w.broken("%v", err)
		return
	}
	r.chain, r.input = evidence.With(r.chain, run, end.Pending), input
	end.Pending = nil
	r.end = end
}
