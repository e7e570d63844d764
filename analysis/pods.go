package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// maxPods bounds how many pods a ledger has: enough for a promotion of 5,000 with one scraped
// target each, about 70 bytes each as JSON before compression. When there is no room for
// others, those that are longest without a sample are dropped.
const maxPods = 12_000

// endedAfter is how long a pod of stable without a sample may still have served something.
const endedAfter = 15 * time.Minute

func (l Ledger) age(c lastCounter) time.Duration {
	return l.EvaluatedAt.Sub(time.UnixMilli(c.SampledAt))
}

// take adds a poll's counters of one version and returns what its pods served since their
// last samples, also of those that served nothing.
func (l *Ledger) take(pods []PodCounter, stable bool) []Scrape {
	scrapes := make([]Scrape, 0, len(pods))
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
		case seen && at <= last.SampledAt || c.unready() && !last.lostBy(c):
			continue
		case last.Unready && c.ReadyAt.IsZero():
			// The pod has ended, or nothing is known of its readiness any more.
			continue
		case !seen && len(l.Pods) >= maxPods:
			l.Unheld++
			continue
		case !seen:
			l.Pods[c.Pod] = lastCounter{Counts: c.Counts, SampledAt: at, ReadyAt: readyAt(c, at), Stable: stable, Idle: !stable}
			continue
		case last.SampledAt < readyAt(c, 0) && !last.continues(c):
			l.Pods[c.Pod] = last.readyAgain(c)
			continue
		}
		next, served := last.follow(c.Counts, at)
		next.Unready = c.unready()
		next.begin(served)
		l.Pods[c.Pod] = next
		young := next.ReadyAt
		if !c.WarmedFrom.IsZero() {
			young = max(young, c.WarmedFrom.UnixMilli())
		}
		scrapes = append(scrapes, Scrape{Pod: cmp.Or(c.Destination, c.Pod), From: last.SampledAt, To: at, ReadyAt: young, Counts: served})
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

// Newest is the pod with the newest sample among those whose names are accepted, and whether it
// is one of stable's. ok is false without any.
func (l Ledger) Newest(accepted func(pod string) bool) (pod string, stable, ok bool) {
	for name, c := range l.Pods {
		if !accepted(name) {
			continue
		}
		if newest := l.Pods[pod]; !ok || cmp.Or(cmp.Compare(c.SampledAt, newest.SampledAt), cmp.Compare(name, pod)) > 0 {
			pod, stable, ok = name, c.Stable, true
		}
	}
	return pod, stable, ok
}

// WithoutPods returns the ledger without the last counters of its pods, when there is no room
// to store them. The next sample of each is a baseline again, so the requests since its last
// one are not counted.
func (l Ledger) WithoutPods() Ledger {
	l.Pods = nil
	return l
}

// makeRoom drops pods that are not in a poll when there is no room for those that are, the
// ones that are longest gone first. Pods of the poll stay: what they have served since their
// last samples is in it.
func (l *Ledger) makeRoom(p Poll) {
	over := len(l.Pods) + len(p.Canary) + len(p.Stable) - maxPods
	if over <= 0 {
		return
	}
	here := map[string]bool{}
	for _, pods := range [][]PodCounter{p.Canary, p.Stable} {
		for _, c := range pods {
			here[c.Pod] = true
			if _, known := l.Pods[c.Pod]; known {
				over--
			}
		}
	}
	var gone []string
	for name := range l.Pods {
		if !here[name] {
			gone = append(gone, name)
		}
	}
	slices.SortFunc(gone, func(a, b string) int {
		return cmp.Or(cmp.Compare(l.Pods[a].SampledAt, l.Pods[b].SampledAt), cmp.Compare(a, b))
	})
	for _, name := range gone[:min(max(0, over), len(gone))] {
		delete(l.Pods, name)
	}
}
