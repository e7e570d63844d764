package judge

import (
	"fmt"
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

// sourcesOfOrdered are the ways in which a source may have the series of pods of one name.
var sourcesOfOrdered = map[string]scrapes{
	"pods are discovered": {instance: ofAddress, marked: true},
	"pods are discovered, with labels of their version, and keep their addresses": {instance: ofName, marked: true,
		extra: func(version string) map[string]string { return map[string]string{"controller_revision_hash": version} }},
	"targets are DNS names": {instance: ofName},
	"pods push":             {instance: ofAddress},
	"pods push, with labels of their version, and keep their names": {instance: ofName,
		extra: func(version string) map[string]string { return map[string]string{"controller_revision_hash": version} }},
}

func ofAddress(name string, nth int) string {
	return fmt.Sprintf("10.0.%d.%s:8080", nth, name[len(name)-1:])
}

func ofName(name string, _ int) string { return name + ".web:8080" }

// TestAReplacedPodCountsForItsOwnVersion: web-2 of stable, which fails half of its requests, is
// replaced by one of the candidate with the same name, which fails none.
func TestAReplacedPodCountsForItsOwnVersion(t *testing.T) {
	for name, how := range sourcesOfOrdered {
		t.Run(name, func(t *testing.T) {
			b := newOrderedBench(t, how,
				life{name: "web-0", version: stableHash, from: -300}, life{name: "web-1", version: stableHash, from: -300},
				life{name: "web-2", version: stableHash, from: -300, until: 62, bad: 5, old: 90}, life{name: "web-2", version: canaryHash, from: 63})
			b.play(400)
			canary, stable := b.counts()
			t.Log(canary, stable)
			if canary.Bad != 0 || canary.Total == 0 {
				t.Errorf("the candidate served %v", canary)
			}
			if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictPass {
				t.Errorf("a good candidate is %s: %s", got.Outcome, got.Message)
			}
		})
	}
}
