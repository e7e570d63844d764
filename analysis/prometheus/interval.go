package prometheus

import (
	"context"
	"fmt"
	"math"
	"time"
)

// countedOver are the times over which samples are counted: the second one where no target
// is as old as the first, as on a new cluster.
var countedOver = []time.Duration{10 * time.Minute, time.Minute}

// usualIntervals are those that people configure. A count of samples is not exact.
var usualIntervals = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute,
}

// Interval derives the scrape interval from how many samples the targets of pods have had in
// 10 minutes, or in one minute where all of them are younger. Nine of ten of them have that
// interval or a shorter one. It returns 0 when the source has no series up with the pods'
// label that is a minute old. The error is a *QueryError.
func (c *Client) Interval(ctx context.Context, clock Clock) (time.Duration, error) {
	done, err := c.turn(ctx, "")
	if err != nil {
		return 0, err
	}
	defer done()
	for _, over := range countedOver {
		if interval, err := c.intervalOver(ctx, clock, over); err != nil || interval > 0 {
			return interval, err
		}
	}
	return 0, nil
}

func (c *Client) intervalOver(ctx context.Context, clock Clock, over time.Duration) (time.Duration, error) {
	counted := math.NaN()
	// A target that is younger has fewer samples.
	up := "up{" + quotedName(c.labels.podName()) + `!=""}`
	query := fmt.Sprintf("quantile(0.1,count_over_time(%[1]s[%[2]s]) and %[1]s offset %[2]s)", up, fmt.Sprintf("%dm", over/time.Minute))
	_, err := c.query(ctx, query, evaluationTime(clock), func(r *sample) *QueryError {
		if r.invalid || r.histogram {
			return errNoValue
		}
		counted = r.value
		return nil
	})
	if err != nil || !(counted >= 1) {
		return 0, err
	}
	measured := time.Duration(float64(over) / counted)
	for _, usual := range usualIntervals {
		if usual >= measured*9/10 {
			return usual, nil
		}
	}
	return over, nil
}
