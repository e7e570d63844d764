package evidence

import (
	"encoding/json"
	"fmt"
	"slices"

	"belay.dev/belay/api/v1alpha1"
)

// MaxDecisions and MaxBytes bound a run's record. It shares its object, and etcd's limit
// of 1.5 MiB, with the pinned inputs and the analysis.
const (
	MaxDecisions = 256
	MaxBytes     = 256 << 10
)

// maxRecord is more than the largest decision that the API allows, and maxTrimmed more
// than the largest one that is trimmed.
const (
	maxRecord  = 64 << 10
	maxTrimmed = 12 << 10
)

// trimFrom is the size in bytes from which a record keeps less of each decision: only
// the worst of its verdicts, and only the digest of its input.
const trimFrom = 96 << 10

// Bounds of the pending decisions in a Rollout's status, which may have 64 KiB in all.
// Waits are not recorded beyond maxWaits; maxPending is the limit of the API.
const (
	maxPending      = 32
	maxWaits        = 20
	maxPendingBytes = 20 << 10
)

// Full reports whether the record only has room for the decision that ends the run.
func Full(end *v1alpha1.RecordStatus) bool { return fullBut(end, 1, maxTrimmed) }

// Places and bytes that waits of one step or phase leave: commands, and what ends a step, are
// in the record of a run that has waited for long.
const (
	reserved      = 64
	reservedBytes = 5 * maxTrimmed
)

// fullBut reports whether the record has no room but these places and bytes, beside the bytes
// of the decision that is added.
func fullBut(end *v1alpha1.RecordStatus, places, bytes int32) bool {
	return end.Seq >= MaxDecisions-places || end.Bytes > MaxBytes-maxRecord-bytes
}

// Entry is a decision that is to be recorded.
type Entry struct {
	Record v1alpha1.DecisionRecord
	// Number of the decision in its run, from 1. Decisions before it that are not in the
	// record count as missing.
	Number int32
	// Last means that it ends the run: there is always room for it.
	Last bool
}

// Extend returns the end of a record with one more decision, which has the hash of the
// one before and is pending until the RolloutRun has it. The entry's verdicts must be
// sorted worst first. When end is another run's, or nil for the first run, a new record
// begins. known is the record so far; when it does not reach to the end, the decision is
// recorded without leaving anything out. The arguments are not changed. A full record
// keeps its last place for the decision that ends the run, and gets no other.
func Extend(end *v1alpha1.RecordStatus, run string, known []v1alpha1.DecisionRecord, e Entry) (*v1alpha1.RecordStatus, error) {
	next := &v1alpha1.RecordStatus{Run: run}
	if end != nil {
		next.Pending = slices.Clone(end.Pending)
		if end.Run == run {
			next.Seq, next.Hash, next.Decisions, next.Bytes = end.Seq, end.Hash, end.Decisions, end.Bytes
		}
	}
	if !hasRoom(next, e, waits(next, known, e)) {
		return next, nil
	}
	r := e.Record
	r.Seq, r.Prev, r.SameVerdicts, r.MoreVerdicts = next.Seq+1, next.Hash, false, 0
	r.Missing = max(0, e.Number-1-next.Decisions)
	trim(&r, next, known, e.Last)
	hash, err := Hash(r)
	if err != nil {
		return nil, err
	}
	r.Hash = hash
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a decision: %w", err)
	}
	next.Seq, next.Hash, next.Decisions, next.Bytes = r.Seq, hash, next.Decisions+r.Missing+1, next.Bytes+int32(len(raw))+1
	next.Pending = append(next.Pending, v1alpha1.PendingDecision{Run: run, Decision: r})
	return next, nil
}

// waits reports whether a decision only waits on, in the step and phase of the newest in the
// record, and is no answer to a command. Where the newest is not known it is none.
func waits(end *v1alpha1.RecordStatus, known []v1alpha1.DecisionRecord, e Entry) bool {
	var newest *v1alpha1.DecisionRecord
	if n := len(known); n > 0 {
		newest = &known[n-1]
	}
	if n := len(end.Pending); n > 0 && end.Pending[n-1].Run == end.Run {
		newest = &end.Pending[n-1].Decision
	}
	if newest == nil || newest.Hash != end.Hash || e.Last {
		return false
	}
	return e.Record.Effect == "" && e.Record.Actor == "" && newest.Phase == e.Record.Phase && equalStep(newest.Step, e.Record.Step)
}

// hasRoom refuses waits first, among the pending decisions and in the record: one may be
// missing there.
func hasRoom(end *v1alpha1.RecordStatus, e Entry, wait bool) bool {
	pending := len(end.Pending)
	switch {
	case wait:
		return pending < maxWaits && !fullBut(end, reserved, reservedBytes)
	case e.Last:
		return pending < maxPending && end.Seq < MaxDecisions
	default:
		return pending < maxPending-1 && !Full(end)
	}
}

