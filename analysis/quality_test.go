package analysis

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestQuality(t *testing.T) {
	// Fresh is at most two scrapes and the grace old: 12 s.
	const scrape = 5 * time.Second
	crowd := func(n, second int) []PodCounter {
		out := make([]PodCounter, n)
		for i := range out {
			out[i] = pod(string(rune('a'+i)), second, 1, 0)
		}
		return out
	}
	cases := map[string]struct {
		ready       int
		pods        []PodCounter
		wantReason  Reason
		wantMessage string
	}{
		"fresh samples of every pod":        {ready: 2, pods: crowd(2, 95)},
		"exactly as old as is fresh":        {ready: 1, pods: crowd(1, 88)},
		"a little older than is fresh":      {ready: 1, pods: crowd(1, 87), wantReason: Stale, wantMessage: "13s old, at most 12s is allowed"},
		"the newest of stale samples":       {ready: 2, pods: append(crowd(1, 10), pod("z", 80, 1, 0)), wantReason: Stale, wantMessage: "20s old"},
		"samples without a time":            {ready: 1, pods: []PodCounter{{Pod: "a"}}, wantReason: Stale, wantMessage: "have no scrape time"},
		"no ready pods":                     {ready: 0, pods: crowd(1, 95), wantReason: Pending, wantMessage: "no ready pods"},
		"no pods in the answer":             {ready: 3, wantReason: PartialCoverage, wantMessage: "no series for any pod"},
		"nine of ten":                       {ready: 10, pods: crowd(9, 95)},
		"eight of ten":                      {ready: 10, pods: crowd(8, 95), wantReason: PartialCoverage, wantMessage: "8 of the candidate's 10"},
		"four of five":                      {ready: 5, pods: crowd(4, 95), wantReason: PartialCoverage, wantMessage: "4 of the candidate's 5"},
		"a stale pod covers nothing":        {ready: 2, pods: append(crowd(1, 95), pod("z", 10, 1, 0)), wantReason: PartialCoverage, wantMessage: "1 of the candidate's 2"},
		"one of two cannot be used":         {ready: 2, pods: append(crowd(1, 95), pod("z", 95, 5, 6)), wantReason: PartialCoverage, wantMessage: `pod "z" reports 6 bad requests of 5: the series of bad must be a subset of those of total; the samples of 1 of the candidate's 2 ready pods cannot be used`},
		"none can be used":                  {ready: 1, pods: []PodCounter{pod("z", 95, 5, 6)}, wantReason: PartialCoverage, wantMessage: "1 of the candidate's 1"},
		"one of eleven cannot be used":      {ready: 11, pods: append(crowd(10, 95), pod("z", 95, 5, 6))},
		"more pods than are ready, all new": {ready: 1, pods: crowd(3, 95)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v, ok := Quality{ScrapeInterval: scrape, ReadyPods: c.ready}.Judge(canary(100, c.pods...))
			if ok != (c.wantReason == "") || v.Reason != c.wantReason || !strings.Contains(v.Message, c.wantMessage) {
				t.Errorf("Judge() = %+v, %v; want %q saying %q", v, ok, c.wantReason, c.wantMessage)
			}
			if !ok && v.Outcome() != Inconclusive {
				t.Errorf("outcome = %s, want Inconclusive", v.Outcome())
			}
		})
	}
}

