package prometheus

import (
	"context"
	"fmt"
)

// unusableValue and largeValue say why a value cannot be used, after the words for what reports
// it.
const (
	unusableValue = "the value %v for %s: it must be finite and not negative"
	largeValue    = "the value %v for %s: it is above 2^53, which no counter of requests reaches"
)

func whyUnusable(value float64) string {
	if isCount(value) {
		return largeValue
	}
	return unusableValue
}

// reports says what a pod, or a destination, reports.
func reports(destination bool, name, format string, what ...any) string {
	who := "pod"
	if destination {
		who = "destination"
	}
	return who + " " + quote(name) + " reports " + fmt.Sprintf(format, what...)
}

// Unusable names one of the pods whose series have a value that no counter has, which a probe
// has counted: the first by name, with the metric and the value. It is empty when there is none
// any more. tenant is as for Probe. The error is a *QueryError.
func (c *Client) Unusable(ctx context.Context, tenant string, probe Probe, clock Clock) (string, error) {
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return "", err
	}
	defer done()
	first, example := "", ""
	_, err = c.query(ctx, probe.unusable, evaluationTime(clock), func(r *sample) *QueryError {
		name := string(r.pod)
		if r.invalid || len(name) == 0 || len(name) > 253 || example != "" && name >= first {
			return nil
		}
		first = name
		metric := c.metrics.of(kinds[string(r.kind)])
		if r.histogram {
			example = reports(c.destinations, name, "a native histogram for %s: use a classic histogram or a counter", metric)
		} else {
			example = reports(c.destinations, name, whyUnusable(r.value), r.value, metric)
		}
		return nil
	})
	return example, err
}
