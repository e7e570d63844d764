package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"belay.dev/belay/api/v1alpha1"
)

// maxChange is how long a difference between two inputs may be, as in the API.
const maxChange = 16 << 10

// Describe returns what a decision's record has of its input, which is given as
// canonical JSON: its digest, and the difference from the input of the record before,
// or the whole input when there is none before.
func Describe(planner int32, before, input []byte) (*v1alpha1.RecordedInput, error) {
	out := &v1alpha1.RecordedInput{Planner: planner, SHA256: Digest(input), Form: v1alpha1.InputWhole}
	change := input
	if before != nil {
		out.Form = v1alpha1.InputDifference
		var err error
		if change, err = jsonpatch.CreateMergePatch(before, input); err != nil {
			return nil, fmt.Errorf("compare the planner's inputs: %w", err)
		}
	}
	if len(change) > maxChange {
		out.Form = v1alpha1.InputDigest
		return out, nil
	}
	out.Change = string(change)
	return out, nil
}

// Rebuild returns the input that a record describes. before is the input of the record
// before it, or nil. The error says why the input cannot be rebuilt: it was not kept, or
// has another digest.
func Rebuild(before []byte, recorded *v1alpha1.RecordedInput) ([]byte, error) {
	switch {
	case recorded == nil:
		return nil, fmt.Errorf("the record does not have the input, nor its digest")
	case recorded.Form == v1alpha1.InputDigest:
		return nil, fmt.Errorf("the record does not have the input, only its digest: no more is kept from %d KiB of decisions on, while %d KiB wait to be written, and of one beyond %d KiB",
			trimFrom>>10, maxPendingBytes>>10, maxChange>>10)
	case recorded.Form == v1alpha1.InputWhole:
		before = []byte("{}")
	case before == nil:
		return nil, fmt.Errorf("the record has only the difference from the input before it, which is not known")
	}
	input, err := jsonpatch.MergePatch(before, []byte(recorded.Change))
	if err != nil {
		return nil, fmt.Errorf("apply the difference: %w", err)
	}
	if got := Digest(input); got != recorded.SHA256 {
		return nil, fmt.Errorf("the rebuilt input has the digest %s, the record has %s", got, recorded.SHA256)
	}
	return input, nil
}

// Digest is the SHA-256 of an input in canonical JSON, as sha256:hex.
func Digest(input []byte) string {
	sum := sha256.Sum256(input)
	return "sha256:" + hex.EncodeToString(sum[:])
}
