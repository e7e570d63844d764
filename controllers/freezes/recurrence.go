package freezes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	"belay.dev/belay/api/v1alpha1"
)

// perDay is how often windows of one rule may begin in a day: it bounds what a look costs.
const perDay = 24

// maxInterval is the longest INTERVAL.
const maxInterval = 366

// startLayout is how spec.windows.start is written.
const startLayout = "2006-01-02T15:04"

// recurring is windows that begin by a rule. The rule is computed on the local clock, as if
// that were UTC, so that what a change-over does to a window is decided here alone.
type recurring struct {
	options  rrule.ROption
	start    time.Time
	duration time.Duration
	zone     *time.Location
}

func readRecurring(w v1alpha1.FreezeWindow) (*recurring, error) {
	zone, err := zoneOf(w.TimeZone)
	if err != nil {
		return nil, err
	}
	start, err := time.Parse(startLayout, w.Start)
	if err != nil || start.Year() < 2020 || start.Year() > 2099 {
		return nil, fmt.Errorf("start %q is not a local date and time from 2020 on, such as 2026-11-27T16:00", v1alpha1.Bounded(w.Start, 40))
	}
	if w.Duration == nil || w.Duration.Duration < time.Minute || w.Duration.Duration > longest {
		return nil, fmt.Errorf("duration must be between 1m and %s", longest)
	}
	options, err := readRule(w.Recurrence, start)
	if err != nil {
		return nil, fmt.Errorf("recurrence %q: %w", v1alpha1.Bounded(w.Recurrence, 256), err)
	}
	return &recurring{options: *options, start: start, duration: w.Duration.Duration, zone: zone}, nil
}

// zoneOf reads a zone by its IANA name. "Local" is none: it depends on the machine.
func zoneOf(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fmt.Errorf("timeZone %q is not known: give an IANA name, such as Europe/Berlin or UTC", v1alpha1.Bounded(name, 64))
	}
	return zone, nil
}

// known are the parts of a rule that are read. The others of RFC 5545 are refused: an end of
// its own, what begins more than daily, and what nobody needs for a window.
var known = []string{"FREQ", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "WKST"}

// readRule reads a rule, with all that it takes from the start written out. Each rule that it
// accepts has a next occurrence within 400 years: to look for one that never comes would take
// the library until the year 9999.
func readRule(text string, start time.Time) (*rrule.ROption, error) {
	seen := map[string]bool{}
	for _, part := range strings.Split(text, ";") {
		key, _, _ := strings.Cut(part, "=")
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("%q is not supported: use %s", v1alpha1.Bounded(key, 32), strings.Join(known, ", "))
		}
		if seen[key] {
			return nil, fmt.Errorf("%s is there twice", key)
		}
		seen[key] = true
	}
	o, err := rrule.StrToROption(text)
	if err != nil {
		return nil, fmt.Errorf("not an RRULE of RFC 5545: %s", v1alpha1.Bounded(err.Error(), 120))
	}
	if _, err := rrule.NewRRule(*o); err != nil {
		return nil, fmt.Errorf("not an RRULE of RFC 5545: %s", v1alpha1.Bounded(err.Error(), 120))
	}
	switch {
	case o.Freq > rrule.DAILY:
		return nil, fmt.Errorf("FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY: use BYHOUR for several windows a day")
	case seen["INTERVAL"] && (o.Interval < 1 || o.Interval > maxInterval):
		return nil, fmt.Errorf("INTERVAL must be between 1 and %d", maxInterval)
	}
	o.Interval = max(1, o.Interval)
	fill(o, start)
	if n := len(o.Byhour) * len(o.Byminute); n > perDay {
		return nil, fmt.Errorf("BYHOUR and BYMINUTE begin %d windows a day, at most %d can be", n, perDay)
	}
	if err := recurs(o); err != nil {
		return nil, err
	}
	return o, nil
}

// fill writes out what a rule takes from its start (RFC 5545, section 3.3.10): with that it
// means the same from any other start, while INTERVAL is 1.
func fill(o *rrule.ROption, start time.Time) {
	if len(o.Byhour) == 0 {
		o.Byhour = []int{start.Hour()}
	}
	if len(o.Byminute) == 0 {
		o.Byminute = []int{start.Minute()}
	}
	o.Bysecond = []int{0}
	if len(o.Byweekday) > 0 || len(o.Bymonthday) > 0 {
		return
	}
	switch o.Freq {
	case rrule.WEEKLY:
		o.Byweekday = []rrule.Weekday{weekdays[start.Weekday()]}
	case rrule.MONTHLY:
		o.Bymonthday = []int{start.Day()}
	case rrule.YEARLY:
		if len(o.Bymonth) == 0 {
			o.Bymonth = []int{int(start.Month())}
		}
		o.Bymonthday = []int{start.Day()}
	}
}

var weekdays = []rrule.Weekday{rrule.SU, rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA}

