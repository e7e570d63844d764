package analysis

import (
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
		"a little older than is fresh":      {ready: 1, pods: crowd(1, 87), wantReason: Stale, wantMessage: "13s old; 12s is fresh"},
		"the newest of stale samples":       {ready: 2, pods: append(crowd(1, 10), pod("z", 80, 1, 0)), wantReason: Stale, wantMessage: "20s old"},
		"samples without a time":            {ready: 1, pods: []PodCounter{{Pod: "a"}}, wantReason: Stale, wantMessage: "says of no sample"},
		"no ready pods":                     {ready: 0, pods: crowd(1, 95), wantReason: Pending, wantMessage: "no ready pods"},
		"no pods in the answer":             {ready: 3, wantReason: PartialCoverage, wantMessage: "none of the candidate's 3 ready pods"},
		"nine of ten":                       {ready: 10, pods: crowd(9, 95)},
		"eight of ten":                      {ready: 10, pods: crowd(8, 95), wantReason: PartialCoverage, wantMessage: "8 of the candidate's 10"},
		"four of five":                      {ready: 5, pods: crowd(4, 95), wantReason: PartialCoverage, wantMessage: "4 of the candidate's 5"},
		"a stale pod covers nothing":        {ready: 2, pods: append(crowd(1, 95), pod("z", 10, 1, 0)), wantReason: PartialCoverage, wantMessage: "1 of the candidate's 2"},
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
