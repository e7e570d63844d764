package analysis

import (
	"math"
	"slices"
	"time"
)

// youth is one way in which a healthy pod may begin: it answers up to Ratio of its requests
// badly for the time Until after its first request.
type youth struct {
	Until time.Duration
	Ratio float64
}

// A cold start is the worse the shorter it is: caches and connections are cold for a
// while, or nearly everything fails for a moment. coldStarts are how bad one may be that
// lasts for a part of the warm-up. Half of it and less may have about as many bad requests
// in all; what lasts for longer is rather a regression.
var coldStarts = []struct{ part, ratio float64 }{
	{0.25, 0.24}, {1.0 / 3, 0.165}, {0.5, 0.09}, {0.75, 0.03}, {1, 0.015},
}

// youths are the beginnings that are forgiven. Errors are forgiven up to a ratio that
// depends on how long they last, so that an outage is found at once. Slow requests are all
// forgiven: a process that still compiles itself may answer none in time.
func (r Regression) youths() []youth {
	switch {
	case r.WarmUp <= 0:
		return []youth{{}}
	case r.SlowStart:
		return []youth{{r.WarmUp, 1}}
	}
	out := make([]youth, len(coldStarts))
	for i, c := range coldStarts {
		out[i] = youth{time.Duration(c.part * float64(r.WarmUp)), c.ratio}
	}
	return out
}

// distinct are those youths that may explain a part of a look, and one for all others: most
// of the time no pod is young.
func distinct(youths []youth, looks []Look) []youth {
	least := int64(math.MaxInt64)
	for _, l := range looks {
		for _, p := range l.Parts {
			least = min(least, p.Age)
		}
	}
	out := slices.DeleteFunc(slices.Clone(youths), func(y youth) bool { return y.Until.Milliseconds() <= least })
	if len(out) < len(youths) {
		// The others explain nothing, so they are all the same.
		out = append(out, youth{})
	}
	return out
}

// forgives is the ratio of a part's requests that may be bad because of a youth: its
// requests are taken as evenly spread over its time.
func (y youth) forgives(p Part) float64 {
	left := float64(y.Until.Milliseconds() - p.Age)
	switch span := float64(p.To - p.From); {
	case left <= 0:
		return 0
	case span <= left:
		return y.Ratio
	default:
		return y.Ratio * left / span
	}
}
