package analysis

import (
	"strings"
	"testing"
	"time"
)

// Counters of a destination are usable as soon as any of them is fresh: that the candidate has
// none means that nobody has sent it a request.
func TestTheQualityOfADestination(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(age time.Duration) []PodCounter {
		return []PodCounter{{Pod: "shop@gateway", Counts: Counts{10, 0}, SampledAt: now.Add(-age)}}
	}
	for name, c := range map[string]struct {
		poll   Poll
		reason Reason
		says   string
	}{
		"fresh":              {Poll{Canary: at(time.Second), Stable: at(time.Second)}, "", ""},
		"no request yet":     {Poll{Stable: at(time.Second)}, "", ""},
		"only the candidate": {Poll{Canary: at(time.Second)}, "", ""},
		"nothing":            {Poll{}, PartialCoverage, `no series requests for the destination "shop-canary" or stable's`},
		"old":                {Poll{Canary: at(time.Minute), Stable: at(2 * time.Minute)}, Stale, "the newest sample is 1m0s old"},
		"no scrape time":     {Poll{Canary: []PodCounter{{Pod: "a"}}}, Stale, "no scrape time"},
		"unusable":           {Poll{Canary: []PodCounter{{Pod: "a", Counts: Counts{1, 2}, SampledAt: now}}}, PartialCoverage, "2 bad requests of 1"},
	} {
		c.poll.EvaluatedAt = now
		q := Quality{ScrapeInterval: 15 * time.Second, Weight: 20, Metric: "requests", Destination: "shop-canary", Routed: true}
		v, ok := q.Judge(c.poll)
		if ok != (c.reason == "") || v.Reason != c.reason || !strings.Contains(v.Message, c.says) {
			t.Errorf("%s: %v %s %q", name, ok, v.Reason, v.Message)
		}
	}
}

// What the gateway distributes has the weight's share, however many pods are behind it.
func TestTheShareOfADestination(t *testing.T) {
	from := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		canary float64
		fits   bool
	}{{20, true}, {12, true}, {4, false}} {
		l := Ledger{}
		for i := range 4 {
			at := from.Add(time.Duration(i) * 15 * time.Second)
			n := float64(10 * (i + 1))
			stable := []PodCounter{{Pod: "stable@a", Destination: "stable", Counts: Counts{n * 80, 0}, SampledAt: at}}
			for _, idle := range []string{"b", "c", "d", "e", "f", "g", "h", "i"} {
				stable = append(stable, PodCounter{Pod: "stable@" + idle, Destination: "stable", SampledAt: at})
			}
			l = l.Advance(Poll{EvaluatedAt: at, ScrapeInterval: 15 * time.Second, Stable: stable,
				Canary: []PodCounter{{Pod: "canary@a", Destination: "canary", Counts: Counts{n * c.canary, 0}, SampledAt: at}}}, from)
		}
		q := Quality{ScrapeInterval: 15 * time.Second, Weight: 20, Destination: "canary", Routed: true}
		if v, ok := q.JudgeShare(l); ok != c.fits || !ok && (v.Reason != WeightMismatch || !strings.Contains(v.Message, "another route may send requests")) {
			t.Errorf("%v of 80: %v %s %s", c.canary, ok, v.Reason, v.Message)
		}
	}
}

// Parts of one destination stay one when they are joined: a burst that many gateways count is
// that of one version.
func TestJoinedPartsOfADestination(t *testing.T) {
	var parts []Part
	for i := range maxParts + 3 {
		parts = append(parts, Part{Pod: 7, From: int64(i), To: int64(i + 1), Counts: Counts{1, 1}})
	}
	if got := bounded(parts); len(got) != maxParts || got[maxParts-1].Pod != 7 {
		t.Errorf("joined to %+v", got)
	}
}
