package backtest

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
)

// sets are the ReplicaSets whose pods are queried.
func (a Arms) sets() []string {
	if len(a.Split) > 0 {
		return a.Split
	}
	return slices.Concat(a.Stable, a.Candidate)
}

// split tells the candidate's pods from stable's in one release.
type split struct {
	arms *Arms
	seed uint64
	// known is set once the first pods were seen; those with a hash of at most bar are the
	// candidate's, also of the pods that come later.
	known bool
	bar   uint64
	// weight is the part of the first pods that is the candidate's, in percent.
	weight int
}

// begin chooses the candidate's pods among the first that are seen.
func (s *split) begin(counters []prometheus.Counter) {
	if s.known || len(s.arms.Split) == 0 || len(counters) == 0 {
		return
	}
	var hashes []uint64
	for i := range counters {
		hashes = append(hashes, s.hash(counters[i].Pod))
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	n := max(1, min((len(hashes)*s.arms.Share+50)/100, len(hashes)-1))
	s.known, s.bar, s.weight = true, hashes[n-1], 100*n/len(hashes)
}

func (s *split) hash(pod string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, s.seed))
	_, _ = h.Write([]byte(pod))
	// The last bytes of a name hardly change the first bits of its FNV hash.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// arm of a pod.
type arm int

const (
	neither arm = iota
	candidate
	stable
)

func (s *split) of(pod string) arm {
	if len(s.arms.Split) > 0 {
		if s.hash(pod) <= s.bar {
			return candidate
		}
		return stable
	}
	belongs := func(set string) bool { return prometheus.BelongsTo(pod, set) }
	switch {
	case slices.ContainsFunc(s.arms.Stable, belongs):
		return stable
	case slices.ContainsFunc(s.arms.Candidate, belongs):
		return candidate
	}
	return neither
}

// polls assigns the counters of a response. A pod whose readiness is not known is taken as
// ready since its first sample.
func (s *split) polls(answer *prometheus.Response, known readiness) (counted, judged analysis.Poll) {
	counted, judged = analysis.Poll{EvaluatedAt: answer.At}, analysis.Poll{EvaluatedAt: answer.At}
	s.begin(answer.Counters)
	// The targets of a pod must follow each other.
	slices.SortStableFunc(answer.Counters, func(a, b prometheus.Counter) int {
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Instance, b.Instance))
	})
	for i := range answer.Counters {
		c := &answer.Counters[i]
		target, pod := c.OfTarget(), c.OfPod()
		known.mark(&target, c.Pod, answer.At)
		known.mark(&pod, c.Pod, answer.At)
		switch s.of(c.Pod) {
		case candidate:
			counted.Canary = append(counted.Canary, target)
			judged.Canary = prometheus.AddTarget(judged.Canary, pod)
		case stable:
			counted.Stable = append(counted.Stable, target)
			judged.Stable = prometheus.AddTarget(judged.Stable, pod)
		}
	}
	return counted, judged
}
