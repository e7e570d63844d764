package main

import "math/rand/v2"

// judge returns the second at which it would roll a run back, or never.
type judge func(w *world, s *scenario, rng *rand.Rand) float64

// never is later than any run.
const never = 1e9

// peer is a documented rule, or a documented one tuned to be quick.
type peer struct {
	column
	says string
}

// Argo's and Flagger's success rates are of errors. The tuned ones have the limits with
// which they take as long here, scraped every 5 s, as measured on the local cluster: 27 and
// 20 s at 5 % errors, 24 and 20 s at 50 %.
var peers = []peer{
	{column{"Argo 95 %", true, argo(irate, 60, 300, 0.95, 3)}, "the docs' irate[5m] success rate every minute, at least 95 %, failureLimit 3"},
	{column{"Argo 99 %", true, argo(irate, 60, 300, 0.99, 3)}, "the same with at least 99 %"},
	{column{"Argo tuned", true, argo(rate, 10, 30, 0.99, 2)}, "rate[30s] every 10 s, at least 99 %, failureLimit 2"},
	{column{"Flagger", true, flagger(60, 60, 5)}, "the docs' success rate over 1 m of at least 99 %, interval 1 m, threshold 5"},
	{column{"Flagger tuned", true, flagger(10, 30, 1)}, "the same over 30 s, interval 10 s, threshold 1"},
	{column{"burn alert", false, burnAlert(0)}, "PromQL, 14.4 times the budget over 5 m and 1 m every 15 s"},
	{column{"burn, 2x stable", false, burnAlert(2)}, "the same, and only if twice stable's ratio"},
	{column{"Belay burn", false, belay(startBurn)}, "Belay's trigger: the same windows on exact counter deltas, after the warm-up"},
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
