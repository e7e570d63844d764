package analysis

import "time"

// matured are the counts of the canary's pods that none of them served within a warm-up.
type matured struct {
	// WarmUp in milliseconds.
	WarmUp int64  `json:"warmUp"`
	Canary Counts `json:"canary"`
	Stage  Counts `json:"stage"`
	Bins   []Bin  `json:"bins,omitempty"`
}

// Mature returns the ledger without what the canary's pods served within a warm-up: Canary,
// Stage, Fresh and the windows have the rest. Stable's counts stay. For a warm-up that none
// of the polls had, the rest is only what came after the first poll that has it.
func (l Ledger) Mature(warmUp time.Duration) Ledger {
	if warmUp <= 0 {
		return l
	}
	m := l.matured(warmUp)
	l.Young = l.Stage.Total - m.Stage.Total
	l.Canary, l.Stage, l.Bins, l.Fresh = m.Canary, m.Stage, m.Bins, mature(l.Fresh, warmUp)
	return l
}

func (l Ledger) matured(warmUp time.Duration) matured {
	for _, m := range l.Matured {
		if m.WarmUp == warmUp.Milliseconds() {
			return m
		}
	}
	return matured{WarmUp: warmUp.Milliseconds()}
}

func (m matured) add(t tally, before, now time.Time) matured {
	m.Canary, m.Stage = m.Canary.Add(t.all).rounded(), m.Stage.Add(t.stage).rounded()
	m.Bins = addBins(m.Bins, t.bins(before, now)...)
	return m
}

// mature are the scrapes that no pod served within its warm-up.
func mature(scrapes []Scrape, warmUp time.Duration) []Scrape {
	var out []Scrape
	for _, s := range scrapes {
		if !s.Young(warmUp) {
			out = append(out, s)
		}
	}
	return out
}
