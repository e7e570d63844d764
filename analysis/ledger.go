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
	// RunStart is when the run began: the candidate's pods are younger. Zero is not
	// known, and then a ledger may have begun during its run.
	RunStart time.Time
	// ScrapeInterval of the source. Zero is not known, and then the slowest that
	// polls keep up with.
	ScrapeInterval time.Duration
}

// slowestScrape is how often polls come at least.
const slowestScrape = 15 * time.Second

// beginsWithin is how long after its run's start a ledger begins with it.
const beginsWithin = time.Minute

// beginsRun reports whether all that the candidate's pods have counted is new.
func (p Poll) beginsRun() bool { return p.EvaluatedAt.Sub(p.RunStart) <= beginsWithin }

// freshness is how old the last sample of a pod may be that is scraped.
func (p Poll) freshness() time.Duration {
	q := Quality{ScrapeInterval: p.ScrapeInterval}
	if q.ScrapeInterval <= 0 {
		q.ScrapeInterval = slowestScrape
	}
	return q.freshness()
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
	// Bins are the canary's counts over time, newest last, for burn windows.
	Bins []Bin `json:"bins,omitempty"`
	// StageFrom is when the present stage began, and Stage the canary's counts
	// since each pod's first sample after it; StageStable is stable's.
	StageFrom   time.Time `json:"stageFrom"`
	Stage       Counts    `json:"stage"`
	StageStable Counts    `json:"stageStable"`
	// MovedAt is the poll at which the candidate's counts last rose in this stage, or
	// the stage's first one, and Beside what stable has served since then.
	MovedAt time.Time `json:"movedAt"`
	Beside  float64   `json:"beside,omitempty"`
}

// Check returns an error for counters that no exporter may show: negative,
// infinite or missing numbers, more bad requests than requests.
func (p Poll) Check() error {
	for _, c := range slices.Concat(p.Canary, p.Stable) {
		switch {
		case bad(c.Total) || bad(c.Bad):
			return fmt.Errorf("pod %q reports %v requests, %v of them bad: counters must be finite and not negative", c.Pod, c.Total, c.Bad)
		case c.Bad > c.Total:
			return fmt.Errorf("pod %q reports %v bad requests of %v: the series of bad must be a subset of those of total", c.Pod, c.Bad, c.Total)
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
// lags, and counts nothing. A canary pod started during the run, so its whole
// value counts, unless the ledger begins after the run: what it then holds would
// be set against a stable version counted from now. A stable pod's first value is
// only a baseline, because it may hold weeks of requests that the first polls
// missed. A pod that is missing keeps its last value, because a failed scrape is
// not a reset.
func (l Ledger) Advance(p Poll, from time.Time) Ledger {
	if !p.EvaluatedAt.After(l.EvaluatedAt) {
		return l
	}
	next := l
	next.Pods = make(map[string]lastCounter, len(l.Pods))
	maps.Copy(next.Pods, l.Pods)
	next.forget(p, p.EvaluatedAt.Add(-forgetAfter))
	next.Fresh, next.Unheld = nil, 0
	first := l.Polls == 0
	terms := terms{stage: from.UnixMilli(), late: l.EvaluatedAt.Add(-p.freshness()).UnixMilli()}
	stable := next.take(p.Stable, true, terms)
	terms.whole = !first || p.beginsRun()
	canary := next.take(p.Canary, false, terms)
	next.Canary, next.Stable = l.Canary.Add(canary.all), l.Stable.Add(stable.all)
	next.Polls++
	bin := Bin{l.EvaluatedAt.UnixMilli(), p.EvaluatedAt.UnixMilli(), canary.all.minus(canary.late)}
	if first {
		next.Since, next.Before = p.EvaluatedAt, canary.all.Total
		bin.From = p.RunStart.UnixMilli()
	}
	if !from.Equal(l.StageFrom) {
		next.StageFrom, next.Stage, next.StageStable = from, Counts{}, Counts{}
	}
	next.Beside += stable.all.Total
	if first || canary.all.Total > 0 || !from.Equal(l.StageFrom) {
		next.MovedAt, next.Beside = p.EvaluatedAt, 0
	}
	next.Stage, next.StageStable = next.Stage.Add(canary.stage), next.StageStable.Add(stable.stage)
	next.Bins = addBins(l.Bins, bin.At, Bin{canary.lateFrom, bin.At, canary.late}, bin)
	next.EvaluatedAt = p.EvaluatedAt
	return next
}

func (c Counts) minus(d Counts) Counts { return Counts{c.Total - d.Total, c.Bad - d.Bad} }
