package analysis

import (
	"fmt"
	"math"
	"time"
)

// missing says how many of the requests that a pass needs are there, how many are missing,
// and about how long they take at the rate of this stage.
func (l Ledger) missing(minimum int64) string {
	said := fmt.Sprintf("%.0f of %d requests needed at this weight, %.0f missing", l.Stage.Total, minimum, max(0, math.Ceil(float64(minimum)-l.Stage.Total)))
	elapsed := l.EvaluatedAt.Sub(l.StageFrom)
	if l.StageFrom.IsZero() || l.Stage.Total <= 0 {
		return said
	}
	left := (float64(minimum) - l.Stage.Total) * elapsed.Seconds() / l.Stage.Total
	if left <= 0 {
		return said
	}
	return said + ", " + Roughly(left) + " at the present rate"
}

// maxPace is the longest time that is said.
const maxPace = 48 * time.Hour

// Roughly says a number of seconds as what an estimate is worth: "about" whole 5 s, minutes or
// hours, always up, and "more than 2 days" beyond. Seconds must be more than 0.
func Roughly(seconds float64) string {
	up := func(unit time.Duration) float64 { return math.Ceil(seconds / unit.Seconds()) }
	switch {
	case seconds <= 60:
		return fmt.Sprintf("about %.0fs", 5*up(5*time.Second))
	case seconds <= 3600:
		return fmt.Sprintf("about %.0fm", up(time.Minute))
	case seconds <= maxPace.Seconds():
		return fmt.Sprintf("about %.0fh", up(time.Hour))
	default:
		return "more than 2 days"
	}
}
