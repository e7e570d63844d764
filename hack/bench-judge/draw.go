package main

import (
	"math"
	"math/rand/v2"
)

// normalFrom is the variance from which a normal draw stands in for a count.
const normalFrom = 30

func poisson(mean float64, rng *rand.Rand) int {
	if mean >= normalFrom {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())))
	}
	// Knuth: count uniform draws until their product falls below e^−mean.
	n, product, limit := 0, rng.Float64(), math.Exp(-mean)
	for product > limit {
		n++
		product *= rng.Float64()
	}
	return n
}

func binomial(n int, p float64, rng *rand.Rand) int {
	switch variance := float64(n) * p * (1 - p); {
	case n == 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case variance >= normalFrom:
		return min(n, max(0, int(math.Round(float64(n)*p+math.Sqrt(variance)*rng.NormFloat64()))))
	}
	// Jump from success to success: the gaps are geometric.
	count, gap := 0, math.Log1p(-p)
	for at := 0; ; count++ {
		skip := math.Log(1-rng.Float64()) / gap
		if skip >= float64(n-at) {
			return count
		}
		at += int(skip) + 1
	}
}
