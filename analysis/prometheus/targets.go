package prometheus

import (
	"cmp"
	"hash/fnv"
	"strconv"

	"belay.dev/belay/analysis"
)

// OfPod is the counter as that of a pod, of which nothing else is known.
func (c *Counter) OfPod() analysis.PodCounter {
	return analysis.PodCounter{Pod: c.Pod, Counts: c.Counts, SampledAt: c.SampledAt, Unusable: c.Unusable}
}

// TargetMark separates a pod's name from the hash of a target.
const TargetMark = "@"

// OfTarget is the counter under the name that the pod's scraped target has in a ledger. Text
// of a source is not kept there, only its hash.
func (c *Counter) OfTarget() analysis.PodCounter {
	out := c.OfPod()
	if c.Instance == "" {
		return out
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Instance))
	out.Pod += TargetMark + strconv.FormatUint(uint64(h.Sum32()), 36)
	return out
}

// AddTarget sums the counters of a pod's targets, which must follow each other. The sum
// has the oldest sample time of them. When those of one cannot be used, the pod's cannot; what
// is known to be bad stays.
func AddTarget(pods []analysis.PodCounter, target analysis.PodCounter) []analysis.PodCounter {
	if len(pods) == 0 || pods[len(pods)-1].Pod != target.Pod {
		return append(pods, target)
	}
	pod := &pods[len(pods)-1]
	if fault := cmp.Or(pod.Fault(), target.Fault()); fault != "" {
		pod.Unusable, pod.Bad = fault, pod.KnownBad()+target.KnownBad()
		return pods
	}
	pod.Counts = pod.Add(target.Counts)
	if target.SampledAt.Before(pod.SampledAt) {
		pod.SampledAt = target.SampledAt
	}
	return pods
}
