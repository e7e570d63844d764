package analysis

import (
	"fmt"
	"maps"
	"time"
)

// maxPods and forgetAfter bound how many pods a ledger has: about 60 bytes each, so 60 KB
// of an object of at most 1.5 MB. A pod without a sample for forgetAfter has ended, and is
// dropped when there is no room for others.
const (
	maxPods     = 1000
	forgetAfter = 15 * time.Minute
)

func (l Ledger) age(c lastCounter) time.Duration {
	return l.EvaluatedAt.Sub(time.UnixMilli(c.SampledAt))
}

// take adds a poll's counters of one version and returns what its pods served since their
// last samples.
func (l *Ledger) take(pods []PodCounter, stable bool) []Scrape {
	var scrapes []Scrape
	for _, c := range pods {
		if c.Fault() != "" {
			if stable {
				l.Unusable++
			}
			continue
		}
		c.Counts = c.rounded()
		at := c.SampledAt.UnixMilli()
		last, seen := l.Pods[c.Pod]
		switch {
		case seen && at <= last.SampledAt || c.beforeReady() || c.unready():
			continue
		case !seen && len(l.Pods) >= maxPods:
			l.Unheld++
			continue
		case !seen:
			l.Pods[c.Pod] = lastCounter{Counts: c.Counts, SampledAt: at, ReadyAt: readyAt(c, at), Stable: stable}
			continue
		case last.SampledAt < readyAt(c, 0):
			l.Pods[c.Pod] = last.readyAgain(c)
			continue
		}
		next, served := last.follow(c.Counts, at)
		l.Pods[c.Pod] = next
		if served != (Counts{}) {
			scrapes = append(scrapes, Scrape{Pod: c.Pod, From: last.SampledAt, To: at, ReadyAt: next.ReadyAt, Counts: served})
		}
	}
	return scrapes
}

// readyAt is since when a pod has been ready in Unix milliseconds, otherwise when that is
// not known.
func readyAt(c PodCounter, otherwise int64) int64 {
	if c.ReadyAt.IsZero() {
		return otherwise
	}
	return c.ReadyAt.UnixMilli()
}

// beforeReady reports whether a sample is older than the pod's readiness.
func (c PodCounter) beforeReady() bool { return c.SampledAt.Before(c.ReadyAt) }

// unready reports whether a pod was not ready when it was sampled.
func (c PodCounter) unready() bool { return !c.UnreadyAt.IsZero() && c.SampledAt.After(c.UnreadyAt) }

// Answers reports whether the counts are those after a poll, with all of its pods. If not, v
// is the verdict, whatever the counts are.
func (l Ledger) Answers(p Poll) (v Verdict, ok bool) {
	switch {
	case !l.EvaluatedAt.Equal(p.EvaluatedAt):
		return Verdict{Reason: Stale, Message: fmt.Sprintf("the response is of %s, but one of %s has been counted: the clock of Belay or of the source was set back",
			p.EvaluatedAt.UTC().Format(time.RFC3339), l.EvaluatedAt.UTC().Format(time.RFC3339))}, false
	case l.Unheld > 0:
		return Verdict{Reason: TooManySeries, Message: fmt.Sprintf("the response has %d pods more than the %d that Belay tracks for one query", l.Unheld, maxPods)}, false
	}
	return Verdict{}, true
}

// forget drops pods without a sample since the given time, when there might not be room for
// the pods of a poll. Pods in the poll stay; otherwise their whole values would count again.
func (l *Ledger) forget(p Poll, since time.Time) {
	if len(l.Pods)+len(p.Canary)+len(p.Stable) <= maxPods {
		return
	}
	here := map[string]bool{}
	for _, pods := range [][]PodCounter{p.Canary, p.Stable} {
		for _, c := range pods {
			here[c.Pod] = true
		}
	}
	maps.DeleteFunc(l.Pods, func(name string, c lastCounter) bool { return !here[name] && c.SampledAt < since.UnixMilli() })
}
