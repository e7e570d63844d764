package prometheus

import (
	"cmp"
	"context"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// maxBounds is how many bounds of buckets are kept.
const maxBounds = 6

// maxBoundText is how long the label le may be, in bytes.
const maxBoundText = 32

// Bounds returns the thresholds for which the histogram of a probe has a bucket: at most 6,
// those nearest to the indicator's threshold, smallest first, as users write them. It is empty
// for an indicator without a histogram. tenant is as for Probe. The error is a *QueryError.
func (c *Client) Bounds(ctx context.Context, tenant string, probe Probe, clock Clock) ([]string, error) {
	latency := probe.owned.indicator.Latency
	if latency == nil {
		return nil, nil
	}
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer done()
	var bounds []time.Duration
	query := `label_replace(count by (le) (` + probe.buckets + `),"k","$1","le","(.+)")`
	_, err = c.query(ctx, query, evaluationTime(clock), func(r *sample) *QueryError {
		if bound, ok := thresholdAt(r.kind, latency.Unit); ok {
			bounds = append(bounds, bound)
		}
		return nil
	})
	return nearest(bounds, latency.Threshold.Duration), err
}

// thresholdAt is the threshold that selects the bucket with this label le. ok is false when
// none does: thresholds are whole microseconds, at most an hour.
func thresholdAt(le []byte, unit v1alpha1.DurationUnit) (threshold time.Duration, ok bool) {
	bound, err := strconv.ParseFloat(string(le[:min(len(le), maxBoundText)]), 64)
	if unit != v1alpha1.UnitMilliseconds {
		bound *= 1000
	}
	if err != nil || !(bound > 0 && bound <= float64(time.Hour/time.Millisecond)) {
		return 0, false
	}
	threshold = time.Duration(math.Round(bound*1000)) * time.Microsecond
	l := v1alpha1.LatencyIndicator{Unit: unit}
	l.Threshold.Duration = threshold
	pattern, err := regexp.Compile("^(?:" + boundPattern(boundOf(l)) + ")$")
	return threshold, err == nil && threshold > 0 && pattern.Match(le)
}

// nearest are the bounds nearest to a threshold by their ratio to it, sorted.
func nearest(bounds []time.Duration, threshold time.Duration) (texts []string) {
	distance := func(d time.Duration) float64 { return math.Abs(math.Log(float64(d) / float64(threshold))) }
	slices.SortFunc(bounds, func(a, b time.Duration) int { return cmp.Or(cmp.Compare(distance(a), distance(b)), cmp.Compare(a, b)) })
	bounds = slices.Compact(bounds)
	bounds = bounds[:min(len(bounds), maxBounds)]
	slices.Sort(bounds)
	for _, bound := range bounds {
		texts = append(texts, thresholdText(bound))
	}
	return texts
}

// thresholdText is a threshold as users write it: the API takes no fractions.
func thresholdText(d time.Duration) string {
	switch {
	case d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d%time.Millisecond == 0:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
	default:
		return strconv.FormatInt(int64(d/time.Microsecond), 10) + "us"
	}
}
