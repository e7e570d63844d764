package analysis

import "time"

// Scrape is the requests that one scrape of a candidate pod added: those after the scrape
// before it. Times are in Unix milliseconds.
type Scrape struct {
	// Pod is the name of the pod, or of one of its targets, in the ledger.
	Pod string
	// From is the time of the scrape before, and To of this one.
	From, To int64
	// ReadyAt is since when the pod has been ready; at most From.
	ReadyAt int64
	Counts
}

// Young reports whether a pod served some of a scrape's requests within its warm-up.
func (s Scrape) Young(warmUp time.Duration) bool {
	return s.From < s.ReadyAt+warmUp.Milliseconds()
}