func TestShareOfTheRequests(t *testing.T) {
	tests := map[string]struct {
		weight         int
		canary, stable float64
		idle           time.Duration
		beside         float64
		want           Reason
	}{
		"as the weight says":             {10, 100, 900, 0, 0, ""},
		"half of it comes past":          {10, 50, 950, 0, 0, ""},
		"hardly any":                     {10, 20, 980, 0, 0, WeightMismatch},
		"swapped":                        {10, 900, 100, 0, 0, WeightMismatch},
		"no baseline":                    {10, 500, 0, 0, 0, BaselineMissing},
		"too few to say":                 {10, 0, 100, 0, 0, ""},
		"none of a few":                  {10, 0, 280, 0, 0, WeightMismatch},
		"a third, of many":               {10, 330, 9670, 0, 0, WeightMismatch},
		"a third, of few":                {10, 12, 348, 0, 0, ""},
		"hung":                           {50, 500, 600, 90 * time.Second, 20, Stale},
		"hung at a small weight":         {5, 50, 960, 90 * time.Second, 380, Stale},
		"not yet for long":               {50, 500, 600, 89 * time.Second, 200, ""},
		"hardly anything to serve":       {50, 500, 600, time.Hour, 19, ""},
		"its share is below what is due": {5, 50, 960, time.Hour, 379, ""},
		"all of it, as in a promotion":   {100, 500, 0, time.Hour, 100, ""},
		"none of it, before the split":   {0, 0, 900, time.Hour, 100, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := Ledger{Stage: Counts{Total: tc.canary}, StageStable: Counts{Total: tc.stable}, EvaluatedAt: at(0).Add(tc.idle), MovedAt: at(0), Beside: tc.beside, StageTime: 60_000, StageStableTime: 60_000}
			v, ok := Quality{ScrapeInterval: 15 * time.Second, Weight: tc.weight}.JudgeShare(l)
			if v.Reason != tc.want || ok != (tc.want == "") {
				t.Errorf("%v %q, want %q", ok, v.Reason, tc.want)
			}
		})
	}
}

func TestLedgerKnowsSinceWhenTheCandidateIsIdle(t *testing.T) {
	var l Ledger
	for i, step := range []struct {
		canary, stable, from float64
		moved                int
		beside               float64
	}{{10, 100, 0, 5, 0}, {10, 200, 0, 5, 100}, {10, 300, 0, 5, 200}, {10, 300, 0, 5, 200}, {20, 400, 0, 25, 0}, {20, 500, 0, 25, 100}, {20, 600, 33, 35, 0}} {
		second := 5 * (i + 1)
		l = l.Advance(both(second, pod("c", second, step.canary, 0), pod("s", second, step.stable, 0)), at(int(step.from)))
		if !l.MovedAt.Equal(at(step.moved)) || l.Beside != step.beside {
			t.Errorf("poll %d: moved at %s, %v beside; want %s, %v", i, l.MovedAt, l.Beside, at(step.moved), step.beside)
		}
	}
}

// One run may ask a source every second for what another scrapes every 15 s.
func TestAHealthyRunIsNotIdleHoweverOftenItIsPolled(t *testing.T) {
	var l Ledger
	q := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1, Weight: 10}
	for second := 1; second <= 300; second++ {
		// At the start of a stage much of stable has been scraped, and the canary has not.
		p := canary(second, pod("c", second/15*15, float64(1800*(second/15)), 0))
		for i := range 12 {
			scraped := (second-i)/15*15 + i
			p.Stable = append(p.Stable, pod(fmt.Sprintf("s%d", i), scraped, float64(90*(scraped+15)), 0))
		}
		l = l.Advance(p, start)
		if v, ok := q.JudgeShare(l); !ok {
			t.Fatalf("second %d: %s", second, v.Message)
		}
	}
}

// The chance that at most so many of n come, computed with another formula: the sum of
// n!/(k!(n-k)!) p^k (1-p)^(n-k), in exact fractions.
func TestIsRareIsTheBinomialTail(t *testing.T) {
	tail := func(count, n int64, p *big.Rat) *big.Rat {
		sum, q := new(big.Rat), new(big.Rat).Sub(big.NewRat(1, 1), p)
		for k := range count + 1 {
			term := new(big.Rat).SetInt(new(big.Int).Binomial(n, k))
			for range k {
				term.Mul(term, p)
			}
			for range n - k {
				term.Mul(term, q)
			}
			sum.Add(sum, term)
		}
		return sum
	}
	limit := new(big.Rat).SetFloat64(rare)
	for _, percent := range []int64{1, 5, 25, 50, 90} {
		p := big.NewRat(percent, 100)
		for _, n := range []int64{1, 20, 100} {
			for count := range n {
				want := tail(count, n, p).Cmp(limit) < 0
				if got := isRare(float64(count), float64(n), float64(percent)/100); got != want {
					t.Errorf("%d of %d at %d %%: rare is %v, want %v", count, n, percent, got, want)
				}
				if !want {
					break
				}
			}
		}
	}
	for _, c := range []struct {
		count, all, least float64
		want              bool
	}{{4.9e8, 1e10, .05, true}, {4.9999e8, 1e10, .05, false}, {0, 0, .5, false}, {0, 100, 0, false}, {100, 100, .5, false}} {
		if got := isRare(c.count, c.all, c.least); got != c.want {
			t.Errorf("%v of %v at %v: rare is %v", c.count, c.all, c.least, got)
		}
	}
}

