package analysis

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Quality says what a complete and fresh response looks like.
type Quality struct {
	// ScrapeInterval of the source.
	ScrapeInterval time.Duration
	// ReadyPods is how many of the candidate's pods are ready, as the API server
	// reports.
	ReadyPods int
	// Weight of the candidate in percent, as the gateway acknowledged it.
	Weight int
	// Background is how many requests a second each of the candidate's targets gets that are
	// not its users', by source: probes of the kubelet, scrapes. It is not known which of them
	// the metric counts.
	Background []float64
	// Metric that was queried, for messages; empty leaves it out.
	Metric string
	// Destination is the name by which gateways or others count the candidate's requests; empty
	// when its pods do.
	Destination string
	// Routed is set when only requests that the routes distribute are counted.
	Routed bool
	// Chosen is set when callers choose a pod by its name, as they do of a StatefulSet: a
	// leader may serve all writes. Then shares say nothing about whose pods were counted.
	Chosen bool
}

// freshFor is how many scrape intervals old a sample may be, and coverage the part
// of the ready pods that must have a fresh one.
const (
	freshFor = 2
	coverage = 0.9
)

// grace is added to freshness for the time between a scrape and when queries see it.
const grace = 2 * time.Second

// Judge checks freshness and coverage of the canary's samples. ok is false when
// they cannot be used; the verdict then says why.
func (q Quality) Judge(p Poll) (v Verdict, ok bool) {
	if q.Destination != "" {
		return q.judgeDestination(p)
	}
	if q.ReadyPods == 0 {
		return Verdict{Reason: Pending, Message: "the candidate has no ready pods"}, false
	}
	limit := q.freshness()
	faults, fault := faultsOf(p.Canary)
	fresh := 0
	var newest time.Time
	for _, c := range p.Canary {
		if c.Fault() != "" {
			continue
		}
		if c.SampledAt.After(newest) {
			newest = c.SampledAt
		}
		if p.EvaluatedAt.Sub(c.SampledAt) <= limit {
			fresh++
		}
	}
	switch {
	case len(p.Canary) == 0:
		return Verdict{Reason: PartialCoverage, Message: q.noSeries(len(p.Stable) > 0)}, false
	case float64(min(fresh, q.ReadyPods)) >= coverage*float64(q.ReadyPods):
		return Verdict{}, true
	case faults > 0:
		return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("%s; the samples of %d of the candidate's %d ready pods cannot be used", fault, faults, q.ReadyPods)}, false
	case newest.IsZero():
		return Verdict{Reason: Stale, Message: noScrapeTime}, false
	case fresh == 0:
		return Verdict{Reason: Stale, Message: stale(p.EvaluatedAt.Sub(newest), limit)}, false
	default:
		return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("%d of the candidate's %d ready pods have fresh samples, %.0f %% are needed", fresh, q.ReadyPods, 100*coverage)}, false
	}
}

const noScrapeTime = "the samples in the response have no scrape time"

func stale(age, limit time.Duration) string {
	return fmt.Sprintf("the newest sample is %s old, at most %s is allowed", age.Round(time.Second), limit)
}

// Noting is the verdict whose message says which pods of a poll are left out because of a
// Fault.
func (v Verdict) Noting(p Poll) Verdict {
	if note := p.LeftOut(); note != "" {
		v.Message += "; " + note
	}
	return v
}

// LeftOut says which pods of a poll are not counted because of a Fault; empty for none.
func (p Poll) LeftOut() string {
	canary, fault := faultsOf(p.Canary)
	stable, ofStable := faultsOf(p.Stable)
	if canary+stable == 0 {
		return ""
	}
	return fmt.Sprintf("pods left out: %d (%s)", canary+stable, cmp.Or(fault, ofStable))
}

// noSeries says that no sample of the candidate's pods came, and what to look at.
func (q Quality) noSeries(ofStable bool) string {
	series := "series"
	if q.Metric != "" {
		series += " " + q.Metric
	}
	if ofStable {
		return fmt.Sprintf("the source has no %s for the candidate's %d ready pods, only for stable's: they may not be scraped yet", series, q.ReadyPods)
	}
	return fmt.Sprintf("the source has no %s for any pod, stable's included: check its name and labels in the guardrail, that the pods are scraped, and spec.labels of the MetricSource", series)
}

// A candidate is idle when it has served nothing in idleScrapes intervals of its
// source, while stable served so many requests that the candidate should have got
// idleShare of them: by chance it gets none in 1 of e^20 cases, and in 1 of e^5
// when callers that bypass the routes make its share four times smaller.
const (
	idleScrapes = 6
	idleShare   = 20
)

func (q Quality) idle(l Ledger) bool {
	return l.EvaluatedAt.Sub(l.MovedAt) >= idleScrapes*q.ScrapeInterval && l.Beside*float64(q.Weight) >= idleShare*float64(100-q.Weight)
}

