package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Counts are a number of requests, and of the bad ones among them.
type Counts struct {
	Total float64 `json:"n"`
	Bad   float64 `json:"e"`
}

// Add returns the sum.
func (c Counts) Add(d Counts) Counts { return Counts{c.Total + d.Total, c.Bad + d.Bad} }

// Ratio is the ratio of bad requests; 0 without requests.
func (c Counts) Ratio() float64 {
	if c.Total == 0 {
		return 0
	}
	return c.Bad / c.Total
}

// PodCounter is one pod's cumulative counters at a poll.
type PodCounter struct {
	Pod string
	// Counts since the container started.
	Counts
	// SampledAt is the scrape time.
	SampledAt time.Time
	// Unusable says why the sample cannot be used, as its reader found out; empty for nothing.
	Unusable string
	// ReadyAt is since when the pod has been ready without a break, as the API server
	// reports; zero when that is not known. What it counted before that, such as probes of
	// a starting container, is not requests of users.
	ReadyAt time.Time
	// UnreadyAt is since when the pod is not ready; zero while it is, and when that is not
	// known.
	UnreadyAt time.Time
	// StartedAt is the latest start of one of the pod's containers; zero when it is not
	// known.
	StartedAt time.Time
	// Destination is set for a counter of what was sent to a version, by its name; Pod is then
	// one counter of it, such as one gateway's. All of them are one pod to what a burst or a
	// beginning explains, because requests are spread over the pods behind it.
	Destination string
	// WarmedFrom is since when half of the destination's pods have been ready: what is counted
	// is as young as they are. Zero when that is not known.
	WarmedFrom time.Time
}

// Poll is the result of one query at one evaluation time.
type Poll struct {
	EvaluatedAt    time.Time
	Canary, Stable []PodCounter
	// ScrapeInterval of the source. Zero means not known; slowestScrape is used then.
	ScrapeInterval time.Duration
	// WarmUps are those that the triggers of the ledger have; see Ledger.Mature.
	WarmUps []time.Duration
}

// slowestScrape is the longest interval between polls.
const slowestScrape = 15 * time.Second

// freshness is the greatest age of a pod's last sample.
func (p Poll) freshness() time.Duration {
	q := Quality{ScrapeInterval: p.ScrapeInterval}
	if q.ScrapeInterval <= 0 {
		q.ScrapeInterval = slowestScrape
	}
	return q.freshness()
}

// Ledger turns polls of cumulative counters into exact counts over a run. It can be stored
// as JSON and continued: the next difference then spans a longer time and is still exact. A
// repeated poll changes nothing.
type Ledger struct {
	// EvaluatedAt of the newest poll.
	EvaluatedAt time.Time `json:"at"`
	// Since is the evaluation time of the first poll.
	Since time.Time `json:"since"`
	// Polls that changed anything.
	Polls int `json:"polls"`
	// Pods holds the last counters of every pod seen.
	Pods map[string]lastCounter `json:"pods,omitempty"`
	// Unheld is how many pods of the newest poll exceed maxPods. They are not counted, so
	// nothing can be judged.
	Unheld int `json:"unheld,omitempty"`
	// Unusable is how many of stable's pods in the newest poll have a Fault.
	Unusable int `json:"unusable,omitempty"`
	// Canary and Stable are the counts since each pod's baseline.
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
	// Fresh are the scrapes of the canary's pods that were new in the newest poll and have
	// requests. Their sum is what the poll added to Canary. They are not stored.
	Fresh []Scrape `json:"-"`
	// Bins are the canary's counts over time, newest last, for burn windows.
	Bins []Bin `json:"bins,omitempty"`
	// StageFrom is when the present stage began, and Stage the canary's counts
	// since each pod's first sample after it; StageStable is stable's.
	StageFrom   time.Time `json:"stageFrom"`
	Stage       Counts    `json:"stage"`
	StageStable Counts    `json:"stageStable"`
	// StageTime is for how long the canary's pods have served for Stage, in milliseconds: the
	// sum over the pods. StageStableTime is stable's.
	StageTime       int64 `json:"stageTime,omitempty"`
	StageStableTime int64 `json:"stageStableTime,omitempty"`
	// Ended is what the stages before have cost.
	Ended ended `json:"ended,omitzero"`
	// Matured are the counts of the canary's pods after each of the poll's warm-ups.
	Matured []matured `json:"matured,omitempty"`
	// Young is how many requests of the stage Mature has left out. It is not stored.
	Young float64 `json:"-"`
	// MovedAt is the evaluation time of the poll at which the candidate's counts last
	// increased in this stage, or of the stage's first poll. Beside is the number of
	// requests that stable has served since then.
	MovedAt time.Time `json:"movedAt"`
	Beside  float64   `json:"beside,omitempty"`
}

