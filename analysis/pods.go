package analysis

import (
	"encoding/json"
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

// lastCounter is the last counters of a pod.
type lastCounter struct {
	Counts
	SampledAt int64
	// ReadyAt is since when the pod has been ready, or the time of its first sample when
	// that is not known.
	ReadyAt int64
	Stable  bool
	// Doubts are the newest consecutive samples with lower values than Counts. They are not
	// counted until there are enough of them.
	Doubts *doubts
}

type doubts struct {
	Counts
	SampledAt int64
	Samples   int
}

// MarshalJSON writes five numbers, or nine with doubts, because there are many.
func (c lastCounter) MarshalJSON() ([]byte, error) {
	v := []float64{float64(c.SampledAt), c.Total, c.Bad, 0, float64(c.SampledAt - c.ReadyAt)}
	if c.Stable {
		v[3] = 1
	}
	if d := c.Doubts; d != nil {
		v = append(v, float64(d.SampledAt), d.Total, d.Bad, float64(d.Samples))
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *lastCounter) UnmarshalJSON(raw []byte) error {
	v, err := numbers(raw, 5, 9)
	if err != nil {
		return fmt.Errorf("a pod's counters: %w", err)
	}
	*c = lastCounter{Counts: Counts{v[1], v[2]}, SampledAt: int64(v[0]), ReadyAt: int64(v[0]) - int64(v[4]), Stable: v[3] == 1}
	if len(v) == 9 {
		c.Doubts = &doubts{Counts{v[6], v[7]}, int64(v[5]), int(v[8])}
	}
	return nil
}

// A counter that decreased has restarted, or is incomplete: one of a pod's targets or series
// was missing from the response, or it came from a replica that lags behind. Missing series
// come back, so a decrease counts as a restart only when it lasts: for samplesOfARestart
// samples when a restarted container can have reached the total, otherwise for
// samplesOfAnyFall.
const (
	samplesOfARestart = 2
	samplesOfAnyFall  = 4
)

// follow returns a pod's counters after another sample, and the requests that it has served
// since the last sample that counted. ok is false while that is not known.
func (c lastCounter) follow(now Counts, at int64) (next lastCounter, served Counts, ok bool) {
	if d := now.minus(c.Counts); d.sound() {
		return c.based(now, at), d, true
	}
	samples, enough := 1, samplesOfAnyFall
	if d := c.Doubts; d != nil && now.Total >= d.Total && now.Bad >= d.Bad {
		samples += d.Samples
		if c.restarted(now, at) {
			enough = samplesOfARestart
		}
	}
	if samples >= enough {
		return c.based(now, at), now, true
	}
	c.Doubts = &doubts{now, at, samples}
	return c, Counts{}, false
}

// based returns the counter with a sample to count from.
func (c lastCounter) based(now Counts, at int64) lastCounter {
	c.Counts, c.SampledAt, c.Doubts = now, at, nil
	return c
}

// paceChange is how many times slower a pod may be since it restarted.
const paceChange = 4

// restarted reports whether a container that started after the last sample can have served
// the lower total by now, at the pace of the newest samples.
func (c lastCounter) restarted(now Counts, at int64) bool {
	served, took := now.Total-c.Doubts.Total, float64(at-c.Doubts.SampledAt)
	return now.Total < c.Total && now.Total*took <= paceChange*served*float64(at-c.SampledAt)
}

// seenAt is the time of the newest sample, counted or not.
func (c lastCounter) seenAt() int64 {
	if c.Doubts != nil {
		return c.Doubts.SampledAt
	}
	return c.SampledAt
}

func (l Ledger) age(c lastCounter) time.Duration {
	return l.EvaluatedAt.Sub(time.UnixMilli(c.seenAt()))
}

// take adds a poll's counters of one version and returns what its pods served since their
// last samples.
func (l *Ledger) take(pods []PodCounter, stable bool) []Scrape {
	var scrapes []Scrape
	for _, c := range pods {
		at := c.SampledAt.UnixMilli()
		last, seen := l.Pods[c.Pod]
		switch {
		case seen && at <= last.seenAt() || c.beforeReady():
			continue
		case c.unready():
			// Its next baseline is the first sample since it is ready again.
			delete(l.Pods, c.Pod)
			continue
		case !seen && len(l.Pods) >= maxPods:
			l.Unheld++
			continue
		case !seen || last.SampledAt < readyAt(c, 0):
			l.Pods[c.Pod] = lastCounter{Counts: c.Counts, SampledAt: at, ReadyAt: readyAt(c, at), Stable: stable}
			continue
		}
		last.ReadyAt = readyAt(c, last.ReadyAt)
		next, served, ok := last.follow(c.Counts, at)
		l.Pods[c.Pod] = next
		if ok && served != (Counts{}) {
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

// Complete reports whether all pods of the newest poll are counted. If not, v is the
// verdict, whatever the counts are.
func (l Ledger) Complete() (v Verdict, ok bool) {
	if l.Unheld == 0 {
		return Verdict{}, true
	}
	return Verdict{Reason: TooManySeries, Message: fmt.Sprintf("the response has %d pods more than the %d that Belay tracks for one query", l.Unheld, maxPods)}, false
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
	maps.DeleteFunc(l.Pods, func(name string, c lastCounter) bool { return !here[name] && c.seenAt() < since.UnixMilli() })
}
