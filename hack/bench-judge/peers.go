package main

import "math/rand/v2"

// judge returns the second at which it would roll a run back, or never.
type judge func(w *world, s *scenario, rng *rand.Rand) float64

// never is later than any run.
const never = 1e9

// peer is a documented rule, or a documented one tuned to be quick.
type peer struct {
	name, says string
	judge
}

var peers = []peer{
	{"Argo 95 %", "the docs' irate[5m] success rate every minute, at least 95 %, failureLimit 3", argo(irate, 60, 300, 0.95, 3)},
	{"Argo 99 %", "the same with at least 99 %", argo(irate, 60, 300, 0.99, 3)},
	{"Argo tuned", "rate[30s] every 10 s, at least 99 %, failureLimit 1", argo(rate, 10, 30, 0.99, 1)},
	{"Flagger", "the docs' success rate over 1 m of at least 99 %, interval 1 m, threshold 5", flagger(60, 60, 5)},
	{"Flagger tuned", "the same over 30 s, interval 10 s, threshold 2", flagger(10, 30, 2)},
	{"burn alert", "PromQL, 14.4 times the budget over 5 m and 1 m every 15 s", burnAlert(0)},
	{"burn, 2x stable", "the same, and only if twice stable's ratio", burnAlert(2)},
	{"Belay burn", "Belay's trigger: the same windows on exact counter deltas", belay(startBurn)},
}

// argo is an AnalysisTemplate as in the Argo Rollouts docs, measured every interval:
// sum(of(good[window]))/sum(of(all[window])) ≥ success, failureLimit limit. A measurement
// without data is left out, which is generous: Argo calls it an error, and the fifth in a
// row aborts.
func argo(of function, interval, window, success float64, limit int) judge {
	return func(w *world, _ *scenario, rng *rand.Rand) float64 {
		failed := 0
		for now := interval * rng.Float64(); now <= w.length; now += interval {
			if ratio, ok := w.answers[0].errorRatio(of, now, window); ok && 1-ratio < success {
				failed++
			}
			if failed > limit {
				return now
			}
		}
		return never
	}
}

// flagger is the request-success-rate check of the Flagger docs: 99 % over a window. The
// check that reaches the threshold is acted on at the next one. Without data nothing is
// counted, which is generous.
func flagger(interval, window float64, threshold int) judge {
	const success = 0.99
	return func(w *world, _ *scenario, rng *rand.Rand) float64 {
		failed := 0
		for now := interval * rng.Float64(); now <= w.length; now += interval {
			if failed >= threshold {
				return now
			}
			if ratio, ok := w.answers[0].errorRatio(rate, now, window); ok && 1-ratio < success {
				failed++
			}
		}
		return never
	}
}

// burnAlert is a well-made burn-rate alert on rate(): 14.4 times the budget over
// 5 m and over 1 m, every 15 s. worse asks as well that the canary's errors are
// that many times stable's over 5 m; 0 does not ask.
func burnAlert(worse float64) judge {
	const every, long, short, factor = 15, 300, 60, 14.4
	return func(w *world, s *scenario, rng *rand.Rand) float64 {
		for now := every * rng.Float64(); now <= w.length; now += every {
			slow, ok := w.answers[0].errorRatio(rate, now, long)
			if !ok || slow <= factor*s.budget {
				continue
			}
			if fast, _ := w.answers[0].errorRatio(rate, now, short); fast <= factor*s.budget {
				continue
			}
			if stable, _ := w.answers[1].errorRatio(rate, now, long); slow > worse*stable {
				return now
			}
		}
		return never
	}
}
