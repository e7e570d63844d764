package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"belay.dev/belay/analysis"
)

// ledgers keeps what a rule is asked.
type ledgers struct {
	seen    []analysis.Ledger
	quality []analysis.Quality
	skipped int
}

func (l *ledgers) judge(now analysis.Ledger, q analysis.Quality) analysis.Outcome {
	l.seen, l.quality = append(l.seen, now), append(l.quality, q)
	return analysis.Pass
}

func (l *ledgers) skip(analysis.Ledger, analysis.Quality) { l.skipped++ }

func judged(s scenario, l load) (*world, *ledgers) {
	w, asked := built(s, l, 6), &ledgers{}
	belay(func(*scenario) rule { return asked })(w, &s, rand.New(rand.NewPCG(1, 1))) // #nosec G404 -- a test must repeat
	return w, asked
}

// A run is polled like the controller does it: from before its pods are ready, judged only
// with samples of the ready ones, and counted from their readiness.
func TestARunIsPolledAsByTheController(t *testing.T) {
	s := good()
	s.second, s.probes = 40, true
	w, asked := judged(s, load{1000, 0.5})
	newest := asked.seen[len(asked.seen)-1]
	if newest.Canary.Total < 500*530 || newest.Canary.Total > 500*601 {
		t.Errorf("the ledger has %v requests of the canary of about %v", newest.Canary.Total, 500*600)
	}
	if got := newest.Canary.Ratio(); got > 2*errorBase {
		t.Errorf("%v of the canary's requests are bad: probes before readiness are counted", got)
	}
	first := asked.seen[0]
	if first.EvaluatedAt.After(clock(2*scrapeUsual)) || first.EvaluatedAt.Before(clock(w.canary.pods[0].ready)) {
		t.Errorf("judged first at %v", first.EvaluatedAt.Sub(clock(0)))
	}
	if got := asked.quality[0].ReadyPods; got != 1 {
		t.Errorf("%d ready pods at first, want 1", got)
	}
	if got := newest.EvaluatedAt.Sub(asked.seen[len(asked.seen)-2].EvaluatedAt); got != scrapeUsual*time.Second {
		t.Errorf("polled every %s", got)
	}
}

// Of nine pods, a poll without a verdict lacks at least one.
func TestScrapesThatFail(t *testing.T) {
	s := good()
	s.pods, s.lost = 9, 0.2
	_, asked := judged(s, thou10)
	// All nine answer in one of seven polls.
	if n := len(asked.seen); asked.skipped < 3*n || n < 2 {
		t.Errorf("%d polls are judged, %d skipped", n, asked.skipped)
	}
	s.lost = 0
	if _, asked = judged(s, thou10); asked.skipped > 2 {
		t.Errorf("%d polls are skipped although no scrape fails", asked.skipped)
	}
}

// The source has samples of pods that are not ready yet; verdicts are not based on them.
func TestAPollKnowsWhichPodsAreReady(t *testing.T) {
	s := good()
	s.second = 100
	w := built(s, low20, 6)
	seen := newPoll(w)
	seen.at(w, 99.9)
	if counted, ready := len(seen.counted.Canary), len(seen.judged.Canary); counted != 2 || ready != 1 {
		t.Fatalf("%d canary pods are counted and %d judged, want 2 and 1", counted, ready)
	}
	first, second := seen.counted.Canary[0], seen.counted.Canary[1]
	if want := clock(w.canary.pods[0].ready).Truncate(time.Second); !first.ReadyAt.Equal(want) || !first.UnreadyAt.IsZero() {
		t.Errorf("the first pod is ready since %v, want %v, and unready since %v", first.ReadyAt, want, first.UnreadyAt)
	}
	if want := clock(w.canary.pods[1].created).Truncate(time.Second); !second.UnreadyAt.Equal(want) || !second.ReadyAt.IsZero() {
		t.Errorf("the second pod is unready since %v, want %v, and ready since %v", second.UnreadyAt, want, second.ReadyAt)
	}
}

// When the candidate serves alone, the weight is 100 and a new stage begins.
func TestTheWeightBecomesFull(t *testing.T) {
	s := good()
	s.alone = aloneFrom
	_, asked := judged(s, low20)
	newest := len(asked.seen) - 1
	if got := asked.quality[newest].Weight; got != 100 {
		t.Errorf("weight %d at the end", got)
	}
	if got := asked.quality[0].Weight; got != 20 && got != 0 {
		t.Errorf("weight %d at first", got)
	}
	if got := asked.seen[newest].StageFrom; !got.Equal(clock(aloneFrom)) {
		t.Errorf("the stage began %s after the first request", got.Sub(clock(0)))
	}
	// Before the canary's first request stable served all of them for a minute at most.
	if got := asked.seen[newest].Stable.Total; got < 70*aloneFrom || got > 80*aloneFrom+100*60 {
		t.Errorf("stable served %v requests, and none from %d s on", got, aloneFrom)
	}
}

// A slow source is polled as often as the controller does at least.
func TestPollsAreFrequent(t *testing.T) {
	s := good()
	w := &world{}
	s.build(w, low20, 60, rand.New(rand.NewPCG(6, 1))) // #nosec G404 -- a test must repeat
	asked := &ledgers{}
	belay(func(*scenario) rule { return asked })(w, &s, nil)
	if got := asked.seen[9].EvaluatedAt.Sub(asked.seen[8].EvaluatedAt); got != slowestPoll*time.Second {
		t.Errorf("polled every %s", got)
	}
}
