package analysis

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Bin is what the canary served between two times, for burn windows. Both are in
// Unix milliseconds.
type Bin struct {
	// From is the evaluation of the poll before, or what is older, the last sample
	// of a pod that was missing from it.
	From int64
	// At is the evaluation of the poll that brought it.
	At int64
	Counts
}

// maxBins bounds how many there are; resolution keeps them far below that. It is
// the part of its age that a bin may span: windows that long lose that much at
// their start.
const (
	maxBins    = 300
	resolution = 16
)

// MarshalJSON makes a bin four numbers: there are many.
func (b Bin) MarshalJSON() ([]byte, error) {
	return json.Marshal([]float64{float64(b.At), float64(b.At - b.From), b.Total, b.Bad})
}

// UnmarshalJSON reads them.
func (b *Bin) UnmarshalJSON(raw []byte) error {
	v, err := numbers(raw, 4)
	if err != nil {
		return fmt.Errorf("a bin: %w", err)
	}
	*b = Bin{From: int64(v[0] - v[1]), At: int64(v[0]), Counts: Counts{v[2], v[3]}}
	return nil
}

// numbers reads an array of as many of them as is allowed.
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

// addBins returns the bins with those of a poll, the older ones made coarser.
func addBins(bins []Bin, now int64, fresh ...Bin) []Bin {
	out := slices.Clone(bins)
	for _, b := range fresh {
		if b.Counts != (Counts{}) {
			out = append(out, b)
		}
	}
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

// Window is what the canary is known to have served in the time up to the newest
// poll. What began before, in a gap between polls, is left out: when in the gap
// it failed is not known.
func (l Ledger) Window(w time.Duration) Counts { return l.window(w, false) }

// touching is what may have been served in that time.
func (l Ledger) touching(w time.Duration) Counts { return l.window(w, true) }

// window sums the bins that ended in the time w, and those that began in it or
// all of them. Polls may come a little late.
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
