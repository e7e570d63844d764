package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Counts are requests, and the bad ones among them.
type Counts struct {
	Total float64 `json:"n"`
	Bad   float64 `json:"e"`
}

// Add returns the sum.
func (c Counts) Add(d Counts) Counts { return Counts{c.Total + d.Total, c.Bad + d.Bad} }

// Ratio is the bad share; 0 without requests.
func (c Counts) Ratio() float64 {
	if c.Total == 0 {
		return 0
	}
	return c.Bad / c.Total
}

// PodCounter is one pod's cumulative counters at a poll.
type PodCounter struct {
	// Namespace of the pod; empty when the source did not say.
	Namespace string
	Pod       string
	// Counts since the container started.
	Counts
	// SampledAt is when the source scraped them.
	SampledAt time.Time
}

// Poll is everything one query answered, at one evaluation time.
type Poll struct {
	EvaluatedAt    time.Time
	Canary, Stable []PodCounter
}

// Ledger turns polls of cumulative counters into exact counts over a run. It
// can be stored as JSON and taken up again: the next delta then spans a longer
// time, which is still exact. A poll that is repeated changes nothing.
type Ledger struct {
	// EvaluatedAt of the newest poll.
	EvaluatedAt time.Time `json:"at"`
	// Since is the evaluation time of the first poll, and Before what the candidate
	// had served by then.
	Since  time.Time `json:"since"`
	Before float64   `json:"before,omitempty"`
	// Polls that changed anything.
	Polls int `json:"polls"`
	// Pods holds the last counters of every pod seen.
	Pods map[string]lastCounter `json:"pods,omitempty"`
	// Unheld are the pods of the newest poll that are one too many to be held. They
	// are not counted, so nothing can be judged.
	Unheld int `json:"unheld,omitempty"`
	// Canary and Stable are the counts since the first poll.
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
	// Fresh are the scrapes of the canary's pods that were new in the newest poll
	// and hold bad requests. They are not stored.
	Fresh []Scrape `json:"-"`
	// Bins are the canary's counts by poll, newest last, for burn windows.
	Bins []Bin `json:"bins,omitempty"`
	// StageFrom is when the present stage began, and Stage the canary's counts
	// since the first poll after it; StageStable is stable's.
	StageFrom   time.Time `json:"stageFrom"`
	Stage       Counts    `json:"stage"`
	StageStable Counts    `json:"stageStable"`
	// Idle counts the newest polls in a row in which stable served requests and
	// the candidate none.
	Idle int `json:"idle,omitempty"`
}

// Bin is what the canary served between two polls.
type Bin struct {
	// At is the evaluation time in Unix milliseconds.
	At int64 `json:"at"`
	Counts
}

// maxBins bounds a ledger's size, beside maxPods.
const maxBins = 240

// Check returns an error for counters that no exporter may show: negative,
// infinite or missing numbers, more bad requests than requests.
func (p Poll) Check() error {
	for _, c := range slices.Concat(p.Canary, p.Stable) {
		switch {
		case bad(c.Total) || bad(c.Bad):
			return fmt.Errorf("pod %q reports %v requests, %v bad", c.Pod, c.Total, c.Bad)
		case c.Bad > c.Total:
			return fmt.Errorf("pod %q reports %v bad requests of %v: bad must be a part of total", c.Pod, c.Bad, c.Total)
		}
	}
	return nil
}

func bad(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) || v < 0 }

// Advance returns the ledger after a poll. from is when the present stage began.
// The ledger given is not changed.
//
// A counter that fell and stays there has restarted: its new value is the delta.
// A counter with an older sample than the last one comes from a replica that
// lags, and counts nothing. A canary pod started during the run, so its whole value counts; a
// stable pod's first value is only a baseline, because it may hold weeks of
// requests that the first polls missed. A pod that is missing keeps its last
// value, because a failed scrape is not a reset.
func (l Ledger) Advance(p Poll, from time.Time) Ledger {
	if !p.EvaluatedAt.After(l.EvaluatedAt) {
		return l
	}
	next := l
	next.Pods = make(map[string]lastCounter, len(l.Pods))
	maps.Copy(next.Pods, l.Pods)
	next.forget(p, p.EvaluatedAt.Add(-forgetAfter))
	next.Fresh, next.Unheld = nil, 0
	canary := next.take(p.Canary, false)
	stable := next.take(p.Stable, true)
	next.Canary, next.Stable = l.Canary.Add(canary), l.Stable.Add(stable)
	next.Polls++
	if next.Polls == 1 {
		next.Since, next.Before = p.EvaluatedAt, canary.Total
	}
	next.Idle = 0
	if canary.Total == 0 && stable.Total > 0 {
		next.Idle = l.Idle + 1
	}
	if !from.Equal(l.StageFrom) {
		next.StageFrom, next.Stage, next.StageStable, next.Idle = from, Counts{}, Counts{}, 0
		// What came in since the last poll may be from before the stage.
		canary, stable = Counts{}, Counts{}
	}
	next.Stage, next.StageStable = next.Stage.Add(canary), next.StageStable.Add(stable)
	next.Bins = append(slices.Clone(l.Bins), Bin{p.EvaluatedAt.UnixMilli(), next.Canary.minus(l.Canary)})
	next.Bins = compact(next.Bins)
	next.EvaluatedAt = p.EvaluatedAt
	return next
}

func (c Counts) minus(d Counts) Counts { return Counts{c.Total - d.Total, c.Bad - d.Bad} }

// compact halves the resolution of the older half when there are too many bins;
// long windows do not need it, short ones look at the newer half.
func compact(bins []Bin) []Bin {
	if len(bins) <= maxBins {
		return bins
	}
	half := len(bins) / 2
	var out []Bin
	for i := 0; i < half; i += 2 {
		b := bins[i]
		if i+1 < half {
			b = Bin{bins[i+1].At, bins[i].Add(bins[i+1].Counts)}
		}
		out = append(out, b)
	}
	return append(out, bins[half:]...)
}

// Window is what the canary served in the time up to the newest poll.
func (l Ledger) Window(w time.Duration) Counts {
	var sum Counts
	start := l.EvaluatedAt.Add(-w).UnixMilli()
	for _, b := range l.Bins {
		if b.At > start {
			sum = sum.Add(b.Counts)
		}
	}
	return sum
}
