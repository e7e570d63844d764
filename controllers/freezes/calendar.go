// Package freezes decides whether a Freeze or ClusterFreeze holds a Rollout, and until when.
// The windows are pure functions of the spec and a time.
package freezes

import (
	"errors"
	"fmt"
	"time"

	// The image has no zoneinfo.
	_ "time/tzdata"

	"belay.dev/belay/api/v1alpha1"
)

// longest is the longest duration of a window that recurs, as in the API.
const longest = 768 * time.Hour

// horizon is how far the windows of a freeze are followed into the future.
const horizon = 366 * 24 * time.Hour

// maxChain is how many windows that touch are followed to where the last of them ends.
const maxChain = 64

// Calendar is the windows of a freeze, ready to be asked.
type Calendar struct {
	windows []window
	// expires is zero without an end.
	expires time.Time
}

type window interface {
	// covers is until when it holds, if it does at that time.
	covers(at time.Time) (end time.Time, ok bool)
	// next is when it begins again after that time, within the horizon.
	next(after time.Time) (time.Time, bool)
	// location is the zone in which people read its times.
	location() *time.Location
}

// Read reads the windows of a freeze. The error names the window and what to write there.
func Read(spec v1alpha1.FreezeSpec) (Calendar, error) {
	c := Calendar{}
	if spec.Expires != nil {
		c.expires = spec.Expires.Time
	}
	if len(spec.Windows) == 0 {
		return c, errors.New("windows: there is none")
	}
	for i, w := range spec.Windows {
		read, err := readWindow(w)
		if err != nil {
			return c, fmt.Errorf("windows[%d]: %w", i, err)
		}
		c.windows = append(c.windows, read)
	}
	return c, nil
}

func readWindow(w v1alpha1.FreezeWindow) (window, error) {
	if w.Recurrence != "" {
		return readRecurring(w)
	}
	if w.From == nil || w.Until == nil || !w.From.Before(w.Until) {
		return nil, errors.New("set from and a later until, or recurrence with start, duration and timeZone")
	}
	return single{w.From.Time, w.Until.Time}, nil
}

// single is a window between two dates.
type single struct{ from, until time.Time }

func (s single) covers(at time.Time) (time.Time, bool) {
	return s.until, !at.Before(s.from) && at.Before(s.until)
}

func (s single) next(after time.Time) (time.Time, bool) {
	return s.from, s.from.After(after) && s.from.Sub(after) < horizon
}

func (s single) location() *time.Location { return time.UTC }

// Expired reports whether it holds nothing any more.
func (c Calendar) Expired(now time.Time) bool { return !c.expires.IsZero() && !now.Before(c.expires) }

// Opens returns when the freeze ends to hold, if it holds now; it is in the zone of the window
// that ends last. Windows that touch are one. An end that is very far away is returned
// earlier: ask again then.
func (c Calendar) Opens(now time.Time) (opens time.Time, closed bool) {
	at := now
	for range maxChain {
		end, zone, ok := c.covered(at)
		if !ok {
			return opens, closed
		}
		at, opens, closed = end, end.In(zone), true
		if at.Sub(now) > horizon {
			break
		}
	}
	return opens, closed
}

// covered is the latest end of the windows that hold at a time.
func (c Calendar) covered(at time.Time) (end time.Time, zone *time.Location, ok bool) {
	if c.Expired(at) {
		return end, nil, false
	}
	for _, w := range c.windows {
		if until, covers := w.covers(at); covers && until.After(end) {
			end, zone, ok = until, w.location(), true
		}
	}
	if ok && !c.expires.IsZero() && end.After(c.expires) {
		end = c.expires
	}
	return end, zone, ok
}

// Closes returns when the freeze begins to hold next, if it does not hold now and does so
// within 366 days.
func (c Calendar) Closes(now time.Time) (closes time.Time, ok bool) {
	if _, closed := c.Opens(now); closed {
		return closes, false
	}
	for _, w := range c.windows {
		at, comes := w.next(now)
		if comes && !c.Expired(at) && (!ok || at.Before(closes)) {
			closes, ok = at.In(w.location()), true
		}
	}
	return closes, ok
}
