package analysis

import (
	"cmp"
	"fmt"
	"time"
)

// judgeDestination is Judge for counters of a destination. They exist for each gateway or
// client that has sent it a request, so there is no number of them that must be there: without
// any of the candidate, while stable has fresh ones, nobody has sent it a request yet. It does
// not matter whether its pods are ready: what a gateway answers in their place reaches users.
func (q Quality) judgeDestination(p Poll) (v Verdict, ok bool) {
	limit := q.freshness()
	ofCanary, faultOfCanary := faultsOf(p.Canary)
	_, fault := faultsOf(p.Stable)
	sampled := false
	var newest time.Time
	for _, pods := range [][]PodCounter{p.Canary, p.Stable} {
		for _, c := range pods {
			if c.Fault() != "" {
				continue
			}
			sampled = sampled || !c.SampledAt.IsZero()
			if c.SampledAt.After(newest) {
				newest = c.SampledAt
			}
		}
	}
	switch age := p.EvaluatedAt.Sub(newest); {
	case float64(len(p.Canary)-ofCanary) < coverage*float64(len(p.Canary)):
		return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("%s; the samples of %d of the candidate's %d series cannot be used", faultOfCanary, ofCanary, len(p.Canary))}, false
	case sampled && age <= limit:
		return Verdict{}, true
	case fault != "":
		return Verdict{Reason: PartialCoverage, Message: fault}, false
	case len(p.Canary)+len(p.Stable) == 0:
		return Verdict{Reason: PartialCoverage, Message: q.noDestination()}, false
	case !sampled:
		return Verdict{Reason: Stale, Message: noScrapeTime}, false
	default:
		return Verdict{Reason: Stale, Message: stale(age, limit)}, false
	}
}

// faultsOf is how many counters have a Fault, and the first one.
func faultsOf(pods []PodCounter) (n int, first string) {
	for _, c := range pods {
		if f := c.Fault(); f != "" {
			n, first = n+1, cmp.Or(first, f)
		}
	}
	return n, first
}

// noDestination says that no series name the destination, and what to look at.
func (q Quality) noDestination() string {
	series := "series"
	if q.Metric != "" {
		series += " " + q.Metric
	}
	return fmt.Sprintf("the source has no %s for the destination %s or stable's: check the metric and destination in the guardrail, and that the gateway is scraped and has served requests", series, quoted(q.Destination))
}

// counters are what the candidate has counters of, in messages.
func (q Quality) counters() string {
	if q.Destination != "" {
		return "series"
	}
	return "pods"
}

// misrouted is what may be the cause of a share that does not fit the weight.
func (q Quality) misrouted() string {
	if q.Routed {
		return "another route may send requests to its Service, or the gateway does not use the weight"
	}
	return "pods of one version may be counted as the other's"
}