// Fault is why a pod's counters cannot be used, empty when they can: they are Unusable,
// negative, infinite or NaN, or have more bad requests than requests. What may be rounding is
// none.
func (c PodCounter) Fault() string {
	switch {
	case c.Unusable != "":
		return c.Unusable
	case bad(c.Total) || bad(c.Bad+c.noise()):
		return fmt.Sprintf("pod %q reports %v requests, %v of them bad: counters must be finite and not negative", c.Pod, c.Total, c.Bad)
	case c.Bad > c.Total+c.noise():
		return fmt.Sprintf("pod %q reports %v bad requests of %v: the series of bad must be a subset of those of total", c.Pod, c.Bad, c.Total)
	}
	return ""
}

// rounding is the greatest error of a sum or a difference of counters, as a part of it: that
// of a float64 is 1e-16, and a source adds up many.
const rounding = 1e-12

// noise is how much of a count may be a rounding error; less than one request.
func (c Counts) noise() float64 { return min(0.5, rounding*max(1, c.Total)) }

// rounded are the counts with no fewer bad requests than 0 and no more than requests.
func (c Counts) rounded() Counts { return Counts{c.Total, min(max(0, c.Bad), c.Total)} }

func bad(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) || v < 0 }

// KnownBad is the bad requests where a counter can have that number, whatever the Fault of the
// others; 0 otherwise.
func (c PodCounter) KnownBad() float64 {
	if bad(c.Bad) || c.Bad > MaxCount {
		return 0
	}
	return c.Bad
}

// Advance returns the ledger after a poll. from is when the present stage began. The
// receiver is not changed.
//
//   - A pod counts from its baseline, which is its first sample since it is ready, or
//     its first sample when it is not known since when.
//   - A pod that is not ready adds nothing but the scrape in which it lost its readiness,
//     which has what made it lose it, and when it is ready again it has a new baseline: in
//     between it served probes. It is young again only when a container restarted, so that
//     a pod whose readiness flaps does not stay young.
//   - A counter that decreased counts from its new value on: what it counted before is
//     history, whether its container restarted or a series is missing. What is missing does
//     not count when it comes back, and a stable pod that seems to double has a series more.
//   - Differences that may be rounding errors are none.
//   - There may be more new bad requests than new requests, but not in all.
//   - A pod whose counters have a Fault adds nothing, as one whose scrape was lost: its next
//     sample has what it served meanwhile. A pod of stable's is not known to be idle then.
//   - A counter with an older sample than the last one comes from a replica that lags
//     behind, and adds nothing.
//   - A pod without a sample keeps its last value, because a failed scrape is not a reset.
func (l Ledger) Advance(p Poll, from time.Time) Ledger {
	if !p.EvaluatedAt.After(l.EvaluatedAt) {
		return l
	}
	next := l
	newStage := !from.Equal(l.StageFrom)
	if newStage {
		next = l.endStage()
		next.StageFrom = from
	}
	next.Pods = make(map[string]lastCounter, len(l.Pods))
	maps.Copy(next.Pods, l.Pods)
	next.makeRoom(p)
	next.Unheld, next.Unusable = 0, 0
	first := l.Polls == 0
	terms := terms{stage: from.UnixMilli(), late: l.EvaluatedAt.Add(-p.freshness()).UnixMilli()}
	stable := terms.sum(next.take(p.Stable, true))
	scrapes := next.take(p.Canary, false)
	canary := terms.sum(scrapes)
	next.Fresh = slices.DeleteFunc(scrapes, func(s Scrape) bool { return s.Counts == Counts{} })
	next.Canary, next.Stable = l.Canary.Add(canary.all).rounded(), l.Stable.Add(stable.all).rounded()
	next.Polls++
	if first {
		next.Since = p.EvaluatedAt
	}
	next.Beside += stable.all.Total
	if first || canary.all.Total > 0 || newStage {
		next.MovedAt, next.Beside = p.EvaluatedAt, 0
	}
	next.Stage, next.StageStable = next.Stage.Add(canary.stage).rounded(), next.StageStable.Add(stable.stage).rounded()
	next.StageTime, next.StageStableTime = next.StageTime+canary.time, next.StageStableTime+stable.time
	next.EvaluatedAt = p.EvaluatedAt
	next.Bins = addBins(l.Bins, canary.bins(l.EvaluatedAt, p.EvaluatedAt)...)
	next.Matured = nil
	for _, warmUp := range p.WarmUps {
		m := l.matured(warmUp)
		if newStage {
			m.Stage = Counts{}
		}
		next.Matured = append(next.Matured, m.add(terms.sum(mature(next.Fresh, warmUp)), l.EvaluatedAt, p.EvaluatedAt))
	}
	return next
}

func (c Counts) minus(d Counts) Counts { return Counts{c.Total - d.Total, c.Bad - d.Bad} }

// atLeast and atMost are the greater and the smaller number of each.
func (c Counts) atLeast(d Counts) Counts { return Counts{max(c.Total, d.Total), max(c.Bad, d.Bad)} }
func (c Counts) atMost(d Counts) Counts  { return Counts{min(c.Total, d.Total), min(c.Bad, d.Bad)} }
