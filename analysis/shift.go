package analysis

// Shift is the newest change of the candidate's weight, for what is compared with stable.
//
// When a change takes most of stable's requests away, the next scrape of each of stable's pods
// still has many from before it. Beside them the candidate has its requests from after it:
// what both versions suffer from then on is seen in the candidate alone, and at weight 100
// stable never shows it. So stable's requests of scrapes that began before such a change are
// compared with nothing.
//
// Neither are the candidate's of such scrapes: what both versions suffered until the change
// would be seen in the candidate alone, and the few requests that stable still gets would not
// correct it for the rest of the run. The scrapes that were counted shortly before the change
// are not of quite the same time either, so their evidence only counts where it does not speak
// against the candidate (see Trail.shifted).
//
// Which requests these are depends on their times alone, not on what failed, and evidence is
// only ever lowered, so the bound on false alarms stays (see Regression).
type Shift struct {
	// Stage is when the stage began that followed, in Unix milliseconds.
	Stage int64 `json:"stage"`
	// Before is stable's counts in the trail when that stage began. Nil when the change left
	// stable enough of its requests.
	Before *Counts `json:"before,omitempty"`
	// Left is stable's counts in the run that are in no look.
	Left Counts `json:"left"`
	// Canary is the candidate's counts in the trail when that stage began, and Apart those
	// since then that are in the looks, but compared with nothing. Nil and zero without Before.
	Canary *Counts `json:"canary,omitempty"`
	Apart  Counts  `json:"apart,omitzero"`
	// Until is the newest time, in Unix milliseconds, at which a pod of stable's was sampled
	// whose scrape is in Left. What the candidate served in scrapes that began before it is
	// compared with nothing either, because what ended by then no later scrape of stable's has.
	Until int64 `json:"until,omitzero"`
	// Least is the least that each bet of the relative evidence was before a look that the trail
	// has settled, because of this shift or of another rule, LeastAt the time of the newest such
	// look in Unix milliseconds. The trail cannot tell any more when another shift follows soon.
	// Nil and zero for none.
	Least   *EProcess `json:"least,omitempty"`
	LeastAt int64     `json:"leastAt,omitzero"`
}

// shiftLeaves is the part of stable's weight that a change must leave it to be no shift: with
// less, an incident of both versions that begins with the change was rolled back in simulations.
const shiftLeaves = 0.25

// follow returns the shift at a ledger whose stage has a weight of the candidate in percent.
// Before the first look the candidate had no weight.
func (f Shift) follow(t Trail, l Ledger, weight int) Shift {
	if stage := l.StageFrom.UnixMilli(); stage != f.Stage {
		f = Shift{Stage: stage, Left: f.Left, Least: f.Least, LeastAt: f.LeastAt}
		if float64(100-weight) < shiftLeaves*float64(100-t.weight()) {
			canary, stable := t.counted()
			f.Before, f.Canary = &stable, &canary
		}
	}
	left := f.Left
	if f.Before != nil {
		f.Left = l.Stable.minus(l.StageStable).minus(*f.Before)
	}
	if n := l.Stable.noise(); f.Left.Total < -n || f.Left.Bad < -n || f.Left.Total > l.Stable.Total || f.Left.Bad > l.Stable.Bad {
		// The ledger is another one: what it has not counted cannot be left out of it.
		return Shift{Stage: f.Stage}
	}
	f.Left = f.Left.atLeast(Counts{})
	if f.Before != nil && f.Left.Total > left.Total {
		f.Until = l.newestOfStable()
	}
	if f.Canary != nil {
		f.Apart = l.Canary.minus(l.Stage).minus(*f.Canary).atLeast(f.Apart)
	}
	return f
}

// settles notes the least that each bet of a trail's relative evidence was in the last fresh
// milliseconds, because the trail settles its looks now. What was noted before that time matters
// to no later shift.
func (f Shift) settles(t Trail, relative EProcess, at, fresh int64) Shift {
	least := t.least(relative, at-fresh)
	if f.Least != nil && f.LeastAt > at-fresh {
		least = least.atMost(*f.Least)
	}
	f.Least, f.LeastAt = &least, at
	return f
}

// begins reports whether a shift has begun since an earlier one.
func (f Shift) begins(since Shift) bool { return f.Before != nil && f.Stage != since.Stage }

// apart is what of the candidate's has become compared with nothing since the shift at the
// poll before.
func (f Shift) apart(since Shift) Counts {
	if f.Stage != since.Stage {
		return f.Apart
	}
	return f.Apart.minus(since.Apart)
}

// late is what of the candidate's is in scrapes of a ledger's newest poll that began after the
// change, but before Until.
func (f Shift) late(l Ledger) (late Counts) {
	for _, s := range l.Fresh {
		if s.From >= f.Stage && s.From < f.Until {
			late = late.Add(s.Counts)
		}
	}
	return late
}

// newestOfStable is the time of the newest sample of stable's pods, in Unix milliseconds.
func (l Ledger) newestOfStable() (newest int64) {
	for _, c := range l.Pods {
		if c.Stable {
			newest = max(newest, c.SampledAt)
		}
	}
	return newest
}

// compared is the ledger without what is in no look.
func (f Shift) compared(l Ledger) Ledger {
	l.Stable = l.Stable.minus(f.Left)
	return l
}