// recurs refuses what can never come, or comes only in combination with an INTERVAL that
// may miss it for ever.
func recurs(o *rrule.ROption) error {
	counted := slices.ContainsFunc(o.Byweekday, func(d rrule.Weekday) bool { return d.N() != 0 })
	tooFar := slices.ContainsFunc(o.Byweekday, func(d rrule.Weekday) bool { return d.N() < -5 || d.N() > 5 })
	switch {
	case counted && o.Freq > rrule.MONTHLY:
		return fmt.Errorf("a number in BYDAY, as in 1MO, goes with FREQ=MONTHLY or YEARLY")
	case tooFar:
		return fmt.Errorf("a number in BYDAY must be between 1 and 5 or -1 and -5")
	case counted && len(o.Bymonthday) > 0:
		return fmt.Errorf("a number in BYDAY, as in 1MO, does not go with BYMONTHDAY")
	case o.Freq == rrule.WEEKLY && len(o.Bymonthday) > 0:
		return fmt.Errorf("BYMONTHDAY does not go with FREQ=WEEKLY: use FREQ=MONTHLY")
	case o.Interval > 1 && o.Freq == rrule.DAILY && (len(o.Bymonth) > 0 || len(o.Bymonthday) > 0 || len(o.Byweekday) > 0):
		return fmt.Errorf("INTERVAL above 1 with FREQ=DAILY goes with BYHOUR and BYMINUTE only")
	case o.Interval > 1 && mayMiss(o):
		return fmt.Errorf("INTERVAL above 1 does not go with BYMONTH (but for FREQ=YEARLY), with both BYMONTHDAY and BYDAY, nor with what some months lack: a day after the 28th, a fifth weekday")
	case len(o.Bymonth) > 0 && len(o.Bymonthday) > 0 && !anyDate(o.Bymonth, o.Bymonthday):
		return fmt.Errorf("no month of BYMONTH has such a day of the month")
	default:
		return nil
	}
}

// mayMiss is whether what an INTERVAL leaves out may be all that matches.
func mayMiss(o *rrule.ROption) bool {
	if o.Freq != rrule.MONTHLY && o.Freq != rrule.YEARLY {
		return len(o.Bymonth) > 0
	}
	rare := slices.ContainsFunc(o.Bymonthday, func(d int) bool { return d > 28 || d < -28 }) ||
		slices.ContainsFunc(o.Byweekday, func(d rrule.Weekday) bool { return d.N() == 5 || d.N() == -5 })
	return rare || len(o.Bymonth) > 0 && o.Freq != rrule.YEARLY || len(o.Bymonthday) > 0 && len(o.Byweekday) > 0
}

// anyDate is whether one of the months has one of the days, maybe in a leap year.
func anyDate(months, days []int) bool {
	for _, m := range months {
		// 2024 was a leap year; day 0 is the last of the month before.
		last := time.Date(2024, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day()
		if slices.ContainsFunc(days, func(d int) bool { return max(d, -d) <= last }) {
			return true
		}
	}
	return false
}

func (r *recurring) location() *time.Location { return r.zone }

// covers is until when a window holds that is open at that time.
func (r *recurring) covers(at time.Time) (end time.Time, ok bool) {
	wall := wallOf(at, r.zone)
	for _, begin := range r.between(wall.Add(-r.duration-shift), wall.Add(shift)) {
		from, until := r.instants(begin)
		if !at.Before(from) && at.Before(until) && until.After(end) {
			end, ok = until, true
		}
	}
	return end, ok
}

// next is when the first window begins after that time, within the horizon.
func (r *recurring) next(after time.Time) (time.Time, bool) {
	wall := wallOf(after, r.zone)
	occurrences, limit := r.from(wall.Add(-shift)), wall.Add(horizon)
	for begin, ok := occurrences(); ok && begin.Before(limit); begin, ok = occurrences() {
		if from, until := r.instants(begin); from.After(after) && from.Before(until) {
			return from, true
		}
	}
	return time.Time{}, false
}

// shift is more than any change-over moves a clock.
const shift = 26 * time.Hour

// instants is when a window begins and ends that begins at a time of the local clock. What
// the clock skips ends the moment it skips; in what it shows twice a window begins at the
// first time and ends at the second. So it holds whenever the clock shows a time in it.
func (r *recurring) instants(begin time.Time) (from, until time.Time) {
	from, _ = instantsOf(begin, r.zone)
	_, until = instantsOf(begin.Add(r.duration), r.zone)
	return from, until
}

// between lists when windows begin, on the local clock.
func (r *recurring) between(from, until time.Time) (all []time.Time) {
	occurrences := r.from(from)
	for begin, ok := occurrences(); ok && !begin.After(until); begin, ok = occurrences() {
		if !begin.Before(from) {
			all = append(all, begin)
		}
	}
	return all
}

// from iterates from a time on. A rule that counts from its start is followed from there.
func (r *recurring) from(at time.Time) rrule.Next {
	o := r.options
	o.Dtstart = r.start
	if o.Interval == 1 && at.After(r.start) {
		o.Dtstart = at
	}
	rule, err := rrule.NewRRule(o)
	if err != nil {
		// It was read before.
		return func() (time.Time, bool) { return time.Time{}, false }
	}
	return rule.Iterator()
}

// wallOf is what the clock of a zone shows, as if that were UTC.
func wallOf(at time.Time, zone *time.Location) time.Time {
	l := at.In(zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
}

// instantsOf is when the clock of a zone shows a time: first and last, which differ in the
// hour that it shows twice. For a time that it skips both are when it does.
func instantsOf(wall time.Time, zone *time.Location) (first, last time.Time) {
	before, after := offsetAt(wall.Add(-shift), zone), offsetAt(wall.Add(shift), zone)
	first, last = wall.Add(-before), wall.Add(-after)
	shownFirst, shownLast := wallOf(first, zone).Equal(wall), wallOf(last, zone).Equal(wall)
	switch {
	case shownFirst && shownLast && !last.Before(first):
		return first, last
	case shownFirst:
		return first, first
	case shownLast:
		return last, last
	default:
		// By the offset after the change it is before the change, at which its zone ends.
		_, change := last.In(zone).ZoneBounds()
		return change, change
	}
}

func offsetAt(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}
