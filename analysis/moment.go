package analysis

import (
	"cmp"
	"slices"
	"time"
)

// Scrape is what one scrape of one of the candidate's pods brought: requests
// served after the scrape before it, up to its own time. Both are in Unix
// milliseconds; From is 0 for a pod's first scrape, whose start is not known.
type Scrape struct {
	From, To int64
	Counts
}

// maxMoments bounds what is remembered; two are enough to convict.
const maxMoments = 16

// moments counts how often something must have gone wrong at the least. One
// burst, such as the retries of one client, fails on all pods at once and shows
// in one scrape of each, so scrapes that overlap in time may have one cause;
// scrapes that do not have several. The moments given are the ends of scrapes
// no two of which overlap, oldest first. What is returned holds as well those of
// the scrapes with an error ratio above limit, and none before since.
func moments(known []int64, fresh []Scrape, limit float64, since time.Time) []int64 {
	out := slices.DeleteFunc(slices.Clone(known), func(m int64) bool { return m < since.UnixMilli() })
	byEnd := slices.SortedFunc(slices.Values(fresh), func(a, b Scrape) int { return cmp.Compare(a.To, b.To) })
	for _, s := range byEnd {
		// Taking the earliest end first finds the most that do not overlap.
		if s.Ratio() > limit && (len(out) == 0 || s.From >= out[len(out)-1]) {
			out = append(out, s.To)
		}
	}
	return out[max(0, len(out)-maxMoments):]
}
