package analysis

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Bucket is one bucket of a classic histogram.
type Bucket struct {
	// Bound is le, inclusive; +Inf for the last.
	Bound float64
	// Count of observations at most Bound, since the container started.
	Count float64
}

// SlowCounts are all observations of a histogram, and as bad the ones slower
// than threshold, in the unit of the bounds. A latency objective is judged on
// them as an error ratio is: "p99 < 300 ms" is "at most 1 % slower than 300 ms".
//
// It is an error when no bucket ends at the threshold, because between bounds a
// histogram knows nothing; when there is no +Inf bucket; when a bound comes
// twice; and when counts are no counts or fall where bounds rise, as in an
// answer put together from two scrapes.
func SlowCounts(buckets []Bucket, threshold float64) (Counts, error) {
	sorted := slices.SortedFunc(slices.Values(buckets), func(a, b Bucket) int { return cmp.Compare(a.Bound, b.Bound) })
	within := math.NaN()
	for i, b := range sorted {
		switch {
		case bad(b.Count) || math.IsNaN(b.Bound):
			return Counts{}, fmt.Errorf("the bucket up to %v counts %v", b.Bound, b.Count)
		case i > 0 && sorted[i-1].Bound == b.Bound:
			return Counts{}, fmt.Errorf("two buckets end at %v", b.Bound)
		case i > 0 && sorted[i-1].Count > b.Count:
			return Counts{}, fmt.Errorf("the buckets up to %v and %v count %v and %v: counts rise with bounds",
				sorted[i-1].Bound, b.Bound, sorted[i-1].Count, b.Count)
		case sameBound(b.Bound, threshold):
			within = b.Count
		}
	}
	if len(sorted) == 0 || !math.IsInf(sorted[len(sorted)-1].Bound, 1) {
		return Counts{}, errors.New("the histogram has no +Inf bucket")
	}
	if math.IsNaN(within) {
		return Counts{}, fmt.Errorf("no bucket ends at %v: choose a threshold that is a bucket's bound, or add the bucket", threshold)
	}
	total := sorted[len(sorted)-1].Count
	return Counts{Total: total, Bad: total - within}, nil
}

// sameBound allows for a threshold that was computed from a duration. An
// infinite threshold is no bound that anything could exceed.
func sameBound(bound, threshold float64) bool {
	return !math.IsInf(threshold, 0) && math.Abs(bound-threshold) <= 1e-9*math.Abs(threshold)
}
