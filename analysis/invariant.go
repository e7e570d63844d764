package analysis

import "fmt"

// JudgeInvariant fires on any violation the candidate's pods have counted.
// Candidate pods are new, so their counters' absolute values are the count: an
// increase over a window would miss a counter born at 1. In the poll, Total
// counts checks and Bad counts violations; readyPods is what the API server
// says. A check that never ran proves nothing.
func JudgeInvariant(p Poll, readyPods int) Verdict {
	var sum Counts
	exercised := 0
	for _, c := range p.Canary {
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
		v.Reason, v.Message = InvariantNotExercised, fmt.Sprintf("checked on %d of the candidate's %d ready pods", exercised, readyPods)
	default:
		v.Reason, v.Message = Healthy, fmt.Sprintf("held in %.0f checks on %d pods", sum.Total, exercised)
	}
	return v
}
