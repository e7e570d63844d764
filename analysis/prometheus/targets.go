package prometheus

import (
	"cmp"
	"hash/fnv"
	"strconv"
	"strings"

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
	out.Pod += TargetMark + hashed(c.Instance)
	return out
}

func hashed(text string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

// bearerMark separates what names a target from the hash of the UID of its pod.
const bearerMark = "."

// Borne is the name in a ledger of a target whose pod has its name after others: one of a
// StatefulSet. The pods that bore the name have nothing else in common.
func Borne(target, uid string) string {
	if !strings.Contains(target, TargetMark) {
		target += TargetMark
	}
	return target + bearerMark + hashed(uid)
}

// Bears reports whether a name in a ledger is that of a target, whichever of the pods of its
// name it belongs to.
func Bears(name, target string) bool {
	at := strings.LastIndex(name, bearerMark)
	return at > strings.LastIndex(name, TargetMark) && strings.TrimSuffix(name[:at], TargetMark) == target
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
