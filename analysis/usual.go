package analysis

import "math"

// usual is what stable's counts show of a service when nothing is wrong with the candidate.
type usual struct {
	// ratio of bad requests, without the looks in which stable had many more.
	ratio float64
	// excess is how many more each look has.
	excess []float64
	// dispersion is how many requests fail together: the variance of the bad requests of a
	// look, as a multiple of that of independent ones; 1 to maxDispersion.
	dispersion float64
}

const (
	// outlier is how many standard deviations above the mean are an excess, and outlierLeast
	// how many bad requests at least.
	outlier      = 3
	outlierLeast = 2
	// maxDispersion keeps an incident from hiding every later regression.
	maxDispersion = 20
	// dispersionPrior is how many looks without dispersion are added to those of a run.
	dispersionPrior = 4
	// skew is how many times more an incident of both versions may be concentrated in one
	// scrape of the candidate than in the three looks that may show it of stable.
	skew = 3
)

func usualOf(looks []Look) usual {
	u := usual{excess: make([]float64, len(looks)), dispersion: 1}
	var all Counts
	for _, l := range looks {
		all = all.Add(l.Stable)
	}
	u.ratio = all.Ratio()
	var calm Counts
	squares, expected := 0.0, 0.0
	for _, l := range looks {
		mean := l.Stable.Total * u.ratio
		squares += (l.Stable.Bad - mean) * (l.Stable.Bad - mean)
		expected += mean
		if l.Stable.Bad <= mean+outlier*math.Sqrt(mean)+outlierLeast {
			calm = calm.Add(l.Stable)
		}
	}
	u.ratio = calm.Ratio()
	for j, l := range looks {
		mean := l.Stable.Total * u.ratio
		if l.Stable.Bad > mean+outlier*math.Sqrt(mean)+outlierLeast {
			u.excess[j] = l.Stable.Bad - mean
		}
	}
	if expected > 0 {
		n := float64(len(looks))
		u.dispersion = min(maxDispersion, max(1, (squares/expected*n+dispersionPrior)/(n+dispersionPrior)))
	}
	return u
}

// around is the ratio of bad requests that stable may have had while a part was served.
func (u usual) around(looks []Look, p Part) float64 {
	until := p.To + 2*(p.To-p.From)
	excess, requests := 0.0, 0.0
	for j, l := range looks {
		if l.After >= p.From && l.After <= until {
			excess += u.excess[j]
			requests += l.Stable.Total
		}
	}
	if requests == 0 {
		return u.ratio
	}
	return min(1, u.ratio+skew*excess/requests)
}
