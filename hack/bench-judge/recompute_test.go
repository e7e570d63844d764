package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
)

// What a stranger computes from a run's record, without Belay's code, is what
// Belay computed.
func TestAStrangerComesToTheSameEvidence(t *testing.T) {
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
		got := recomputed(t, s, polls == 300)
		want := fmt.Sprintf("Guardrail/shop/errors: logRelative %.9f logAbsolute %.9f logSustained %.6f", s.Relative.LogE(), s.Absolute.LogE(), d.Sustained(s))
		if !strings.Contains(got, want) {
			t.Errorf("%d polls: python says\n%swant\n%s", polls, got, want)
		}
	}
}

// Bad requests that come with more requests than the candidate's share are taken away.
func TestAStrangerTakesTheSameSurplusAway(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10)) // #nosec G404 -- a simulation must repeat
	var w world
	s := good()
	s.burst = burst{300, 20, oneVersion}
	s.build(&w, low20, scrapeUsual, rng)
	d := analysis.Default(errorBudget, 1, 0)
	for _, poll := range []float64{5, scrapeUsual} {
		var state analysis.RegressionState
		var l analysis.Ledger
		seen, compared := newPoll(&w), 0
		for now := w.firstPoll; now < w.length && compared < 4; now += poll {
			bad := l.Canary.Bad
			seen.at(&w, now)
			l = l.Advance(seen.counted, clock(0))
			d.Given(analysis.Quality{Weight: 20}, 0, "")
			state = d.Observe(state, l)
			if l.Canary.Bad < bad+10 {
				continue
			}
			compared++
			want := fmt.Sprintf("logSustained %.6f,", d.Sustained(state))
			if got := recomputed(t, state, false); !strings.Contains(got, want) {
				t.Errorf("polls every %g s, second %.0f: python says\n%swant %s", poll, now, got, want)
			}
		}
		if compared < 2 {
			t.Errorf("polls every %g s: the burst is in %d looks", poll, compared)
		}
	}
}

// At weight 100 the sustained evidence is that of the looks without stable.
func TestAStrangerComesToTheSameEvidenceWithoutStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8)) // #nosec G404 -- a simulation must repeat
	var w world
	alone := good()
	alone.alone = aloneFrom
	alone = worse(alone, 0.05, lateOnset)
	alone.build(&w, low20, scrapeUsual, rng)
	r := analysis.Default(errorBudget, 1, 0)
	var s analysis.RegressionState
	var l analysis.Ledger
	seen := newPoll(&w)
	for now := w.firstPoll; now < w.length; now += scrapeUsual {
		seen.at(&w, now)
		l = l.Advance(seen.counted, w.stage(now))
		r.Given(analysis.Quality{ScrapeInterval: scrapeUsual * time.Second, ReadyPods: seen.ready, Weight: int(100*w.share(now) + 0.5)}, 0, "")
		s = r.Observe(s, l)
		v := r.Judge(s, l)
		if v.Outcome() != analysis.Fail {
			continue
		}
		if v.Reason != analysis.RegressionWithoutBaseline {
			t.Fatalf("%s, want %s", v.Reason, analysis.RegressionWithoutBaseline)
		}
		for _, x := range v.Statistics {
			want := fmt.Sprintf("logSustained %.6f,", x.Value)
			if got := recomputed(t, s, false); x.Name == "logSustained" && !strings.Contains(got, want) {
				t.Errorf("python says\n%swant %s", got, want)
			}
		}
		return
	}
	t.Error("5 % errors alone do not fail")
}

// A change of weight that leaves stable few of its requests lowers the evidence, and leaves
// scrapes out of it.
func TestAStrangerComesToTheSameEvidenceAfterAChangeOfWeight(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12)) // #nosec G404 -- a simulation must repeat
	var w world
	s := good()
	s.alone, s.raised = aloneFrom, 0.95
	s = worse(s, 0.01, aloneFrom-60)
	s.build(&w, low20, scrapeUsual, rng)
	r := analysis.Default(errorBudget, 1, 0)
	var state analysis.RegressionState
	var l analysis.Ledger
	seen := newPoll(&w)
	for now := w.firstPoll; now < aloneFrom+90; now += scrapeUsual {
		seen.at(&w, now)
		l = l.Advance(seen.counted, w.stage(now))
		r.Given(analysis.Quality{ScrapeInterval: scrapeUsual * time.Second, ReadyPods: seen.ready, Weight: int(100*w.share(now) + 0.5)}, 0, "")
		state = r.Observe(state, l)
		if now < aloneFrom-30 {
			continue
		}
		want := fmt.Sprintf("Guardrail/shop/errors: logRelative %.9f logAbsolute %.9f logSustained %.6f", state.Relative.LogE(), state.Absolute.LogE(), r.Sustained(state))
		if got := recomputed(t, state, false); !strings.Contains(got, want) {
			t.Errorf("second %.0f: python says\n%swant\n%s", now, got, want)
		}
	}
	if state.Shift.Before == nil || state.Shift.Apart.Total == 0 {
		t.Errorf("the change of weight has left nothing out: %+v", state.Shift)
	}
}

// recomputed is what the script prints for a state, which the judge compresses when it is
// large.
func recomputed(t *testing.T, s analysis.RegressionState, large bool) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	state, err := json.Marshal(map[string]any{"regressions": map[string]any{"Guardrail/shop/errors": s}})
	if err != nil {
		t.Fatal(err)
	}
	if large {
		var small bytes.Buffer
		w := gzip.NewWriter(&small)
		_, _ = w.Write(state)
		_ = w.Close()
		if state, err = json.Marshal(map[string][]byte{"gzip": small.Bytes()}); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(python, "recompute.py") // #nosec G204 -- a test
	command.Stdin = bytes.NewReader(state)
	got, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	return string(got)
}
