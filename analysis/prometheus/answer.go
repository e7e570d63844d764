package prometheus

import (
	"math"
	"regexp"
	"time"

	"github.com/prometheus/common/model"

	"belay.dev/belay/analysis"
)

// maxSkew is how far a time of the source may be off.
const maxSkew = 5 * time.Second

// podName is what Kubernetes accepts as one (DNS-1123 subdomain). Names are kept
// in the judge's state, so a source does not get to put other text there.
var podName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// owner is the pod that a row is about. An expression of the user's may have
// dropped the namespace.
type owner struct{ namespace, name string }

type rowKey struct {
	owner
	kind string
}

// podsOf reads a counts answer, evaluated at the time given, in the order of
// its rows. The error is a *QueryError.
func podsOf(value model.Value, at time.Time, l limits) ([]analysis.PodCounter, error) {
	if value == nil {
		return nil, failed(analysis.Malformed, "the answer has no data")
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, failed(analysis.WrongType, "the source answered a %s, a vector was asked for", value.Type())
	}
	if len(vector) > l.rows() {
		return nil, failed(analysis.TooManySeries, "the answer has %d series, %d are allowed", len(vector), l.rows())
	}
	index, within := map[owner]int{}, map[owner]float64{}
	seen := map[rowKey]bool{}
	var out []analysis.PodCounter
	for _, sample := range vector {
		if err := checkSample(sample, at); err != nil {
			return nil, err
		}
		pod, k := owner{string(sample.Metric["namespace"]), string(sample.Metric["pod"])}, string(sample.Metric["k"])
		if seen[rowKey{pod, k}] {
			return nil, failed(analysis.Malformed, "the answer has two rows of one pod and kind")
		}
		seen[rowKey{pod, k}] = true
		i, known := index[pod]
		if !known {
			i = len(out)
			index[pod] = i
			out = append(out, analysis.PodCounter{Namespace: pod.namespace, Pod: pod.name})
		}
		if k == "within" {
			within[pod] = float64(sample.Value)
			continue
		}
		if err := set(&out[i], k, float64(sample.Value), at); err != nil {
			return nil, err
		}
	}
	return out, subtract(out, within, seen)
}

// subtract makes bad counts from a histogram's: what was not within the
// threshold.
func subtract(pods []analysis.PodCounter, within map[owner]float64, seen map[rowKey]bool) error {
	for i, p := range pods {
		of := owner{p.Namespace, p.Pod}
		if !seen[rowKey{of, "count"}] {
			continue
		}
		fast, known := within[of]
		switch {
		case !known:
			return failed(analysis.BadQuery, "no bucket of the histogram ends at the threshold: choose a threshold that is a bucket's bound, or add the bucket")
		case fast > p.Total:
			return failed(analysis.Malformed, "pod %q counts %v observations within the threshold of %v", p.Pod, fast, p.Total)
		}
		pods[i].Bad = p.Total - fast
	}
	return nil
}

func checkSample(sample *model.Sample, at time.Time) error {
	if sample == nil || !podName.MatchString(string(sample.Metric["pod"])) || len(sample.Metric["namespace"]) > 63 {
		return failed(analysis.Malformed, "the answer has a series without a pod's name")
	}
	value := float64(sample.Value)
	switch {
	case sample.Histogram != nil:
		return failed(analysis.WrongType, "the answer has a native histogram, counters were asked for")
	case math.IsNaN(value) || math.IsInf(value, 0) || value < 0:
		return failed(analysis.Malformed, "pod %q reports %v", sample.Metric["pod"], value)
	case sample.Timestamp.Time().Sub(at).Abs() > maxSkew:
		return failed(analysis.ClockSkew, "the answer is for another time than the one asked for")
	}
	return nil
}

func set(pod *analysis.PodCounter, k string, value float64, at time.Time) error {
	switch k {
	case "total", "count":
		pod.Total = value
	case "bad":
		pod.Bad = value
	case "ts":
		// Compared as seconds: a huge number does not fit a time.
		if value > float64(at.Add(maxSkew).UnixMilli())/1000 {
			return failed(analysis.ClockSkew, "pod %q has a sample from the future", pod.Pod)
		}
		pod.SampledAt = time.UnixMilli(int64(math.Round(value * 1000)))
	default:
		return failed(analysis.Malformed, "the answer has a row of unknown kind %s", quote(k))
	}
	return nil
}