// JudgeShare checks whether the counts fit the candidate's weight. ok is false when
// they cannot be used: while a pod's counters have decreased and it is not known yet
// whether it restarted; when the candidate gets no more requests while stable does;
// when all that it gets may be its background; and when its share is so far from the
// weight that pods of the wrong version must have been counted.
func (q Quality) JudgeShare(l Ledger) (v Verdict, ok bool) {
	if n := q.doubtful(l); n > 0 {
		return Verdict{Reason: PartialCoverage, Message: fmt.Sprintf("the counters of %d of the candidate's %s decreased: it is not known yet whether they restarted or a scrape was incomplete", n, q.counters())}, false
	}
	if q.Weight <= 0 || q.Weight >= 100 {
		return Verdict{}, true
	}
	canaryLeast, stableLeast := q.leastShares(l)
	freshStable, _ := q.stablePods(l)
	total := l.Stage.Total + l.StageStable.Total
	switch {
	case q.idle(l):
		return Verdict{Reason: Stale, Message: fmt.Sprintf("the candidate's counters have not increased for %s, while stable served %.0f requests",
			l.EvaluatedAt.Sub(l.MovedAt).Round(time.Second), l.Beside)}, false
	case l.StageStable.Total == 0 && (freshStable == 0 || isRare(0, total, stableLeast)):
		return Verdict{Reason: BaselineMissing, Message: fmt.Sprintf("stable should serve %d %% of the requests, but none of its requests were counted", 100-q.Weight)}, false
	case q.isBackground(l):
		return Verdict{Reason: WeightMismatch, Message: fmt.Sprintf("the candidate's %.0f requests at this weight are as many as its probes and scrapes: users may not reach it; if they do, exclude the paths of probes and metrics in the indicator", l.Stage.Total)}, false
	case !q.Chosen && (isRare(l.Stage.Total, total, canaryLeast) || isRare(l.StageStable.Total, total, stableLeast)):
		return Verdict{Reason: WeightMismatch, Message: fmt.Sprintf("the candidate served %s of the counted requests at a weight of %d %%: %s",
			percent(l.Stage.Total/total), q.Weight, q.misrouted())}, false
	}
	return Verdict{}, true
}

// leastShares are the smallest shares of the requests that canary and stable may have.
// Callers that bypass the routes, which gateways do not count, reach the pods evenly, so that a version's share is between
// its weight and its part of the pods. It may be mismatch times smaller, because users differ
// in how much they request and may stick to a pod. When the pods of one version have been
// scraped for a shorter time in this stage, its share is smaller by that.
func (q Quality) leastShares(l Ledger) (canary, stable float64) {
	weight := float64(q.Weight) / 100
	canary, stable = weight, 1-weight
	freshCanary := q.canaryPods(l)
	freshStable, _ := q.stablePods(l)
	if freshCanary > 0 && freshStable > 0 && !q.Routed {
		pods := float64(freshCanary) / float64(freshCanary+freshStable)
		canary, stable = min(canary, pods), min(stable, 1-pods)
	}
	ofCanary := float64(l.StageTime) / float64(max(1, freshCanary))
	ofStable := float64(l.StageStableTime) / float64(max(1, freshStable))
	part := func(share, own, other float64) float64 { return share * own / (share*own + (1-share)*other) / mismatch }
	return part(canary, ofCanary, ofStable), part(stable, ofStable, ofCanary)
}

// mismatch is how many times smaller than it should be a side's share may be.
const mismatch = 2

// isBackground reports whether the candidate's requests are as many as some sources of its
// background make. They come at fixed intervals: in a time that is known, each makes at most
// one more or less for each target, and backgroundDrift more or less. Requests of users that
// are as many by chance are not so for long.
func (q Quality) isBackground(l Ledger) bool {
	targets := float64(q.canaryPods(l))
	for set := 1; set < 1<<min(len(q.Background), maxBackground); set++ {
		made, tolerance := 0.0, 0.0
		for i, rate := range q.Background[:min(len(q.Background), maxBackground)] {
			if set>>i&1 == 1 {
				made, tolerance = made+rate*float64(l.StageTime)/1000, tolerance+targets
			}
		}
		if made > 0 && math.Abs(l.Stage.Total-made) <= tolerance+backgroundDrift*made {
			return true
		}
	}
	return false
}

const (
	backgroundDrift = 0.005
	maxBackground   = 6
)

// knowsSilence reports whether it is known that stable serves no requests: its
// weight is 0, or every one of its pods has a fresh sample that can be used.
func (q Quality) knowsSilence(l Ledger) bool {
	fresh, known := q.stablePods(l)
	return q.Weight >= 100 || known > 0 && fresh == known && l.Unusable == 0
}

// baselineMissing reports whether stable should serve requests, but there is no
// fresh sample of its pods.
func (q Quality) baselineMissing(l Ledger) bool {
	fresh, _ := q.stablePods(l)
	return q.Weight < 100 && (fresh == 0 || l.Stable.Total == 0)
}

// doubtful is how many of the canary's pods have counters that decreased.
func (q Quality) doubtful(l Ledger) int {
	n := 0
	for _, c := range l.Pods {
		if !c.Stable && c.Doubt > 0 && l.age(c) <= q.freshness() {
			n++
		}
	}
	return n
}

// canaryPods is how many of the canary's pods have a fresh sample.
func (q Quality) canaryPods(l Ledger) int {
	n := 0
	for _, c := range l.Pods {
		if !c.Stable && l.age(c) <= q.freshness() {
			n++
		}
	}
	return n
}

// stablePods is how many of stable's pods have a fresh sample, and how many had one
// within endedAfter.
func (q Quality) stablePods(l Ledger) (fresh, known int) {
	for _, c := range l.Pods {
		if !c.Stable {
			continue
		}
		age := l.age(c)
		if age <= endedAfter {
			known++
		}
		if age <= q.freshness() {
			fresh++
		}
	}
	return fresh, known
}

// freshness is the greatest age of a fresh sample.
func (q Quality) freshness() time.Duration { return freshFor*q.ScrapeInterval + grace }
