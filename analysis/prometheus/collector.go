package prometheus

import (
	"math"
	"time"

	"belay.dev/belay/analysis"
)

// maxSkew is how far the source's clock may differ from the controller's.
const maxSkew = 5 * time.Second

// kind of a series in a response, by its label k, as a bit.
type kind uint8

const (
	kindTotal kind = 1 << iota
	kindBad
	kindSampled
	kindCount
	kindWithin
)

// collector turns the series of a response into counters per scraped target. at is
// the evaluation time. The user's own expression may have dropped the namespace.
type collector struct {
	at     time.Time
	index  map[string]int
	pods   []Counter
	within []float64
	seen   []kind
	// faults are the pods whose series cannot be used, by their index in pods.
	faults map[int]*QueryError
	key    []byte
	// destinations is set when series name destinations in place of pods, and metrics has the
	// names of what is queried.
	destinations bool
	metrics      metrics
}

// collector for responses to the client's queries, which are expected to have so many pods.
func (c *Client) collector(at time.Time, expected int) *collector {
	return &collector{
		at: at, destinations: c.destinations, metrics: c.metrics,
		index: make(map[string]int, expected), faults: map[int]*QueryError{},
		pods: make([]Counter, 0, expected), within: make([]float64, 0, expected), seen: make([]kind, 0, expected),
	}
}

// take reads one series. It returns an error only when the whole response is
// unusable; what is wrong with one pod's series is recorded as that pod's fault.
func (c *collector) take(r *sample) *QueryError {
	switch {
	case c.destinations && (!isDestination(r.pod) || len(r.namespace) > 63 || len(r.instance) > 253):
		return failed(analysis.Malformed, "the response has a series without a valid label of a destination")
	case !c.destinations && !isPodName(r.pod) || len(r.namespace) > 63 || len(r.instance) > 253:
		return failed(analysis.Malformed, "the response has a series without a valid pod label")
	case !r.histogram && isAnotherTime(r.at, c.at):
		return failed(analysis.ClockSkew, "the response has another evaluation time than the query")
	}
	k := kinds[string(r.kind)]
	if k == 0 {
		return failed(analysis.Malformed, "the response has a series with the unexpected label k=%s", quote(string(r.kind)))
	}
	i := c.podOf(r)
	if fault := c.set(i, k, r); fault != nil && c.faults[i] == nil {
		c.faults[i] = fault
	}
	return nil
}

// noise is how much a number that was computed from counters may differ from the true one,
// as a part of it: sources add and subtract floating-point numbers in any order.
const noise = 1e-9

// denoised rounds a value that is within the noise of a whole number: 1 - 3/3 is
// -2e-16 in some sources, and a sum of counters 1234.0000000000002.
func denoised(v float64) float64 {
	whole := math.Round(v)
	if math.Abs(v-whole) > noise*max(1, math.Abs(v)) {
		return v
	}
	// This makes 0 of -0.
	return whole + 0
}

// isCount reports whether a value can be that of a gauge of something used, or of a counter if it
// is not above analysis.MaxCount.
func isCount(v float64) bool { return v >= -noise && !math.IsInf(v, 1) }

// set stores the value of a series, or says why the series cannot be used. A value that cannot
// be is stored too, and makes the sample unusable.
func (c *collector) set(i int, k kind, r *sample) *QueryError {
	pod := &c.pods[i]
	switch {
	case r.histogram:
		return failed(analysis.WrongType, "the response has a native histogram where a counter is expected: use a classic histogram or a counter")
	case r.invalid:
		return errNoValue
	case c.seen[i]&k != 0:
		return failed(analysis.Malformed, "the response has two series for pod %q where one is expected", r.pod)
	}
	c.seen[i] |= k
	if counter := k != kindSampled && !ofLoad[string(r.kind)]; !isCount(r.value) || counter && r.value > analysis.MaxCount {
		c.unusable(i, whyUnusable(r.value), r.value, c.metrics.of(k))
	}
	switch k {
	case kindTotal, kindCount:
		pod.Total = denoised(r.value)
	case kindBad:
		pod.Bad = denoised(r.value)
	case kindWithin:
		c.within[i] = denoised(r.value)
	case kindSampled:
		if r.value > seconds(c.at.Add(maxSkew)) {
			c.unusable(i, "a sample with a time in the future")
		}
		// A number beyond that does not fit a time.
		if math.Abs(r.value) < 1e12 {
			pod.SampledAt = time.UnixMilli(int64(math.Round(r.value * 1000)))
		}
	}
	return nil
}