// Stable has a pod that should serve half of the requests.
func TestNoneOfStablesRequests(t *testing.T) {
	q := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1, Weight: 50}
	for requests, want := range map[float64]Reason{40: "", 60: BaselineMissing} {
		l := Ledger{}.Advance(both(0, pod("c", 0, 0, 0), pod("s", 0, 1000, 0)), start)
		l = l.Advance(both(15, pod("c", 15, requests, 0), pod("s", 15, 1000, 0)), start)
		if v, _ := q.JudgeShare(l); v.Reason != want {
			t.Errorf("%v of the candidate: %q, want %q", requests, v.Reason, want)
		}
	}
}

// Callers that bypass the routes reach pods evenly: 1 of 20, at a weight of 50 %.
func TestShareBetweenTheWeightAndThePods(t *testing.T) {
	q := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1, Weight: 50}
	poll := func(second int, c, s float64) Poll {
		p := canary(second, pod("c", second, c, 0))
		for i := range 19 {
			p.Stable = append(p.Stable, pod(fmt.Sprint("s", i), second, s/19, 0))
		}
		return p
	}
	for share, want := range map[float64]Reason{.5: "", .05: "", .03: "", .015: WeightMismatch, .7: "", .8: WeightMismatch} {
		l := Ledger{}.Advance(poll(0, 0, 0), start).Advance(poll(15, 1e4*share, 1e4*(1-share)), start)
		if v, _ := q.JudgeShare(l); v.Reason != want {
			t.Errorf("a share of %v: %q, want %q", share, v.Reason, want)
		}
	}
}

// 10 requests a second at 5 % to two pods of the candidate, each with two probes every 10 s,
// scraped every 15 s; or none of the requests.
func TestACandidateThatOnlyProbesReach(t *testing.T) {
	q := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 2, Weight: 5, Background: []float64{.1, .1, 1.0 / 15}}
	for name, c := range map[string]struct {
		rate float64
		want Reason
	}{
		"one probe":                       {.1, WeightMismatch},
		"both probes":                     {.2, WeightMismatch},
		"probes and scrapes":              {.2 + 1.0/15, WeightMismatch},
		"its users":                       {.25, ""},
		"its users and probes":            {.45, ""},
		"its users, probes and scrapes":   {.45 + 1.0/15, ""},
		"more than comes from its weight": {1.5, ""},
	} {
		var l Ledger
		for second := 0; second <= 1200; second += 15 {
			p := canary(second, pod("a", second, math.Floor(c.rate*float64(second)), 0), pod("b", second, math.Floor(c.rate*float64(second)+.5), 0))
			for i := range 10 {
				p.Stable = append(p.Stable, pod(fmt.Sprint("s", i), second, float64(second), 0))
			}
			l = l.Advance(p, start)
		}
		if v, _ := q.JudgeShare(l); v.Reason != c.want {
			t.Errorf("%s: %q %s, want %q", name, v.Reason, v.Message, c.want)
		}
	}
}

// All ten pods of stable have been scraped twice in a stage, and one of the candidate's five.
func TestSharesOfPodsThatAreScrapedOneAfterTheOther(t *testing.T) {
	q := Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 5, Weight: 10}
	var l Ledger
	for _, second := range []int{1, 16} {
		p := canary(second, pod("c0", second-1, 2*float64(second-1), 0))
		for i := 1; i < 5; i++ {
			p.Canary = append(p.Canary, pod(fmt.Sprint("c", i), 1, 2, 0))
		}
		for i := range 10 {
			p.Stable = append(p.Stable, pod(fmt.Sprint("s", i), second-1, 9*float64(second-1), 0))
		}
		l = l.Advance(p, start)
	}
	if v, ok := q.JudgeShare(l); !ok {
		t.Errorf("%v and %v: %s", l.Stage, l.StageStable, v.Message)
	}
}
