package analysis

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// maxPods and forgetAfter bound how many pods a ledger has: enough for a promotion of 5,000
// with one scraped target each, about 60 bytes each before compression. A pod without a sample for forgetAfter has ended, and is
// dropped when there is no room for others.
const (
	maxPods     = 12_000
	forgetAfter = 15 * time.Minute
)

// lastCounter is the last counters of a pod.
type lastCounter struct {
	Counts
	SampledAt int64
	Stable    bool
	// Doubts are the newest consecutive samples with lower values than Counts. They are not
	// counted until there are enough of them.
	Doubts *doubts
}

type doubts struct {
	Counts
	SampledAt int64
	Samples   int
}

// MarshalJSON writes four numbers, or eight with doubts, because there are many.
func (c lastCounter) MarshalJSON() ([]byte, error) {
	v := []float64{float64(c.SampledAt), c.Total, c.Bad, 0}
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
	v, err := numbers(raw, 4, 8)
	if err != nil {
		return fmt.Errorf("a pod's counters: %w", err)
	}
	*c = lastCounter{Counts: Counts{v[1], v[2]}, SampledAt: int64(v[0]), Stable: v[3] == 1}
	if len(v) == 8 {
		c.Doubts = &doubts{Counts{v[5], v[6]}, int64(v[4]), int(v[7])}
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
		return lastCounter{Counts: now, SampledAt: at, Stable: c.Stable}, d, true
	}
	samples, enough := 1, samplesOfAnyFall
	if d := c.Doubts; d != nil && now.Total >= d.Total && now.Bad >= d.Bad {
		samples += d.Samples
		if c.restarted(now, at) {
			enough = samplesOfARestart
		}
	}
	if samples >= enough {
		return lastCounter{Counts: now, SampledAt: at, Stable: c.Stable}, now, true
	}
	c.Doubts = &doubts{now, at, samples}
	return c, Counts{}, false
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

// terms are how a poll's counts are used. Times are in Unix milliseconds.
type terms struct {
	// whole is set when the first value of a pod counts.
	whole bool
	// stage is when the present stage began: it counts from a pod's first sample after
	// that.
	stage int64
	// late is the time of a pod's last sample before which its counts go back further than
	// the poll before.
	late int64
}

// tally is the requests that the pods of one version served since their last samples.
type tally struct {
	all, stage Counts
	// late is the part of all that goes back further than the poll before, as far
	// as lateFrom.
	late     Counts
	lateFrom int64
}

// take adds a poll's counters of one version and returns what its pods served since their
// last samples.
func (l *Ledger) take(pods []PodCounter, stable bool, t terms) tally {
	var sum tally
	for _, c := range pods {
		last, seen := l.Pods[c.Pod]
		at := c.SampledAt.UnixMilli()
		switch {
		case seen && at <= last.seenAt():
			continue
		case !seen && len(l.Pods) >= maxPods:
			// Without being stored it would count again at the next poll.
			l.Unheld++
			continue
		}
		next, served, ok := lastCounter{Counts: c.Counts, SampledAt: at, Stable: stable}, c.Counts, true
		switch {
		case seen:
			next, served, ok = last.follow(c.Counts, at)
		case !t.whole:
			served = Counts{}
		}
		l.Pods[c.Pod] = next
		if !ok {
			continue
		}
		sum.add(served, last.SampledAt, seen, t)
		if !stable && served.Bad > 0 {
			l.Fresh = append(l.Fresh, Scrape{last.SampledAt, at, served})
		}
	}
	return sum
}

// add adds what a pod served since its sample at the time given.
func (s *tally) add(served Counts, since int64, seen bool, t terms) {
	s.all = s.all.Add(served)
	if !seen {
		return
	}
	if since >= t.stage {
		s.stage = s.stage.Add(served)
	}
	if since < t.late {
		if s.late == (Counts{}) {
			s.lateFrom = since
		}
		s.late, s.lateFrom = s.late.Add(served), min(s.lateFrom, since)
	}
}

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
