package main

import (
	"math/rand/v2"
)

// The service: pods, scrapes and the length of a canary, in seconds. The
// stable version has run for a while before, so that every peer's rates exist.
const (
	canaryPods  = 2
	stablePods  = 4
	scrapeEvery = 15
	runFor      = 600
	history     = 300
)

// share is the error ratio of a second.
type share func(second int) float64

func always(p float64) share { return func(int) float64 { return p } }

func during(from, to int, p, otherwise float64) share {
	return func(second int) float64 {
		if second >= from && second < to {
			return p
		}
		return otherwise
	}
}

// scenario is what the two versions do. clump is the mean number of requests
// that fail together, in one second of one version; 0 makes requests
// independent. onset is the second a regression begins. incident is the error
// ratio both versions have for 30 s, from a second drawn anew for every run.
type scenario struct {
	name           string
	canary, stable share
	clump          float64
	onset          int
	incident       float64
}

// load is how much traffic there is, and how much of it the canary gets.
type load struct{ rps, weight float64 }

// sample is a counter as a scrape saw it.
type sample struct{ at, total, bad float64 }

// world is one run as Prometheus knows it: the samples of every pod.
type world struct{ canary, stable [][]sample }

// incidentLasts is how long an incident that both versions share takes.
const incidentLasts = 30

func simulate(s scenario, l load, rng *rand.Rand) world {
	canary, stable := s.canary, s.stable
	if s.incident > 0 {
		from := rng.IntN(runFor - incidentLasts)
		canary = during(from, from+incidentLasts, s.incident, canary(0))
		stable = during(from, from+incidentLasts, s.incident, stable(0))
	}
	return world{
		canary: version(canaryPods, 0, l.rps*l.weight, canary, s.clump, rng),
		stable: version(stablePods, -history, l.rps*(1-l.weight), stable, s.clump, rng),
	}
}

// version serves rps from a second on, through pods that are scraped each at
// its own phase.
func version(pods, from int, rps float64, p share, clump float64, rng *rand.Rand) [][]sample {
	out := make([][]sample, pods)
	next := make([]float64, pods)
	total, failed := make([]float64, pods), make([]float64, pods)
	for i := range pods {
		next[i] = float64(from) + scrapeEvery*rng.Float64()
	}
	served := make([]int, pods)
	for second := from; second < runFor; second++ {
		for i := range pods {
			for next[i] < float64(second+1) {
				out[i] = append(out[i], sample{next[i], total[i], failed[i]})
				next[i] += scrapeEvery
			}
			served[i] = poisson(rps/float64(pods), rng)
			total[i] += float64(served[i])
		}
		if clump == 0 {
			for i, n := range served {
				failed[i] += float64(binomial(n, p(second), rng))
			}
			continue
		}
		clumped(served, failed, p(second), clump, rng)
	}
	return out
}

// clumpMost is the largest clump.
const clumpMost = 50

// clumped lets requests of one second fail in clumps of geometric size. They
// fall on all pods alike, as the retries of one client do, and so show in
// several scrapes. A clump ends with its second.
func clumped(served []int, failed []float64, p, mean float64, rng *rand.Rand) {
	left := 0
	for _, n := range served {
		left += n
	}
	for range poisson(float64(left)*p/mean, rng) {
		size := 1
		for size < clumpMost && rng.Float64() > 1/mean {
			size++
		}
		for ; size > 0 && left > 0; size-- {
			at := rng.IntN(left)
			for i := range served {
				if at < served[i] {
					served[i]--
					failed[i]++
					break
				}
				at -= served[i]
			}
			left--
		}
	}
}
