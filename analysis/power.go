package analysis

import (
	"fmt"
	"time"
)

// Power is what a run will have to exclude (see Regression.Exclude), and the requests that it
// will have for that.
type Power struct {
	// Target is the ratio of bad requests that a pass must exclude, in (0, 1), and Confidence
	// with which, in (0, 1).
	Target, Confidence float64
	// Ratio of bad requests of a healthy candidate: stable's.
	Ratio float64
	// Rate of the service's requests, per second.
	Rate float64
	// WarmUp is how long what a candidate's pod serves does not count.
	WarmUp time.Duration
	// Steps of the run, and after them its bake.
	Steps []PlannedStep
	// Deadline is how long one step may take.
	Deadline time.Duration
	// BadName is what a bad request is called in messages; see BudgetSpent.
	BadName string
}

// PlannedStep is a step's weight in percent, and how long it holds at least.
type PlannedStep struct {
	Weight int
	Hold   time.Duration
}

// Shortfall is why the steps of a run are too short to exclude what a pass must exclude.
type Shortfall string

// Shortfalls, the least first.
const (
	// HoldTooShort: a step will hold for longer than it says.
	HoldTooShort Shortfall = "HoldTooShort"
	// DeadlineTooShort: it will hold until its deadline.
	DeadlineTooShort Shortfall = "DeadlineTooShort"
	// NoRequests: the service gets none.
	NoRequests Shortfall = "NoRequests"
	// StableTooBad: stable itself has so many bad requests that no number of requests is enough.
	StableTooBad Shortfall = "StableTooBad"
)

// Judge says about how long the first step that gets requests has to hold, because every step
// waits until the ratio is excluded by what the run has served so far. It is empty when the
// steps are long enough. It is an estimate: it blocks nothing.
func (p Power) Judge() (short Shortfall, message string) {
	need, ok := moreToExclude(Counts{}, p.Ratio, p.Target, 1-p.Confidence)
	target := percent(p.Target) + " " + nameOfBad(p.BadName)
	switch {
	case !ok:
		return StableTooBad, fmt.Sprintf("stable has %s %s, so no number of requests excludes more than %s, as regression.exclude demands: repair the service, or raise regression.exclude", percent(p.Ratio), nameOfBad(p.BadName), target)
	case p.Rate <= 0:
		return NoRequests, fmt.Sprintf("the service gets no requests, and a pass must exclude more than %s, which takes about %.0f of the candidate's: a run holds its first step until it gets them", target, need)
	}
	for i, step := range p.Steps {
		if step.Weight <= 0 {
			continue
		}
		perSecond := p.Rate * float64(step.Weight) / 100
		takes := p.WarmUp.Seconds() + need/perSecond
		if takes <= step.Hold.Seconds() {
			return "", ""
		}
		gets := perSecond * max(0, step.Hold-p.WarmUp).Seconds()
		name := fmt.Sprintf("step %d of %d", i+1, len(p.Steps)-1)
		if i == len(p.Steps)-1 {
			name = "the bake"
		}
		said := fmt.Sprintf("at about %.2g requests/s %s (%d %% for %s) gives the candidate about %.0f after its warm-up of %s, and to exclude more than %s takes about %.0f; it will hold for %s",
			p.Rate, name, step.Weight, step.Hold, gets, p.WarmUp, target, need, Roughly(takes))
		if p.Deadline > 0 && takes > p.Deadline.Seconds() {
			return DeadlineTooShort, said + fmt.Sprintf(", beyond stepDeadline %s: give it more weight, raise stepDeadline, or raise regression.exclude", p.Deadline)
		}
		return HoldTooShort, said + ": let it hold as long, give it more weight, or raise regression.exclude"
	}
	return "", ""
}
