package main

import (
	"math"
	"math/rand/v2"
)

// rejectionFrom is the mean from which rejection is faster than counting.
const rejectionFrom = 10

// poisson draws exactly, in the tails too: false alarms are decided there.
func poisson(mean float64, rng *rand.Rand) float64 {
	switch {
	case mean <= 0:
		return 0
	case mean >= rejectionFrom:
		return rejected(mean, rng)
	}
	// Knuth: count uniform draws until their product falls below e^−mean.
	n, product, limit := 0.0, rng.Float64(), math.Exp(-mean)
	for product > limit {
		n++
		product *= rng.Float64()
	}
	return n
}

// rejected is Hörmann's transformed rejection, PTRS ("The transformed rejection
// method for generating Poisson random variables", 1993).
func rejected(mean float64, rng *rand.Rand) float64 {
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	inverse, quick := 1.1239+1.1328/(b-3.4), 0.9277-3.6224/(b-2)
	for {
		u, v := rng.Float64()-0.5, rng.Float64()
		inside := 0.5 - math.Abs(u)
		k := math.Floor((2*a/inside+b)*u + mean + 0.43)
		switch {
		case inside >= 0.07 && v <= quick:
			return k
		case k < 0 || inside < 0.013 && v > inside:
			continue
		}
		factorial, _ := math.Lgamma(k + 1)
		if math.Log(v*inverse/(a/(inside*inside)+b)) <= k*math.Log(mean)-mean-factorial {
			return k
		}
	}
}

// between draws uniformly from [low, high).
func between(low, high float64, rng *rand.Rand) float64 {
	return low + (high-low)*rng.Float64()
}

// betweenLog draws log-uniformly from [low, high).
func betweenLog(low, high float64, rng *rand.Rand) float64 {
	return low * math.Pow(high/low, rng.Float64())
}
