package analysis

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// lastCounter is the last counters of a pod. Times are in Unix milliseconds.
type lastCounter struct {
	Counts
	SampledAt int64
	// ReadyAt is when the pod became ready for the first time since its containers started,
	// or the time of its first sample when that is not known. For a candidate's pod that got
	// its first request later, it is the last sample before that.
	ReadyAt int64
	Stable  bool
	// Idle is set while a candidate's pod has served nothing since ReadyAt.
	Idle bool
	// Unready is set when the pod was not ready any more when it was sampled.
	Unready bool
	// Missing are by how much the counters have decreased, each time, and what may come
	// back: the newest maxMissing.
	Missing []Counts
	// Doubt is how many more samples it is not known what a decrease was.
	Doubt int
}

// A counter that decreased has restarted, or a series is missing from the response: that
// of one of two replicas of the source, or one that has expired because nothing increased
// it. Missing series come back with all that they have counted before. So only what comes
// after a decrease counts, and when a counter increases by at least what was missing, that
// part is taken as come back. It counts once, whichever it was.
const (
	maxMissing     = 4
	samplesInDoubt = 4
)

// surge is for how many intervals a stable pod must have been ready to be taken not to serve
// as much within one interval as in all of its time.
const surge = 20

// follow returns a pod's counters after another sample, and the requests that it has served
// since the last one. There may be more bad ones than requests: a request that is counted
// when it begins may fail later.
func (c lastCounter) follow(now Counts, at int64) (next lastCounter, served Counts) {
	noise := now.noise()
	d := Counts{beyond(now.Total-c.Total, noise), beyond(now.Bad-c.Bad, noise)}
	next = c.based(now, at)
	next.Missing, next.Doubt = c.Missing, max(0, c.Doubt-1)
	switch {
	case d.Total < 0:
		next.lose(Counts{-d.Total, max(0, -d.Bad)})
		return next, Counts{}
	case d.Bad < 0:
		next.lose(Counts{0, -d.Bad})
		return next, Counts{Total: d.Total}
	case c.Stable && len(c.Missing) == 0 && d.Total >= c.Total && at-c.ReadyAt >= surge*(at-c.SampledAt):
		return next, Counts{}
	}
	return next, next.recover(d)
}

// beyond is a difference that is more than noise, otherwise 0.
func beyond(d, noise float64) float64 {
	if d >= -noise && d <= noise {
		return 0
	}
	return d
}

// based returns the counter with a sample to count from, of which nothing is missing.
func (c lastCounter) based(now Counts, at int64) lastCounter {
	c.Counts, c.SampledAt, c.Missing, c.Doubt = now, at, nil, 0
	return c
}

// readyAgain returns the baseline of a pod that became ready after its last sample.
func (c lastCounter) readyAgain(now PodCounter) lastCounter {
	if c.restarted(now) {
		c.ReadyAt, c.Idle = now.ReadyAt.UnixMilli(), !c.Stable
	}
	c.Unready = false
	return c.based(now.Counts, now.SampledAt.UnixMilli())
}

// restarted reports whether a container has restarted since the last sample.
func (c lastCounter) restarted(now PodCounter) bool {
	return now.StartedAt.UnixMilli() > c.SampledAt || now.Total < c.Total
}

// continues reports whether what a pod served since its last sample counts, although it was
// not ready for a part of that time: some of it may be why it was not. It was ready then, and
// has not restarted.
func (c lastCounter) continues(now PodCounter) bool {
	return !c.Unready && c.SampledAt >= c.ReadyAt && !c.restarted(now)
}

// lostBy reports whether a sample is the first since the pod lost its readiness.
func (c lastCounter) lostBy(now PodCounter) bool {
	return c.SampledAt > 0 && c.SampledAt <= now.UnreadyAt.UnixMilli() && c.continues(now)
}

// begin moves the beginning of a pod that has served nothing yet: caches and connections are
// as cold at the first request, however long the pod has waited for it.
func (c *lastCounter) begin(served Counts) {
	if c.Idle && served == (Counts{}) {
		c.ReadyAt = c.SampledAt
		return
	}
	c.Idle = false
}

// lose notes a decrease.
func (c *lastCounter) lose(missing Counts) {
	c.Missing = append(slices.Clone(c.Missing), missing)
	c.Missing = c.Missing[max(0, len(c.Missing)-maxMissing):]
	c.Doubt = samplesInDoubt
}

// recover takes out of an increase what has come back with it, the largest parts first, and
// returns the rest.
func (c *lastCounter) recover(d Counts) Counts {
	if len(c.Missing) == 0 {
		return d
	}
	missing := slices.Clone(c.Missing)
	d.Total -= comeBack(missing, d.Total, func(m *Counts) *float64 { return &m.Total })
	d.Bad -= comeBack(missing, d.Bad, func(m *Counts) *float64 { return &m.Bad })
	c.Missing = slices.DeleteFunc(missing, func(m Counts) bool { return m == Counts{} })
	if len(c.Missing) == 0 {
		c.Missing, c.Doubt = nil, 0
	}
	return d
}

// comeBack sets the parts that fit into an increase to 0, the largest first, and returns
// their sum.
func comeBack(missing []Counts, increase float64, part func(*Counts) *float64) (sum float64) {
	var parts []*float64
	for i := range missing {
		parts = append(parts, part(&missing[i]))
	}
	slices.SortStableFunc(parts, func(a, b *float64) int { return cmp.Compare(*b, *a) })
	for _, m := range parts {
		if sum+*m <= increase {
			sum, *m = sum+*m, 0
		}
	}
	return sum
}

// counterNumbers is how many numbers a counter has in JSON; each part that is missing has
// two more.
const counterNumbers = 5

// MarshalJSON writes numbers, because there are many counters.
func (c lastCounter) MarshalJSON() ([]byte, error) {
	v := []float64{float64(c.SampledAt), c.Total, c.Bad, float64(8 * c.Doubt), float64(c.SampledAt - c.ReadyAt)}
	if c.Stable {
		v[3]++
	}
	if c.Idle {
		v[3] += 2
	}
	if c.Unready {
		v[3] += 4
	}
	for _, m := range c.Missing {
		v = append(v, m.Total, m.Bad)
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *lastCounter) UnmarshalJSON(raw []byte) error {
	var allowed []int
	for i := range maxMissing + 1 {
		allowed = append(allowed, counterNumbers+2*i)
	}
	v, err := numbers(raw, allowed...)
	if err != nil {
		return fmt.Errorf("a pod's counters: %w", err)
	}
	flags := int(v[3])
	*c = lastCounter{Counts: Counts{v[1], v[2]}, SampledAt: int64(v[0]), ReadyAt: int64(v[0]) - int64(v[4]), Stable: flags&1 != 0, Idle: flags&2 != 0, Unready: flags&4 != 0, Doubt: flags / 8}
	for v = v[counterNumbers:]; len(v) > 0; v = v[2:] {
		c.Missing = append(c.Missing, Counts{v[0], v[1]})
	}
	return nil
}
