package analysis

import (
	"fmt"
	"time"
)

// Quality says what a complete and fresh answer looks like.
type Quality struct {
	// ScrapeInterval of the source.
	ScrapeInterval time.Duration
	// ReadyPods of the candidate, by the API server.
	ReadyPods int
	// Weight is the candidate's share of the requests as the gateway acknowledged
	// it, in percent.
	Weight int
}

// freshFor is how many scrape intervals old a sample may be, and coverage the
// share of ready pods that must have a fresh one.
const (
	freshFor = 2
	coverage = 0.9
)

// grace is added to freshness for the time between a scrape and its visibility.
const grace = 2 * time.Second

// Judge checks freshness and coverage of the canary's samples. ok is false when
// the verdict given is the reason not to decide on them.
func (q Quality) Judge(p Poll) (v Verdict, ok bool) {
	if q.ReadyPods == 0 {
		return Verdict{Reason: Pending, Message: "the candidate has no ready pods"}, false
	}
	limit := q.freshness()
	fresh := 0
	var newest time.Time
	for _, c := range p.Canary {
		if c.SampledAt.After(newest) {
			newest = c.SampledAt
		}
		if p.EvaluatedAt.Sub(c.SampledAt) <= limit {
			fresh++
		}
	}
	switch {
	case len(p.Canary) == 0:
		return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("the source knows none of the candidate's %d ready pods", q.ReadyPods)}, false
	case newest.IsZero():
		return Verdict{Reason: Stale, Message: "the source says of no sample when it was scraped"}, false
	case fresh == 0:
		age := p.EvaluatedAt.Sub(newest).Round(time.Second)
		return Verdict{Reason: Stale, Message: fmt.Sprintf("the newest sample is %s old; %s is fresh", age, limit)}, false
	case float64(min(fresh, q.ReadyPods)) < coverage*float64(q.ReadyPods):
		return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("fresh samples of %d of the candidate's %d ready pods", fresh, q.ReadyPods)}, false
	}
	return Verdict{}, true
}

// A candidate is idle when it has served nothing in idleScrapes intervals of its
// source, while stable served so much that the candidate's share of it would be
// idleShare requests: by chance it serves none in 1 of e^20 cases, and in 1 of
// e^5 when requests that come past the routes make its share four times smaller.
const (
	idleScrapes = 6
	idleShare   = 20
)

func (q Quality) idle(l Ledger) bool {
	return l.EvaluatedAt.Sub(l.MovedAt) >= idleScrapes*q.ScrapeInterval && l.Beside*float64(q.Weight) >= idleShare*float64(100-q.Weight)
}

// JudgeShare looks at whether the counts can be those of the candidate at its
// weight. Of a pod whose counters fell, it is not known yet what it served: ok
// is false while there is one. And ok is false when it serves nothing any more
// while stable does, or a share so far from the weight that the wrong pods must
// have been counted. A share may differ much: requests also come past the routes.
func (q Quality) JudgeShare(l Ledger, minimum int64) (v Verdict, ok bool) {
	if n := q.doubtful(l); n > 0 {
		return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("the counters of %d of the candidate's pods have fallen: restarted, or incomplete", n)}, false
	}
	if q.Weight <= 0 || q.Weight >= 100 {
		return Verdict{}, true
	}
	total := l.Stage.Total + l.StageStable.Total
	share, weight := l.Stage.Total/max(total, 1), float64(q.Weight)/100
	switch {
	case q.idle(l):
		return Verdict{Reason: Stale, Message: fmt.Sprintf("the candidate's counters have not moved in %s, while stable served %.0f requests",
			l.EvaluatedAt.Sub(l.MovedAt).Round(time.Second), l.Beside)}, false
	case total < float64(minimum):
		return Verdict{}, true
	case l.Stage.Total > 0 && l.StageStable.Total == 0:
		return Verdict{Reason: BaselineMissing, Message: fmt.Sprintf("stable should serve %d %% of the requests, but none were counted", 100-q.Weight)}, false
	case share < weight/mismatch || 1-share < (1-weight)/mismatch:
		return Verdict{Reason: WeightMismatch, Message: fmt.Sprintf("the candidate served %s of the requests counted, its weight is %d %%: its pods may be counted as stable's, or the other way round",
			percent(share), q.Weight)}, false
	}
	return Verdict{}, true
}

// knowsSilence reports whether a stable version without requests is known to
// serve none: it is not to serve any, or every one of its pods says so.
func (q Quality) knowsSilence(l Ledger) bool {
	fresh, known := q.stablePods(l)
	return q.Weight >= 100 || known > 0 && fresh == known
}

// baselineMissing reports whether stable should serve, and nothing is known of
// what it does serve.
func (q Quality) baselineMissing(l Ledger) bool {
	fresh, _ := q.stablePods(l)
	return q.Weight < 100 && (fresh == 0 || l.Stable.Total == 0)
}

// doubtful is how many of the canary's pods show less than before.
func (q Quality) doubtful(l Ledger) int {
	n := 0
	for _, c := range l.Pods {
		if !c.Stable && c.Doubts != nil && l.age(c) <= q.freshness() {
			n++
		}
	}
	return n
}

// stablePods is how many of stable's pods have a fresh sample, and how many have
// not ended long ago.
func (q Quality) stablePods(l Ledger) (fresh, known int) {
	for _, c := range l.Pods {
		if !c.Stable {
			continue
		}
		age := l.age(c)
		if age <= forgetAfter {
			known++
		}
		if age <= q.freshness() {
			fresh++
		}
	}
	return fresh, known
}

// freshness is how old a fresh sample may be.
func (q Quality) freshness() time.Duration { return freshFor*q.ScrapeInterval + grace }

// mismatch is how many times smaller than asked for a side's share may be.
const mismatch = 4
