package analysis

import "fmt"

// JudgeInvariant fails on any violation that the candidate's pods have counted.
// Candidate pods are new, so the counters' absolute values are used: an increase
// over a window would miss a counter whose first sample is 1. In the poll, Total
// counts checks and Bad counts violations; readyPods is the number of ready pods
// that the API server reports. A pass needs at least one check on each of them.
func JudgeInvariant(p Poll, readyPods int) Verdict {
	var sum Counts
	exercised := 0
	for _, c := range p.Canary {
		if c.Unusable != "" || bad(c.Total) || bad(c.Bad) {
			// Violations are known although the checks are not.
			sum.Bad += c.KnownBad()
			continue
		}
		sum = sum.Add(c.Counts)
		if c.Total > 0 {
			exercised++
		}
	}
	v := Verdict{Statistics: []Statistic{{"checks", sum.Total}, {"violations", sum.Bad}, {"podsExercised", float64(exercised)}}}
	switch {
	case sum.Bad > 0:
		v.Reason, v.Message = InvariantViolated, fmt.Sprintf("violated %.0f times in %.0f checks", sum.Bad, sum.Total)
	case exercised < readyPods || exercised == 0 || readyPods == 0:
		v.Reason, v.Message = InvariantNotExercised, fmt.Sprintf("checked on %d of the candidate's %d ready pods, all are needed", exercised, readyPods)
	default:
		v.Reason, v.Message = Healthy, fmt.Sprintf("no violation in %.0f checks on %d pods", sum.Total, exercised)
	}
	return v
}
