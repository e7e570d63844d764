package main

import "math/rand/v2"

// observed is one run as the judges see it.
type observed struct {
	world
	canaryRates, stableRates answer
}

func observe(w world) *observed {
	return &observed{w, remembered(w.canary), remembered(w.stable)}
}

// judge returns the second it would roll a run back, or never.
type judge func(o *observed, rng *rand.Rand) float64

// never is later than any run.
const never = 1e9

// objective and budget of the service: 99.9 %.
const budget = 0.001

// argo is an AnalysisTemplate as in the Argo Rollouts docs, measured every
// minute: sum(irate(good[5m]))/sum(irate(all[5m])) ≥ success, failureLimit 3.
// A measurement without data is left out, which is generous: Argo calls it an
// error, and the fifth in a row aborts.
func argo(success float64) judge {
	const interval, window, limit = 60, 300, 3
	return func(o *observed, rng *rand.Rand) float64 {
		failed := 0
		for now := interval * rng.Float64(); now <= runFor; now += interval {
			if ratio, ok := o.canaryRates.errorRatio(irate, now, window); ok && 1-ratio < success {
				failed++
			}
			if failed > limit {
				return now
			}
		}
		return never
	}
}

// flagger is the request-success-rate check of the Flagger docs: 99 % over 1 m,
// interval 1 m, threshold 5. The check that reaches the threshold is acted on
// at the next one. Without data nothing is counted, which is generous.
func flagger(o *observed, _ *rand.Rand) float64 {
	const interval, threshold, success = 60, 5, 0.99
	failed := 0
	for now := float64(interval); now <= runFor; now += interval {
		if failed >= threshold {
			return now
		}
		if ratio, ok := o.canaryRates.errorRatio(rate, now, interval); ok && 1-ratio < success {
			failed++
		}
	}
	return never
}

// burnAlert is a well-made burn-rate alert on rate(): 14.4 times the budget over
// 5 m and over 1 m, every 15 s. worse asks as well that the canary's errors are
// that many times stable's over 5 m; 0 does not ask.
func burnAlert(worse float64) judge {
	const every, long, short, factor = 15, 300, 60, 14.4
	return func(o *observed, _ *rand.Rand) float64 {
		for now := float64(every); now <= runFor; now += every {
			slow, ok := o.canaryRates.errorRatio(rate, now, long)
			fast, _ := o.canaryRates.errorRatio(rate, now, short)
			if !ok || slow <= factor*budget || fast <= factor*budget {
				continue
			}
			if stable, _ := o.stableRates.errorRatio(rate, now, long); slow > worse*stable {
				return now
			}
		}
		return never
	}
}