func trim(r *v1alpha1.DecisionRecord, end *v1alpha1.RecordStatus, known []v1alpha1.DecisionRecord, last bool) {
	full := pendingBytes(end.Pending) > maxPendingBytes
	long := end.Bytes > trimFrom || full
	if r.Input != nil && long {
		input := *r.Input
		input.Change, input.Form = "", v1alpha1.InputDigest
		r.Input = &input
	}
	complete := len(known) > 0 && known[len(known)-1].Hash == end.Hash
	switch n := len(r.Verdicts); {
	case n == 0 || last && !full:
	case complete && !last && repeatsVerdicts(known, *r):
		r.Verdicts, r.SameVerdicts = nil, true
	case n > 1 && long:
		r.Verdicts, r.MoreVerdicts = r.Verdicts[:1], int32(n-1)
	}
}

func pendingBytes(pending []v1alpha1.PendingDecision) int {
	raw, err := json.Marshal(pending)
	if err != nil {
		return maxPendingBytes + 1
	}
	return len(raw)
}

// repeatsVerdicts reports whether a decision's verdicts are those of the newest record
// with verdicts, within the same phase and step. Only their samples may differ: those
// matter at the end of a step or a phase.
func repeatsVerdicts(chain []v1alpha1.DecisionRecord, record v1alpha1.DecisionRecord) bool {
	last := chain[len(chain)-1]
	if last.Phase != record.Phase || !equalStep(last.Step, record.Step) {
		return false
	}
	return slices.EqualFunc(Verdicts(chain), record.Verdicts, func(a, b v1alpha1.VerdictReference) bool {
		a.SamplesSHA256, b.SamplesSHA256 = "", ""
		return a == b
	})
}

func equalStep(a, b *int32) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// EndOf returns the end of a run's record that consists of chain, with the pending
// decisions of other runs in before, which may be nil.
func EndOf(run string, chain []v1alpha1.DecisionRecord, before *v1alpha1.RecordStatus) *v1alpha1.RecordStatus {
	end := &v1alpha1.RecordStatus{Run: run, Decisions: Count(chain)}
	if head := Head(chain); head != nil {
		end.Seq, end.Hash = head.Seq, head.Hash
	}
	for i := range chain {
		raw, err := json.Marshal(chain[i])
		if err != nil {
			raw = make([]byte, maxRecord)
		}
		end.Bytes += int32(len(raw)) + 1
	}
	if before != nil {
		for _, p := range before.Pending {
			if p.Run != run {
				end.Pending = append(end.Pending, p)
			}
		}
	}
	return end
}

// With returns a run's record and the pending decisions of the run that follow its last
// one.
func With(chain []v1alpha1.DecisionRecord, run string, pending []v1alpha1.PendingDecision) []v1alpha1.DecisionRecord {
	whole := slices.Clone(chain)
	seq, hash := lastOf(chain)
	for _, p := range pending {
		if d := p.Decision; p.Run == run && d.Seq == seq+1 && d.Prev == hash {
			whole, seq, hash = append(whole, d), d.Seq, d.Hash
		}
	}
	return whole
}

func lastOf(chain []v1alpha1.DecisionRecord) (seq int32, hash string) {
	if head := Head(chain); head != nil {
		return head.Seq, head.Hash
	}
	return 0, ""
}

// Follows reports whether the end of a run's record in a status fits the run: the
// pending decisions follow the run's last one, or there are none and both have the same
// last one. It does not fit when another version of Belay began the run, when the status
// was restored from a backup, or when a refused status lost its pending decisions.
func Follows(end *v1alpha1.RecordStatus, run string, chain []v1alpha1.DecisionRecord) bool {
	if end == nil || end.Run != run {
		return len(chain) == 0
	}
	whole := With(chain, run, end.Pending)
	_, hash := lastOf(whole)
	return hash == end.Hash
}

// Unwritten returns the pending decisions that are not in the runs' records yet,
// including those of a run that is not among runs.
func Unwritten(pending []v1alpha1.PendingDecision, runs []v1alpha1.RolloutRun) []v1alpha1.PendingDecision {
	written := map[string]int32{}
	for i := range runs {
		written[runs[i].Name], _ = lastOf(runs[i].Status.Decisions)
	}
	var left []v1alpha1.PendingDecision
	for _, p := range pending {
		if p.Decision.Seq > written[p.Run] {
			left = append(left, p)
		}
	}
	return left
}

// maxBatch and maxBatchBytes are how many decisions may be pending before they are
// written to the run in the middle of a step.
const (
	maxBatch      = 12
	maxBatchBytes = 12 << 10
)

// Due reports whether the unwritten decisions go to the run now: at the end of a
// step, when the promotion or a rollback begins, when no run is in progress, and when
// many wait.
func Due(status *v1alpha1.RolloutStatus, unwritten []v1alpha1.PendingDecision) bool {
	if len(unwritten) == 0 {
		return false
	}
	first, newest := unwritten[0], unwritten[len(unwritten)-1].Decision
	if !status.Phase.InRun() || len(unwritten) >= maxBatch || pendingBytes(unwritten) > maxBatchBytes || first.Run != status.Run {
		return true
	}
	return promotes(first.Decision.Phase) != promotes(newest.Phase) || first.Decision.Phase != newest.Phase && !promotes(newest.Phase) ||
		!equalStep(first.Decision.Step, newest.Step)
}

// promotes holds for the phases in which the candidate has everything, or gets it.
func promotes(p v1alpha1.Phase) bool {
	return p == v1alpha1.PhasePromoting || p == v1alpha1.PhaseBaking || p == v1alpha1.PhaseHandingOver
}
