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
// while, or nearly everything fails for a moment. coldStarts are parts of the warm-up. One
// that lasts for all of it may have coldRatio of errors, one that lasts for the part f may
// have shorterRatio·(1/f − 1) more.
var coldStarts = []float64{0.25, 1.0 / 3, 0.5, 0.75, 1}

const (
	coldRatio    = 0.015
	shorterRatio = 0.075
)

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
	for i, f := range coldStarts {
		out[i] = youth{time.Duration(f * float64(r.WarmUp)), coldRatio + shorterRatio*(1/f-1)}
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
