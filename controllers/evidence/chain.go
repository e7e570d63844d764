// Package evidence keeps a run's decisions as an append-only hash chain, builds the
// run's pinned inputs, and selects the runs that are old enough to be deleted. It
// decides nothing and uses no API server.
//
// The chain shows changes by tenants and by bugs. It does not protect against somebody
// who may rewrite every object in the cluster, and does not show that records at its
// end were removed: for that, its head must be stored elsewhere.
package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"belay.dev/belay/api/v1alpha1"
)

// domain keeps these hashes different from any other use of SHA-256.
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
	return Digest(canonical), nil
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

// Count is the number of a chain's decisions: its records, and those that a record
// counts as missing before it.
func Count(chain []v1alpha1.DecisionRecord) int32 {
	n := int32(len(chain))
	for i := range chain {
		n += chain[i].Missing
	}
	return n
}

// Verdicts returns the verdicts of the last record: its own, or those of the record
// that it refers to.
func Verdicts(chain []v1alpha1.DecisionRecord) []v1alpha1.VerdictReference {
	for i := len(chain) - 1; i >= 0; i-- {
		if len(chain[i].Verdicts) > 0 || !chain[i].SameVerdicts {
			return chain[i].Verdicts
		}
	}
	return nil
}

// Break is the first place where a chain does not verify.
type Break struct {
	// Record is the number of the record that its place in the chain asks for, from 1.
	Record int32
	// What is wrong, in a sentence without the values.
	What string
	// Expected is the number or hash that a whole chain has there; Found is what stands there.
	Expected, Found string
}

func (b *Break) Error() string { return b.What }

// Verify checks the chain from its first record to the head: the numbers have no gaps,
// each record has the hash of the one before, and each hash is the one of its content. The
// error is a *Break.
func Verify(chain []v1alpha1.DecisionRecord, head *v1alpha1.ChainHead) error {
	prev := ""
	for i, record := range chain {
		if err := inPlace(record, int32(i+1), prev); err != nil {
			return err
		}
		prev = record.Hash
	}
	end := int32(len(chain))
	switch {
	case head == nil && end > 0:
		return &Break{end, fmt.Sprintf("the chain has %d records but no head", end), prev, ""}
	case head != nil && head.Seq != end:
		return &Break{end, fmt.Sprintf("the head is record %d, but the chain ends at %d: records at its end were removed or added", head.Seq, end), strconv.Itoa(int(head.Seq)), strconv.Itoa(int(end))}
	case head != nil && head.Hash != prev:
		return &Break{end, fmt.Sprintf("record %d is not the one that the head names: records at the end of the chain were removed or added", end), head.Hash, prev}
	}
	return nil
}

// inPlace checks a record against its place: its number, and the hash before it.
func inPlace(record v1alpha1.DecisionRecord, place int32, prev string) error {
	if record.Seq != place {
		return &Break{place, fmt.Sprintf("record %d has number %d: a record is missing, repeated or out of order", place, record.Seq), strconv.Itoa(int(place)), strconv.Itoa(int(record.Seq))}
	}
	if record.Prev != prev {
		return &Break{place, fmt.Sprintf("record %d does not have the hash of the record before it", place), prev, record.Prev}
	}
	hash, err := Hash(record)
	if err != nil {
		return &Break{place, fmt.Sprintf("record %d cannot be hashed: %v", place, err), "", record.Hash}
	}
	if hash != record.Hash {
		return &Break{place, fmt.Sprintf("record %d was changed: its content has another hash", place), hash, record.Hash}
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
