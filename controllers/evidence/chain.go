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

// Count is how many decisions a chain accounts for: its records, and those that
// a record says are missing before it.
func Count(chain []v1alpha1.DecisionRecord) int32 {
	n := int32(len(chain))
	for i := range chain {
		n += chain[i].Missing
	}
	return n
}

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
