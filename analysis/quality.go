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
	limit := freshFor*q.ScrapeInterval + grace
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
