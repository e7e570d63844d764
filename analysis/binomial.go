package analysis

import "math"

// rare is the probability below which a number of requests is not by chance. It is small
// because it is asked at every poll.
const rare = 1e-6

// isRare reports whether at most so many of all requests, each with a chance of at least
// least, come less often than rare: the lower tail of the binomial distribution.
func isRare(count, all, least float64) bool {
	count = math.Floor(count)
	if !(all > 0 && least > 0 && least < 1) || count >= all*least {
		return false
	}
	choose := lgamma(all+1) - lgamma(count+1) - lgamma(all-count+1)
	term := math.Exp(choose + count*math.Log(least) + (all-count)*math.Log1p(-least))
	sum := 0.0
	// Below the mean each term is smaller than the one before.
	for k := count; k >= 0 && term > sum*1e-9 && sum < rare; k-- {
		sum += term
		term *= k / (all - k + 1) * (1 - least) / least
	}
	return sum < rare
}

func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}
