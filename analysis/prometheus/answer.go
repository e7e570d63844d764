package prometheus

import (
	"math"
	"time"

	"belay.dev/belay/analysis"
)

// maxSkew is how far a time of the source may be off.
const maxSkew = 5 * time.Second

// kind of a row, as a bit.
type kind uint8

const (
	kindTotal kind = 1 << iota
	kindBad
	kindSampled
	kindCount
	kindWithin
)

// collector makes counters per pod of an answer's rows, evaluated at the time
// given. An expression of the user's may have dropped the namespace.
type collector struct {
	at     time.Time
	index  map[string]int
	pods   []analysis.PodCounter
	within []float64
	seen   []kind
	key    []byte
}

func newCollector(at time.Time) *collector {
	return &collector{at: at, index: map[string]int{}}
}

// take reads one row. The error is a *QueryError.
func (c *collector) take(r *sample) error {
	if err := c.check(r); err != nil {
		return err
	}
	i := c.podOf(r)
	k, err := kindOf(r.kind)
	switch {
	case err != nil:
		return err
	case c.seen[i]&k != 0:
		return failed(analysis.Malformed, "the answer has two rows of one pod and kind")
	}
	c.seen[i] |= k
	pod := &c.pods[i]
	switch k {
	case kindTotal, kindCount:
		pod.Total = r.value
	case kindBad:
		pod.Bad = r.value
	case kindWithin:
		c.within[i] = r.value
	case kindSampled:
		// Compared as seconds: a huge number does not fit a time.
		if r.value > seconds(c.at.Add(maxSkew)) {
			return failed(analysis.ClockSkew, "pod %q has a sample from the future", pod.Pod)
		}
		pod.SampledAt = time.UnixMilli(int64(math.Round(r.value * 1000)))
	}
	return nil
}

func (c *collector) check(r *sample) error {
	switch {
	case !isPodName(r.pod) || len(r.namespace) > 63:
		return failed(analysis.Malformed, "the answer has a series without a pod's name")
	case r.histogram:
		return failed(analysis.WrongType, "the answer has a native histogram, counters were asked for")
	case math.IsNaN(r.value) || math.IsInf(r.value, 0) || r.value < 0:
		return failed(analysis.Malformed, "pod %q reports %v", r.pod, r.value)
	case isAnotherTime(r.at, c.at):
		return failed(analysis.ClockSkew, "the answer is for another time than the one asked for")
	}
	return nil
}

func isAnotherTime(at float64, asked time.Time) bool {
	return math.Abs(at-seconds(asked)) > maxSkew.Seconds()
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// podOf is the place of a row's pod, a new one for the first of its rows.
func (c *collector) podOf(r *sample) int {
	c.key = append(append(append(c.key[:0], r.namespace...), '/'), r.pod...)
	i, known := c.index[string(c.key)]
	if !known {
		i = len(c.pods)
		c.index[string(c.key)] = i
		c.pods = append(c.pods, analysis.PodCounter{Namespace: string(r.namespace), Pod: string(r.pod)})
		c.within, c.seen = append(c.within, 0), append(c.seen, 0)
	}
	return i
}

func kindOf(k []byte) (kind, error) {
	switch string(k) {
	case "total":
		return kindTotal, nil
	case "bad":
		return kindBad, nil
	case "ts":
		return kindSampled, nil
	case "count":
		return kindCount, nil
	case "within":
		return kindWithin, nil
	default:
		return 0, failed(analysis.Malformed, "the answer has a row of unknown kind %s", quote(string(k)))
	}
}

// counters are the pods in the order of their first rows. A histogram's bad
// count is what was not within the threshold.
func (c *collector) counters() ([]analysis.PodCounter, error) {
	for i := range c.pods {
		pod := &c.pods[i]
		switch {
		case c.seen[i]&kindCount == 0:
			continue
		case c.seen[i]&kindWithin == 0:
			return nil, failed(analysis.BadQuery, "no bucket of the histogram ends at the threshold: choose a threshold that is a bucket's bound, or add the bucket")
		case c.within[i] > pod.Total:
			return nil, failed(analysis.Malformed, "pod %q counts %v observations within the threshold of %v", pod.Pod, c.within[i], pod.Total)
		}
		pod.Bad = pod.Total - c.within[i]
	}
	return c.pods, nil
}

// isPodName reports what Kubernetes accepts as one (DNS-1123 subdomain). Names
// are kept in the judge's state, so a source does not get to put other text there.
func isPodName(name []byte) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	for i, b := range name {
		alphanumeric := 'a' <= b && b <= 'z' || '0' <= b && b <= '9'
		inside := i > 0 && i < len(name)-1
		if !alphanumeric && !(inside && (b == '-' || b == '.')) {
			return false
		}
	}
	return true
}
