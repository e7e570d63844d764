package prometheus

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"belay.dev/belay/api/v1alpha1"
)

// IndicatorQuery returns one query for the cumulative total and bad counters of an slo's
// indicator, of every scraped target of the pods, of one run or several, and for the times
// of their samples. In the response, the label k of a series is total, bad or ts; of a
// latency count, within or ts. A pod without a bad series counts as 0 bad. Runs cannot share
// a query for promQL, because an expression may drop the namespace. The error says what to
// change in an indicator that cannot be queried.
func IndicatorQuery(i v1alpha1.Indicator, pods ...Pods) (string, error) {
	mine, err := restrictedTo(i, pods)
	if err != nil {
		return "", err
	}
	switch {
	case i.Requests != nil:
		return mine.countsQuery(i.Requests.Total, i.Requests.Bad, mayBeNative(i))
	case i.Latency != nil:
		return mine.latencyQuery(*i.Latency, mayBeNative(i))
	case i.PromQL != nil:
		return promQLQuery(*i.PromQL, pods)
	default:
		return "", fmt.Errorf("the indicator is empty: set requests, latency or promQL")
	}
}

// latencyQuery selects all observations (count) and those in the bucket whose upper
// bound is the threshold (within). A pod that has the first without the second has
// no such bucket. That must not look as if no request was slow, so the reader
// requires both.
func (mine restriction) latencyQuery(l v1alpha1.LatencyIndicator, nativeToo bool) (string, error) {
	for _, m := range l.Matchers {
		if m.Name == "le" {
			return "", fmt.Errorf("the label le is set by Belay: remove this matcher, and set threshold")
		}
	}
	count, err := countOf(countSeries(l), mine.matchers, nativeToo)
	if err != nil {
		return "", err
	}
	within, err := withinOf(l, mine.matchers, nativeToo)
	if err != nil {
		return "", err
	}
	times, err := mine.sampledAt(countSeries(l), bucketSeries(l), nativeToo)
	if err != nil {
		return "", err
	}
	by := mine.names.byTarget()
	return rows(mine.runs*mine.parts(forms(nativeToo)),
		row("count", "sum "+by+"("+count+")"),
		row("within", "sum "+by+"("+within+")"),
		row("ts", "min "+by+"("+times+")"))
}

// boundOf is the threshold in the unit of the histogram.
func boundOf(l v1alpha1.LatencyIndicator) float64 {
	if l.Unit == v1alpha1.UnitMilliseconds {
		return float64(l.Threshold.Duration) / float64(time.Millisecond)
	}
	return l.Threshold.Seconds()
}

// boundPattern matches the forms in which a bucket's bound is written: Prometheus 3
// writes whole numbers with a fraction, older exporters without.
func boundPattern(bound float64) string {
	plain := regexp.QuoteMeta(strconv.FormatFloat(bound, 'f', -1, 64))
	fraction := `0*`
	if !strings.Contains(plain, ".") {
		fraction = `(\.0*)?`
	}
	short := regexp.QuoteMeta(strconv.FormatFloat(bound, 'g', -1, 64))
	if short == plain {
		return plain + fraction
	}
	return plain + fraction + "|" + short
}

// promQLQuery restricts a user's own expressions. An expression's value has the time
// of the evaluation, not of its samples, so the time of a pod's samples is read from
// the series that total selects, and for a StatefulSet also from those of bad: see oldest.
func promQLQuery(q v1alpha1.PromQLIndicator, pods []Pods) (string, error) {
	if len(pods) != 1 {
		return "", fmt.Errorf("a promQL query cannot be shared by %d runs", len(pods))
	}
	total, err := counterQuery(q.Total, pods[0])
	if err != nil {
		return "", fmt.Errorf("promQL.total: %w", err)
	}
	bad, err := counterQuery(q.Bad, pods[0])
	if err != nil {
		return "", fmt.Errorf("promQL.bad: %w", err)
	}
	by := pods[0].labels().byPod()
	sampled := []string{total}
	if pods[0].ordered() {
		sampled = append(sampled, bad)
	}
	times, err := sampleTimes(by, sampled...)
	if err != nil {
		return "", fmt.Errorf("promQL.total: %w", err)
	}
	return rows(len(sampled),
		row("total", "sum "+by+"("+total+")"),
		row("bad", "sum "+by+"("+bad+")"),
		row("ts", times))
}

// counterQuery restricts an expression that must be a cumulative counter. What separates
// tenants is checked first.
func counterQuery(expression string, pods Pods) (string, error) {
	bound, err := CustomQuery(expression, pods)
	if err == nil {
		err = CheckCumulative(expression)
	}
	return bound, err
}

// sampleTimes returns a query for the scrape time of the oldest sample that
// expressions select for each pod, grouped as by says. Each selector gets a label k of its own before
// they are joined: otherwise "or" would keep only the first one's series of a pod.
func sampleTimes(by string, bound ...string) (string, error) {
	var times []string
	for _, expression := range bound {
		parsed, err := promQL().ParseExpr(expression)
		if err != nil {
			return "", fmt.Errorf("the sample times of the expression cannot be queried, rewrite it: %s", quote(err.Error()))
		}
		parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
			if s, ok := n.(*parser.VectorSelector); ok {
				if of := "min " + by + "(timestamp(" + s.String() + "))"; !slices.Contains(times, of) {
					times = append(times, of)
				}
			}
			return nil
		})
	}
	switch len(times) {
	case 0:
		return "", errors.New("the expression selects no samples: name a metric")
	case 1:
		return times[0], nil
	}
	for i, of := range times {
		times[i] = row(strconv.Itoa(i), of)
	}
	return "min " + by + "(" + strings.Join(times, " or ") + ")", nil
}
