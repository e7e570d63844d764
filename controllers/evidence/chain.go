// Package evidence keeps a run's decisions as an append-only hash chain, builds
// the run's pinned inputs, and says which runs are old enough to go. It decides
// nothing and talks to no API server.
//
// The chain shows tampering by tenants and by bugs. It does not protect against
// somebody who may rewrite every object in the cluster, nor show that its tail
// was cut off: for that, its head must be kept elsewhere.
package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"belay.dev/belay/api/v1alpha1"
)

// domain separates these hashes from any other use of SHA-256.
const domain = "belay.dev/run/v1\x00"

// Hash returns the hash of a record: SHA-256 over the domain, the previous
// record's hash and the record's canonical JSON without its own hash.
func Hash(record v1alpha1.DecisionRecord) (string, error) {
	record.Hash = ""
	canonical, err := canonicalJSON(record)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	sum.Write([]byte(domain))
	sum.Write([]byte(record.Prev))
	sum.Write([]byte{0})
	sum.Write(canonical)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// HashOf returns the SHA-256 over a value's canonical JSON, as sha256:hex.
func HashOf(v any) (string, error) {
	canonical, err := canonicalJSON(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

func canonicalJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode evidence: %w", err)
	}
	var generic any
	if err := json.Unmarshal(raw, &generic); err != nil {
		return nil, fmt.Errorf("normalise evidence: %w", err)
	}
	return json.Marshal(generic)
}

// MaxDecisions and MaxBytes bound a run's chain. The chain shares its object, and
// the 1.5 MiB that etcd takes of one, with the pinned inputs and the analysis.
const (
	MaxDecisions = 256
	MaxBytes     = 256 << 10
)

// maxRecord is more than a record takes that has all the API allows, and
// maxTrimmed more than one whose verdicts are trimmed.
const (
	maxRecord  = 48 << 10
	maxTrimmed = 12 << 10
)

// trimFrom is from how many bytes on a chain saves room for later decisions: of
// a record's verdicts it then keeps the worst alone.
const trimFrom = 96 << 10

// Full reports whether only the record that ends the run still has a place.
func Full(chain []v1alpha1.DecisionRecord) bool {
	return len(chain) >= MaxDecisions-1 || size(chain) > MaxBytes-maxRecord-maxTrimmed
}

// size is the chain's length in bytes; one that cannot be encoded counts as full.
func size(chain []v1alpha1.DecisionRecord) int {
	raw, err := json.Marshal(chain)
	if err != nil {
		return MaxBytes
	}
	return len(raw)
}

// Count is how many decisions a chain accounts for: its records, and those that
// a record says are missing before it.
func Count(chain []v1alpha1.DecisionRecord) int32 {
	n := int32(len(chain))
	for i := range chain {
		n += chain[i].Missing
	}
	return n
}

// Append returns the chain with one more record, the run's decision of this
// number, bound to the last one. Its verdicts come worst first. The records given
// are not changed. What the chain does not account for before it counts as missing.
// A full chain keeps its last place for the record that ends the run, and otherwise
// grows no further.
func Append(chain []v1alpha1.DecisionRecord, record v1alpha1.DecisionRecord, number int32, terminal bool) ([]v1alpha1.DecisionRecord, error) {
	if len(chain) >= MaxDecisions || !terminal && Full(chain) {
		return chain, nil
	}
	record.Seq, record.Prev, record.SameVerdicts, record.MoreVerdicts = 1, "", false, 0
	record.Missing = max(0, number-1-Count(chain))
	if n := len(chain); n > 0 {
		record.Seq, record.Prev = chain[n-1].Seq+1, chain[n-1].Hash
	}
	switch n := len(record.Verdicts); {
	case terminal || n == 0:
	case repeatsVerdicts(chain, record):
		record.Verdicts, record.SameVerdicts = nil, true
	case n > 1 && size(chain) > trimFrom:
		record.Verdicts, record.MoreVerdicts = record.Verdicts[:1], int32(n-1)
	}
	hash, err := Hash(record)
	if err != nil {
		return nil, err
	}
	record.Hash = hash
	return append(append([]v1alpha1.DecisionRecord{}, chain...), record), nil
}

// repeatsVerdicts reports whether a record's verdicts say what the newest record
// with verdicts says, within the same phase and step. Only the samples behind
// them may differ: those matter where a step or a phase ends.
func repeatsVerdicts(chain []v1alpha1.DecisionRecord, record v1alpha1.DecisionRecord) bool {
	if len(chain) == 0 {
		return false
	}
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

// Verdicts returns those of the last record: its own, or the ones it repeats.
func Verdicts(chain []v1alpha1.DecisionRecord) []v1alpha1.VerdictReference {
	for i := len(chain) - 1; i >= 0; i-- {
		if len(chain[i].Verdicts) > 0 || !chain[i].SameVerdicts {
			return chain[i].Verdicts
		}
	}
	return nil
}

// Verify checks the chain from its first record to the head: numbers without
// gaps, each bound to the one before, each hash its own.
func Verify(chain []v1alpha1.DecisionRecord, head *v1alpha1.ChainHead) error {
	prev := ""
	for i, record := range chain {
		if record.Seq != int32(i+1) {
			return fmt.Errorf("record %d has number %d: a record is missing, repeated or out of order", i+1, record.Seq)
		}
		if record.Prev != prev {
			return fmt.Errorf("record %d does not follow the record before it", record.Seq)
		}
		hash, err := Hash(record)
		if err != nil {
			return err
		}
		if hash != record.Hash {
			return fmt.Errorf("record %d was changed: its content does not have its hash", record.Seq)
		}
		prev = record.Hash
	}
	if head == nil {
		if len(chain) > 0 {
			return fmt.Errorf("the chain has %d records but no head", len(chain))
		}
		return nil
	}
	if int(head.Seq) != len(chain) || head.Hash != prev {
		return fmt.Errorf("the head names record %d, the chain ends at %d: its tail was cut or grown", head.Seq, len(chain))
	}
	return nil
}

// Head returns the head of a chain; nil for an empty one.
func Head(chain []v1alpha1.DecisionRecord) *v1alpha1.ChainHead {
	if len(chain) == 0 {
		return nil
	}
	last := chain[len(chain)-1]
	return &v1alpha1.ChainHead{Seq: last.Seq, Hash: last.Hash}
}
