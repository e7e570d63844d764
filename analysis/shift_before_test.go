package analysis

import "testing"

// Both versions have the same ratio at every second: an incident that ends with the change of
// weight must not become evidence that the candidate is worse. The bound on the relative
// evidence is the one that docs/analysis.md proves.
func TestAnIncidentThatEndsWithAChangeOfWeightIsNoEvidence(t *testing.T) {
	const begins = raisedAt - 10
	of := func(before, after float64) []pace {
		return []pace{{0, before, 0}, {begins, before, 1}, {raisedAt, after, 0}}
	}
	var s RegressionState
	most := 0.0
	for _, l := range raised(of(25, 45), of(25, 5)) {
		r := grown(50)
		if l.EvaluatedAt.After(at(raisedAt)) {
			r = grown(90)
		}
		s = r.Observe(s, l)
		most = max(most, s.Relative.LogE())
	}
	if threshold := grown(90).threshold(); most >= threshold {
		t.Errorf("relative evidence reaches e^%.1f for a candidate that is never worse than stable, %.1f is sufficient", most, threshold)
	}
}