// unusable notes what is wrong with a target's sample: the first thing, in the order of the
// query.
func (c *collector) unusable(i int, format string, what ...any) {
	if pod := &c.pods[i]; pod.Unusable == "" {
		pod.Unusable = reports(c.destinations, pod.Pod, format, what...)
	}
}

func isAnotherTime(at float64, asked time.Time) bool {
	return math.Abs(at-seconds(asked)) > maxSkew.Seconds()
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// podOf is the index of a series' target; it adds the target when it is new.
func (c *collector) podOf(r *sample) int {
	c.key = append(append(append(c.key[:0], r.namespace...), '/'), r.pod...)
	name := len(c.key)
	c.key = append(append(c.key, ' '), r.instance...)
	i, known := c.index[string(c.key)]
	if !known {
		i = len(c.pods)
		// One string holds all three names.
		key := string(c.key)
		c.index[key] = i
		c.pods = append(c.pods, Counter{
			Namespace: key[:len(r.namespace)], Pod: key[len(r.namespace)+1 : name], Instance: key[name+1:]})
		c.within, c.seen = append(c.within, 0), append(c.seen, 0)
	}
	return i
}

var kinds = map[string]kind{
	"total": kindTotal, "bad": kindBad, "ts": kindSampled, "count": kindCount, "within": kindWithin,
	// Those of a load; see Counter.
	"value": kindTotal, "per": kindBad,
}

var ofLoad = map[string]bool{"value": true, "per": true}

// finish sets the response's counters, in the order of their first series, and the
// faults of those whose series are not those that were queried. Of a histogram, the
// observations above the threshold count as bad.
func (c *collector) finish(answer *Response) {
	good := c.pods[:0]
	for i := range c.pods {
		pod := c.pods[i]
		fault := c.faults[i]
		if c.seen[i]&kindCount != 0 && fault == nil {
			fault = c.notWithin(i)
			pod = c.pods[i]
			pod.Bad = pod.Total - c.within[i]
		}
		if fault != nil {
			answer.Faults = append(answer.Faults, Fault{pod.Namespace, pod.Pod, fault})
			continue
		}
		good = append(good, pod)
	}
	answer.Counters = good
}

// errNoBucket is the fault of pods whose histogram has no bucket with the threshold as its bound.
var errNoBucket = &QueryError{
	Reason: analysis.BadQuery, LacksBucket: true,
	Message: "the histogram has no bucket whose upper bound is the threshold: choose a threshold that is a bucket bound (label le), or add the bucket",
}

// SomeLackBucket is the error when some pods, such as the one named, have no bucket with the
// threshold as its bound, and others do.
func SomeLackBucket(some, others int, pod string) *QueryError {
	e := failed(analysis.BadQuery, "the histograms of %d of %d pods, such as %s, have no bucket whose upper bound is the threshold, and those of the others do: give all pods the same buckets, or choose a threshold that is a bucket bound (label le) of all",
		some, some+others, quote(pod))
	e.LacksBucket = true
	return e
}

func (c *collector) notWithin(i int) *QueryError {
	if c.seen[i]&kindWithin == 0 {
		return errNoBucket
	}
	if c.within[i] > c.pods[i].Total {
		c.unusable(i, "%v observations in the bucket of the threshold, more than the %v in total", c.within[i], c.pods[i].Total)
	}
	return nil
}

// isPodName reports whether Kubernetes accepts the name for a pod (DNS-1123
// subdomain). Names are kept in the judge's state, so no other text of a source may
// get there.
func isPodName(name []byte) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	for i, b := range name {
		alphanumeric := 'a' <= b && b <= 'z' || '0' <= b && b <= '9'
		inside := i > 0 && i < len(name)-1
		if between := inside && (b == '-' || b == '.'); !alphanumeric && !between {
			return false
		}
	}
	return true
}
