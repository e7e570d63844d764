package analysis

// Shift is the newest change of the candidate's weight, for what is compared with stable.
//
// When a change takes most of stable's requests away, the next scrape of each of stable's pods
// still has many from before it. Beside them the candidate has its requests from after it:
// what both versions suffer from then on is seen in the candidate alone, and at weight 100
// stable never shows it. So stable's requests of scrapes that began before such a change are
// compared with nothing. Which these are depends on their times alone, not on what failed, so
// the bound on false alarms stays (see Regression).
type Shift struct {
	// Stage is when the stage began that followed, in Unix milliseconds.
	Stage int64 `json:"stage"`
	// Before is stable's counts in the trail when that stage began. Nil when the change left
	// stable enough of its requests.
	Before *Counts `json:"before,omitempty"`
	// Left is stable's counts in the run that are in no look.
	Left Counts `json:"left"`
}

// shiftLeaves is the part of stable's weight that a change must leave it to be no shift: with
// less, an incident of both versions that begins with the change was rolled back in simulations.
const shiftLeaves = 0.25

// follow returns the shift at a ledger whose stage has a weight of the candidate in percent.
func (f Shift) follow(t Trail, l Ledger, weight int) Shift {
	if stage := l.StageFrom.UnixMilli(); stage != f.Stage {
		f.Stage, f.Before = stage, nil
		if n := len(t.Looks); n > 0 && float64(100-weight) < shiftLeaves*float64(100-t.Looks[n-1].Weight) {
			_, stable := t.counted()
			f.Before = &stable
		}
	}
	if f.Before != nil {
		f.Left = l.Stable.minus(l.StageStable).minus(*f.Before)
	}
	if n := l.Stable.noise(); f.Left.Total < -n || f.Left.Bad < -n || f.Left.Total > l.Stable.Total || f.Left.Bad > l.Stable.Bad {
		// The ledger is another one: what it has not counted cannot be left out of it.
		return Shift{Stage: f.Stage}
	}
	f.Left = Counts{max(0, f.Left.Total), max(0, f.Left.Bad)}
	return f
}

// compared is the ledger without what is compared with nothing.
func (f Shift) compared(l Ledger) Ledger {
	l.Stable = l.Stable.minus(f.Left)
	return l
}
