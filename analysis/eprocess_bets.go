package analysis

import "math"

// The alternatives the bets are spread over, as factors of what the null
// allows: the candidate's error ratio against stable's, and against the budget.
var (
	relativeFactors = []float64{1.5, 2, 4, 8, 16, 32, 128, 1024}
	absoluteFactors = []float64{1.5, 2, 4, 8, 16, 32, 64, 128, 256, 450}
)

// maxRatio caps the error ratio of an alternative.
const maxRatio = 0.9

// logRelative is the log likelihood ratio of an interval between a candidate
// that is factor·worse times as bad as stable and the null p_c ≤ worse·p_s. It
// looks only at which version the bad requests fell on: with
// π0 = ρn_c/(ρn_c+n_s) and π = ρgn_c/(ρgn_c+n_s),
//
//	ℓ = e_c ln(π/π0) + e_s ln((1−π)/(1−π0))
//
// E[exp ℓ] ≤ 1 for every p_s, so p_s may change from interval to interval
// (after Lindon & Malek, "Anytime-valid inference for multinomial count data",
// NeurIPS 2022). More bad requests than requests are of requests that an earlier interval
// counted as good: counting them again as requests only makes ℓ smaller.
func logRelative(c, s Counts, worse, factor float64) float64 {
	n := max(c.Total, c.Bad)
	base := worse*n + s.Total
	return c.Bad*math.Log(factor) - (c.Bad+s.Bad)*math.Log1p((factor-1)*worse*n/base)
}

// logAbsolute is the log likelihood ratio of an interval between an error ratio
// of factor·limit, at most maxRatio, and the null p_c ≤ limit < maxRatio:
//
//	ℓ = e_c ln(p/p0) + (n_c−e_c) ln((1−p)/(1−p0))
//
// More bad requests than requests are as in logRelative.
func logAbsolute(c Counts, limit, factor float64) float64 {
	p := min(limit*factor, maxRatio)
	return c.Bad*math.Log(p/limit) + max(0, c.Total-c.Bad)*(math.Log1p(-p)-math.Log1p(-limit))
}

// betRelative bets against p_c ≤ worse·p_s. Without requests on both sides
// there is nothing to compare.
func betRelative(worse float64) bets {
	return func(c, s Counts) ([]float64, bool) {
		if max(c.Total, c.Bad) == 0 || s.Total == 0 {
			return nil, false
		}
		out := make([]float64, len(relativeFactors))
		for k, g := range relativeFactors {
			out[k] = logRelative(c, s, worse, g)
		}
		return out, true
	}
}

// betAbsolute bets against p_c ≤ limit.
func betAbsolute(limit float64) bets {
	return func(c, _ Counts) ([]float64, bool) {
		if max(c.Total, c.Bad) == 0 {
			return nil, false
		}
		out := make([]float64, len(absoluteFactors))
		for k, m := range absoluteFactors {
			out[k] = logAbsolute(c, limit, m)
		}
		return out, true
	}
}
