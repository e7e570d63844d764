package analysis

import (
	"fmt"
	"math"
)

// defaultConfidence of what a pass excludes.
const defaultConfidence = 0.95

func (r Regression) confidence() float64 {
	if r.Confidence == 0 {
		return defaultConfidence
	}
	return r.Confidence
}

// excluded returns the verdict while a ratio of Exclude times the budget is not yet excluded
// by the requests that the candidate's pods have served after their warm-up. The interval is
// always-valid (see Interval), because the step ends as soon as it is narrow enough.
func (j *judgement) excluded() (v Verdict, held bool) {
	if j.Exclude == 0 {
		return Verdict{}, false
	}
	target, counts := j.Exclude*j.Budget, j.ledger.Mature(j.WarmUp).Canary
	_, high := Interval(counts, 1-j.confidence())
	if high < target {
		return Verdict{}, false
	}
	said := fmt.Sprintf("%s; up to %s %s are possible (%.4g %% confidence), and a pass must exclude %s", j.sentence(), percent(high), nameOfBad(j.BadName), 100*j.confidence(), percent(target))
	return Verdict{Reason: NotExcludedYet, Message: said + ": " + j.missing(counts, target)}, true
}

// missing says how many more requests exclude a ratio, and how long they take, if the
// candidate goes on as it does.
func (j *judgement) missing(counts Counts, target float64) string {
	more, ok := moreToExclude(counts, counts.Ratio(), target, 1-j.confidence())
	if !ok {
		return "more requests do not exclude it while so many are bad"
	}
	rate := j.ledger.Window(recentWindow).Total / recentWindow.Seconds()
	if rate == 0 {
		return fmt.Sprintf("about %.0f more requests", more)
	}
	return fmt.Sprintf("about %.0f more requests, %s at the present rate", more, Roughly(more/rate))
}

// mostMore is the greatest number of requests that is worth naming.
const mostMore = 1e12

// moreToExclude is how many more requests with this ratio of bad ones narrow the
// interval so far that it excludes a ratio. ok is false when none do.
func moreToExclude(c Counts, ratio, target, alpha float64) (more float64, ok bool) {
	excludes := func(more float64) bool {
		_, high := Interval(c.Add(Counts{more, more * ratio}), alpha)
		return high < target
	}
	enough := 1.0
	for !excludes(enough) {
		if enough *= 2; enough > mostMore {
			return 0, false
		}
	}
	few := enough / 2
	for enough-few > max(1, enough/100) {
		if middle := (few + enough) / 2; excludes(middle) {
			enough = middle
		} else {
			few = middle
		}
	}
	return math.Ceil(enough), true
}
