package analysis

import "time"

// Scrape is the requests that one scrape of a candidate pod added: those after the scrape
// before it. Times are in Unix milliseconds.
type Scrape struct {
	// Pod is the name of the pod, or of one of its targets, in the ledger, or that of the
	// destination that all its counters share.
	Pod string
	// From is the time of the scrape before, and To of this one.
	From, To int64
	// ReadyAt is when the pod became ready for the first time since its containers started,
	// or the time of its first sample when that is not known; for a destination, when half of
	// its pods did, if that is later.
	ReadyAt int64
	// Counts may have more bad requests than requests: some that were counted when they
	// began, in an earlier scrape, failed in this one.
	Counts
}

// Young reports whether a pod served some of a scrape's requests within its warm-up.
func (s Scrape) Young(warmUp time.Duration) bool {
	return s.From < s.ReadyAt+warmUp.Milliseconds()
}

// terms are how the scrapes of a poll are used. Times are in Unix milliseconds.
type terms struct {
	// stage is when the present stage began: it counts from a pod's first sample after
	// that.
	stage int64
	// late is the time of a pod's last sample before which its counts go back further than
	// the poll before.
	late int64
}

// tally is the sum of the scrapes of a poll.
type tally struct {
	all, stage Counts
	// time is that of the scrapes in stage.
	time int64
	// late is the part of all that goes back further than the poll before, as far
	// as lateFrom.
	late     Counts
	lateFrom int64
}

func (t terms) sum(scrapes []Scrape) tally {
	var sum tally
	for _, s := range scrapes {
		sum.all = sum.all.Add(s.Counts)
		if s.From >= t.stage {
			sum.stage, sum.time = sum.stage.Add(s.Counts), sum.time+s.To-s.From
		}
		if s.From < t.late && s.Counts != (Counts{}) {
			if sum.late == (Counts{}) {
				sum.lateFrom = s.From
			}
			sum.late, sum.lateFrom = sum.late.Add(s.Counts), min(sum.lateFrom, s.From)
		}
	}
	return sum
}

// bins are those of a poll, the poll's own last.
func (t tally) bins(before, now time.Time) []Bin {
	at := now.UnixMilli()
	return []Bin{{t.lateFrom, at, t.late}, {before.UnixMilli(), at, t.all.minus(t.late)}}
}
