package analysis

import (
	"cmp"
	"slices"
	"time"
)

// maxMoments bounds how many are kept; two are enough for a fail.
const maxMoments = 16

// moments finds how many separate causes the bad requests have at least. One burst, such as
// the retries of one client, fails on all pods at once and is in one scrape of each. So
// scrapes that overlap in time may have one cause, and scrapes that do not overlap have
// several. known are the ends of scrapes that do not overlap, oldest first. The result also
// has those of the fresh scrapes with an error ratio above limit, and none before since.
func moments(known []int64, fresh []Scrape, limit float64, since time.Time) []int64 {
	out := slices.DeleteFunc(slices.Clone(known), func(m int64) bool { return m < since.UnixMilli() })
	byEnd := slices.SortedFunc(slices.Values(fresh), func(a, b Scrape) int { return cmp.Compare(a.To, b.To) })
	for _, s := range byEnd {
		// Taking the earliest end first finds the largest number without overlap.
		if s.Ratio() > limit && (len(out) == 0 || s.From >= out[len(out)-1]) {
			out = append(out, s.To)
		}
	}
	return out[max(0, len(out)-maxMoments):]
}
