package gateway

import (
	"strconv"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

// annotationNarrowed, followed by a Rollout's name, is an annotation of the user's Service.
// Its value is the pod-template-hash that Belay added to the selector for that Rollout.
const annotationNarrowed = "belay.dev/narrowed."

// labelHash on a generated Service has the pod-template-hash that it selects. The
// EndpointSlice controller copies a Service's labels to its slices in the same write that
// updates their endpoints: so the endpoints of a slice with this label were selected by
// this hash, not by an earlier one.
const labelHash = "belay.dev/pod-template-hash"

// noHash is the hash that is selected while a side has no pods. It has letters that no
// pod-template-hash has, so that no pod matches it.
const noHash = "none"

func hashOrNone(hash string) string {
	if hash == "" {
		return noHash
	}
	return hash
}

func quoted(text string) string {
	const most = 128
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strconv.Quote(text)
}

// sides are the two generated Services with the pods that they should select.
func sides(t traffic.Target) [2]side {
	stable, canary := v1alpha1.PairNames(t.Owner)
	return [2]side{
		{service: stable, hash: t.StableHash, words: "the stable version"},
		{service: canary, hash: t.CanaryHash, words: "the candidate"},
	}
}

type side struct{ service, hash, words string }
