package gateway

import (
	"strconv"

	"belay.dev/belay/controllers/traffic"
)

// annotationNarrowed, with a Rollout's name behind it, keeps on the user's Service
// the pod-template-hash that Belay added to its selector for that Rollout.
const annotationNarrowed = "belay.dev/narrowed."

// labelHash on a generated Service repeats the pod-template-hash that it selects.
// The EndpointSlice controller copies a Service's labels to its slices in the
// write that brings their endpoints up to date: a slice with the label holds
// endpoints of that selector, not of an earlier one.
const labelHash = "belay.dev/pod-template-hash"

// noHash is selected while a side has no pods. It has letters that no
// pod-template-hash has, so that it selects none, rather than all of the app's.
const noHash = "none"

// PairNames are the names of the two generated Services of a Rollout.
func PairNames(owner string) (stable, canary string) { return owner + "-stable", owner + "-canary" }

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

// sides are the pair's Services with the pods that they should select.
func sides(t traffic.Target) [2]side {
	stable, canary := PairNames(t.Owner)
	return [2]side{
		{service: stable, hash: t.StableHash, words: "the stable version"},
		{service: canary, hash: t.CanaryHash, words: "the new version"},
	}
}

type side struct{ service, hash, words string }
