package analysis

import (
	"time"
)

// Lasting is what stable's value has lasted at in a run, at weights below 100: what the
// candidate is compared with while the routes send stable nothing. A peak must not be: it
// would let the candidate use as much for the rest of the run.
//
// The time is divided into windows of a third of the trigger's For, by scrape times. The value
// that a window has is the smallest one in it, and the highest window counts. So a peak that is
// shorter than a window never does, and what lasts for For does, if that is at least six
// scrapes: a candidate that uses no more than stable used is not above its bound for For. A
// step that is shorter than a window is one.
type Lasting struct {
	// Value is that of the highest window so far; 0 for none.
	Value float64 `json:"value,omitempty"`
	// Stage is when the stage of the present window began, and Counted is set when the stage
	// had a whole window.
	Stage   time.Time `json:"stage,omitzero"`
	Counted bool      `json:"counted,omitempty"`
	// From is the newest sample of the present window's first look, Last the oldest one of its
	// newest look, and Looked when that look was. Low is stable's smallest value in it.
	From   time.Time `json:"from,omitzero"`
	Last   time.Time `json:"last,omitzero"`
	Looked time.Time `json:"looked,omitzero"`
	Low    float64   `json:"low,omitempty"`
}

// lastingPart is the part of For that a window lasts.
const lastingPart = 3

// remember returns what stable has lasted at after a look. A look without a usable value of
// stable's changes nothing, and ends the window when it goes on for too long.
func (s Saturation) remember(before Lasting, l Loads) Lasting {
	if s.WorseThan <= 0 || l.Weight <= 0 {
		return before
	}
	if l.Weight >= 100 {
		return before.ended(l.StageFrom)
	}
	if !l.StageFrom.Equal(before.Stage) {
		before = before.ended(l.StageFrom)
	}
	stable := s.usage(l.Stable, l.EvaluatedAt)
	if !stable.known() || stable.oldest.Add(-s.Window).Before(l.StageFrom) {
		return before
	}
	return s.extend(before, stable, l.EvaluatedAt)
}

// extend adds a usable value of stable's to the window. One that no multiple can be compared
// with ends it.
func (s Saturation) extend(w Lasting, stable usage, now time.Time) Lasting {
	continues := !w.From.IsZero() && !now.Before(w.Looked) && now.Sub(w.Looked) <= s.longestGap()
	switch {
	case !stable.comparable():
		return w.cleared()
	case !continues:
		w.From, w.Last, w.Low = stable.newest, stable.oldest, stable.mean
	default:
		w.Last, w.Low = later(w.Last, stable.oldest), min(w.Low, stable.mean)
	}
	w.Looked = now
	if lasted := w.Last.Sub(w.From); lasted > 0 && lasted >= s.For/lastingPart {
		w.Value, w.Counted = max(w.Value, w.Low), true
		w.From, w.Last, w.Low = stable.newest, stable.oldest, stable.mean
	}
	return w
}

// cleared is without the present window.
func (w Lasting) cleared() Lasting {
	w.From, w.Last, w.Looked, w.Low = time.Time{}, time.Time{}, time.Time{}, 0
	return w
}

// known reports whether there is a value, or will be when the stage ends.
func (w Lasting) known() bool { return w.Value > 0 || w.sampledTwice() }

// sampledTwice reports whether the present window is of more than one sample of its pods.
func (w Lasting) sampledTwice() bool { return w.Last.After(w.From) }

// ended closes a stage and begins another: when it had no whole window, the one that it was too
// short for counts, if its pods were sampled more than once.
func (w Lasting) ended(stage time.Time) Lasting {
	if !w.Counted && w.sampledTwice() {
		w.Value = max(w.Value, w.Low)
	}
	w.Stage, w.Counted = stage, false
	return w.cleared()
}
