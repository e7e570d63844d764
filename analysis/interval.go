package analysis

import "math"

// Interval is the always-valid confidence interval for a ratio of bad requests: with
// probability at least 1−alpha it contains a constant ratio at all times, however often it
// is computed. alpha is in (0, 1). It inverts the
// Beta(½,½)-mixture martingale (Robbins 1970): it contains every p with
//
//	ln B(e+½, n−e+½) − ln B(½,½) − e ln p − (n−e) ln(1−p) < ln(1/alpha)
//
// Without requests, and for invalid counts or alpha, it is [0, 1].
func Interval(c Counts, alpha float64) (low, high float64) {
	if !c.sound() || c.Total == 0 || !(alpha > 0 && alpha < 1) {
		return 0, 1
	}
	good := c.Total - c.Bad
	mixture := logBeta(c.Bad+0.5, good+0.5) - math.Log(math.Pi) + math.Log(alpha)
	excluded := func(p float64) bool { return mixture-xLogY(c.Bad, p)-xLogY(good, 1-p) >= 0 }
	return root(excluded, 0, c.Ratio()), root(excluded, 1, c.Ratio())
}

// precision of an interval's ends, far finer than what a message shows.
const precision = 1e-8

// root finds by bisection where excluded changes, between from, which may be excluded,
// and to, which is not.
func root(excluded func(float64) bool, from, to float64) float64 {
	if !excluded(from) {
		return from
	}
	for math.Abs(to-from) > precision {
		middle := (from + to) / 2
		if excluded(middle) {
			from = middle
		} else {
			to = middle
		}
	}
	return (from + to) / 2
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	sum, _ := math.Lgamma(a + b)
	return x + y - sum
}

// xLogY is x·ln y, and 0 when x is 0.
func xLogY(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(y)
}
