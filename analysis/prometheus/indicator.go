package prometheus

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"belay.dev/belay/api/v1alpha1"
)

// IndicatorQuery asks for the counters of an slo's indicator, as CountsQuery
// does, for one run or for many. Runs cannot share a query for promQL: an
// expression may drop the namespace. It returns an error, which says what to do,
// for an indicator that cannot be asked for.
func IndicatorQuery(i v1alpha1.Indicator, pods ...Pods) (string, error) {
	switch {
	case i.Requests != nil:
		return CountsQuery(i.Requests.Total, i.Requests.Bad, pods...)
	case i.Latency != nil:
		return latencyQuery(*i.Latency, pods)
	case i.PromQL != nil:
		return promQLQuery(*i.PromQL, pods)
	default:
		return "", fmt.Errorf("the indicator is empty: set requests, latency or promQL")
	}
}

// latencyQuery asks for all observations (count) and those of the bucket that
// ends at the threshold (within). A pod that has the first without the second
// has no such bucket: that must not look like no slow request, so the rows have
// kinds of their own, and the reader demands both.
func latencyQuery(l v1alpha1.LatencyIndicator, pods []Pods) (string, error) {
	mine, err := bound(pods)
	if err != nil {
		return "", err
	}
	count, err := selector(v1alpha1.Series{Metric: l.Histogram + "_count", Matchers: l.Matchers}, mine)
	if err != nil {
		return "", err
	}
	for _, m := range l.Matchers {
		if m.Name == "le" {
			return "", fmt.Errorf("the label le is set by Belay: remove this matcher, and say threshold")
		}
	}
	within, err := selector(v1alpha1.Series{Metric: l.Histogram + "_bucket", Matchers: append([]v1alpha1.Matcher{
		{Name: "le", Op: "=~", Value: boundPattern(l.Threshold.Seconds())}}, l.Matchers...)}, mine)
	if err != nil {
		return "", err
	}
	return rows(len(pods),
		row("count", sumByTarget+"("+count+")"),
		row("within", sumByTarget+"("+within+")"),
		row("ts", minByTarget+"(timestamp("+count+"))"))
}

// boundPattern matches the ways in which a bucket's bound is written: Prometheus
// 3 writes whole numbers with a fraction, older exporters without.
func boundPattern(seconds float64) string {
	plain := regexp.QuoteMeta(strconv.FormatFloat(seconds, 'f', -1, 64))
	fraction := `0*`
	if !strings.Contains(plain, ".") {
		fraction = `(\.0*)?`
	}
	short := regexp.QuoteMeta(strconv.FormatFloat(seconds, 'g', -1, 64))
	if short == plain {
		return plain + fraction
	}
	return plain + fraction + "|" + short
}

// promQLQuery binds a user's own expressions. The time of an expression's value is
// that of its evaluation, whatever it computes from, so the time of a pod's
// samples is asked of the series that total selects.
func promQLQuery(q v1alpha1.PromQLIndicator, pods []Pods) (string, error) {
	if len(pods) != 1 {
		return "", fmt.Errorf("one promQL query for %d runs: each has its own", len(pods))
	}
	total, err := CustomQuery(q.Total, pods[0])
	if err != nil {
		return "", fmt.Errorf("promQL.total: %w", err)
	}
	bad, err := CustomQuery(q.Bad, pods[0])
	if err != nil {
		return "", fmt.Errorf("promQL.bad: %w", err)
	}
	times, err := sampleTimes(total)
	if err != nil {
		return "", fmt.Errorf("promQL.total: %w", err)
	}
	return rows(len(pods),
		row("total", "sum by (pod) ("+total+")"),
		row("bad", "sum by (pod) ("+bad+")"),
		row("ts", times))
}

// sampleTimes asks when the oldest of the samples was scraped that a bound
// expression selects of each pod. Selectors are told apart by the label k before
// they are joined: or would take only the first one's word for a pod.
func sampleTimes(bound string) (string, error) {
	parsed, err := promQL().ParseExpr(bound)
	if err != nil {
		return "", fmt.Errorf("the expression cannot be given a time, write it another way: %s", quote(err.Error()))
	}
	var times []string
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			if of := "min by (pod) (timestamp(" + s.String() + "))"; !slices.Contains(times, of) {
				times = append(times, of)
			}
		}
		return nil
	})
	switch len(times) {
	case 0:
		return "", errors.New("the expression has no samples that could be given a time: name a metric")
	case 1:
		return times[0], nil
	}
	for i, of := range times {
		times[i] = row(strconv.Itoa(i), of)
	}
	return "min by (pod) (" + strings.Join(times, " or ") + ")", nil
}
