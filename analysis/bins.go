package analysis

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Bin is the requests that the canary served between two times, for burn windows. Times
// are in Unix milliseconds.
type Bin struct {
	// From is the evaluation time of the poll before, or the time of the last sample of a
	// pod that was missing from it, whichever is earlier.
	From int64
	// At is the evaluation time of the poll.
	At int64
	Counts
}

// maxBins bounds the number of bins; because of resolution there are far fewer. A bin may
// span 1/resolution of its age, and a window of that age loses up to that much at its
// start.
const (
	maxBins    = 300
	resolution = 16
)

// MarshalJSON writes a bin as four numbers, because there are many bins.
func (b Bin) MarshalJSON() ([]byte, error) {
	return json.Marshal([]float64{float64(b.At), float64(b.At - b.From), b.Total, b.Bad})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Bin) UnmarshalJSON(raw []byte) error {
	v, err := numbers(raw, 4)
	if err != nil {
		return fmt.Errorf("a bin: %w", err)
	}
	*b = Bin{From: int64(v[0] - v[1]), At: int64(v[0]), Counts: Counts{v[2], v[3]}}
	return nil
}

// numbers reads an array of numbers, whose length must be one of allowed.
func numbers(raw []byte, allowed ...int) ([]float64, error) {
	var v []float64
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	if !slices.Contains(allowed, len(v)) {
		return nil, fmt.Errorf("%d numbers, want %v", len(v), allowed)
	}
	return v, nil
}

// addBins returns the bins with those of a poll, of which the last ends now; it joins older
// ones.
func addBins(bins []Bin, fresh ...Bin) []Bin {
	out := slices.Clone(bins)
	for _, b := range fresh {
		if b.Counts != (Counts{}) {
			out = append(out, b)
		}
	}
	now := fresh[len(fresh)-1].At
	kept := out[:0]
	for _, b := range out {
		if n := len(kept); n > 0 {
			joined := kept[n-1].join(b)
			if resolution*(joined.At-joined.From) <= now-joined.At {
				kept[n-1] = joined
				continue
			}
		}
		kept = append(kept, b)
	}
	for len(kept) > maxBins {
		kept[1] = kept[0].join(kept[1])
		kept = kept[1:]
	}
	return kept
}

func (b Bin) join(next Bin) Bin {
	return Bin{min(b.From, next.From), max(b.At, next.At), b.Add(next.Counts)}
}

// Window is the requests that the canary served in the time w up to the newest poll.
// Requests counted after a gap between polls that began earlier are left out, because it
// is not known when in the gap they were served.
func (l Ledger) Window(w time.Duration) Counts { return l.window(w, false) }

// newest are the canary's newest requests, at least so many if it has served them.
func (l Ledger) newest(requests float64) Counts {
	var sum Counts
	for _, b := range slices.Backward(l.Bins) {
		if sum.Total >= requests {
			break
		}
		sum = sum.Add(b.Counts)
	}
	return sum
}

// touching also has the requests that may have been served in that time.
func (l Ledger) touching(w time.Duration) Counts { return l.window(w, true) }

// window sums the bins that ended in the time w; without all, only those that began in it
// too. Polls may be a little late.
func (l Ledger) window(w time.Duration, all bool) Counts {
	var sum Counts
	now := l.EvaluatedAt.UnixMilli()
	for _, b := range l.Bins {
		if now-b.At < w.Milliseconds() && (all || now-b.From <= (w+grace).Milliseconds()) {
			sum = sum.Add(b.Counts)
		}
	}
	return sum
}
