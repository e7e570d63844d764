package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// original is a rule's backendRefs before a run.
type original struct {
	// Rule is a digest of the rule without its backendRefs, to recognise a rule that was
	// moved while a run is in progress.
	Rule        string      `json:"rule"`
	BackendRefs []reference `json:"backendRefs"`
}

type originals []original

func save(r rule, refs []reference) original { return original{Rule: digest(r), BackendRefs: refs} }

func digest(r rule) string { return digestOf(r.matcher()) }

func digestOf(part map[string]any) string {
	// A rule was decoded from JSON, so it can be encoded.
	raw, err := json.Marshal(part)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// assign returns the saved backendRefs for each rule, by its index; nil when nothing was
// saved. Of equal rules, the first gets what was saved first. A rule that refers to only
// one of the generated Services is assigned last.
func (o originals) assign(rules []rule, n names) [][]reference {
	out := make([][]reference, len(rules))
	if len(o) == 0 {
		return out
	}
	used := make([]bool, len(o))
	for _, certain := range []bool{true, false} {
		for i, r := range rules {
			if (n.standingOf(r, false) != foreign) != certain || n.standingOf(r, true) == foreign {
				continue
			}
			out[i] = o.take(digest(r), used)
		}
	}
	return out
}

func (o originals) take(digest string, used []bool) []reference {
	for i, one := range o {
		if !used[i] && one.Rule == digest && len(one.BackendRefs) > 0 {
			used[i] = true
			return one.BackendRefs
		}
	}
	return nil
}

func (o originals) encode() (string, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("save the route's original backendRefs: %w", err)
	}
	return string(raw), nil
}

// decodeOriginals reads what encode wrote. When the annotation cannot be read, the
// references are later reconstructed from those to the generated Services.
func decodeOriginals(annotation string) originals {
	var o originals
	if utiljson.Unmarshal([]byte(annotation), &o) != nil {
		return nil
	}
	return o
}
