package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"

	"belay.dev/belay/analysis"
)

// What a stranger computes from a run's record, without Belay's code, is what
// Belay computed.
func TestAStrangerComesToTheSameEvidence(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	rng := rand.New(rand.NewPCG(5, 6)) // #nosec G404 -- a simulation must repeat
	var w world
	s := worse(good(), 0.01, 0)
	s.build(&w, low20, scrapeUsual, rng)
	for _, polls := range []int{0, 1, 30, 300} {
		d, s, l, seen := analysis.Default(errorBudget, 1, 0), analysis.AfterLosing(polls%2), analysis.Ledger{}, newPoll(&w)
		for i := range polls {
			// More polls than the simulation has: later ones draw what they count.
			seen.at(&w, float64(i*scrapeUsual))
			l = l.Advance(seen.counted, clock(0))
			if i*scrapeUsual >= runFor {
				l.Canary, l.Stable = l.Canary.Add(analysis.Counts{Total: 300, Bad: float64(rng.IntN(2))}), l.Stable.Add(analysis.Counts{Total: 1200, Bad: float64(rng.IntN(4))})
			}
			s = d.Observe(s, l)
		}
		state, err := json.Marshal(map[string]any{"regressions": map[string]any{"Guardrail/shop/errors": s}})
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(python, "recompute.py") // #nosec G204 -- a test
		command.Stdin = bytes.NewReader(state)
		got, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		want := fmt.Sprintf("Guardrail/shop/errors: logRelative %.9f logAbsolute %.9f logSustained %.6f", s.Relative.LogE(), s.Absolute.LogE(), d.Sustained(s))
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("%d polls: python says\n%swant\n%s", polls, got, want)
		}
	}
}
