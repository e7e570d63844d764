package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// SharesQuery returns the query for the error ratios of a workload's pods, of all
// versions, over the objective's period, one hour and five minutes. The error says
// what to change in an indicator that cannot be queried: promQL cannot, because an
// expression has no increase. all has the source's labels, and the
// Services of all versions, or the StatefulSet; without one the workload is a Deployment.
func SharesQuery(i v1alpha1.Indicator, all Pods, workload string, period time.Duration) (string, error) {
	mine, err := allVersions(i, all, workload)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, window := range [][2]string{{"period", fmt.Sprintf("%.0fd", period.Hours()/24)}, {"long", "1h"}, {"short", "5m"}} {
		share, err := shareOf(i, mine, window[1])
		if err != nil {
			return "", err
		}
		parts = append(parts, row(window[0], share))
	}
	// Every sum has two forms; see sumOf.
	return rows(2*forms(mayBeNative(i)), parts...)
}

// shareOf is an indicator's error ratio over a window.
func shareOf(i v1alpha1.Indicator, mine []string, window string) (string, error) {
	switch {
	case i.Requests != nil:
		total, err := increaseOf(i.Requests.Total, mine, mayBeNative(i), window)
		if err != nil {
			return "", err
		}
		bad, err := increaseOf(i.Requests.Bad, mine, mayBeNative(i), window)
		return "(" + sumOf(bad) + " or vector(0)) / " + sumOf(total), err
	case i.Latency != nil:
		count, native, err := bothForms(countSeries(*i.Latency), mine, mayBeNative(i))
		if err != nil {
			return "", err
		}
		bucket, err := selector(bucketSeries(*i.Latency), mine)
		share := "1 - " + sumOf("increase("+bucket+"["+window+"])") + " / " + sumOf("increase("+count+"["+window+"])")
		if err != nil || native == "" {
			return share, err
		}
		return share + " or 1 - " + withinPart(*i.Latency, "sum(increase("+native+"["+window+"]))"), nil
	default:
		return "", errors.New("a pre-flight check does not support promQL: name recording rules of this slo in preflight.recorded, or move it to a guardrail without preflight")
	}
}

// sumOf adds up what can be counted: one pod's NaN, or its counter that was decreased below 0, must
// not hide the others. When nothing can be, it is what they say, such as NaN, and not none.
func sumOf(increase string) string {
	return "(sum(" + increase + " " + ofCounter + ") or sum(" + increase + "))"
}

// allVersions are the matchers of all versions of a Deployment.
func allVersions(i v1alpha1.Indicator, all Pods, deployment string) ([]string, error) {
	switch {
	case all.ordered():
		mine, err := restrictedTo(i, []Pods{all})
		return mine.matchers, err
	case CountsByPod(i):
		names, err := podsOfDeployment(deployment)
		return []string{namespaceMatcher(all.labels(), []string{all.Namespace}), quotedName(all.labels().podName()) + "=~" + strconv.Quote(names)}, err
	case i.By == v1alpha1.CountedByService:
		mine, err := restrictedTo(i, []Pods{all})
		return mine.matchers, err
	}
	d, err := destinationOf(i)
	if err != nil {
		return nil, err
	}
	return d.matchers([]string{all.Namespace}, []string{regexp.QuoteMeta(deployment) + "-[a-z0-9]+"}), nil
}

// maxHash is the length of the hash in the names of a Deployment's ReplicaSets.
const maxHash = 10

// podsOfDeployment matches the names of the pods of all ReplicaSets of a Deployment:
// its name, a hash and five random characters, separated by hyphens. When the name is
// long, the hash is cut and the second hyphen is missing.
func podsOfDeployment(deployment string) (string, error) {
	left := maxPodPrefix - len(deployment) - len("-")
	names := regexp.QuoteMeta(deployment) + "-"
	switch {
	case left < 0:
		return "", fmt.Errorf("the pods of Deployment %s cannot be recognised by their names: give it a name of at most %d characters", quote(deployment), maxPodPrefix-1)
	case left <= maxHash:
		return fmt.Sprintf("%s([a-z0-9]+-[a-z0-9]{5}|[a-z0-9]{%d})", names, left+5), nil
	default:
		return names + "[a-z0-9]+-[a-z0-9]{5}", nil
	}
}

// Shares sends a query made by SharesQuery for a tenant. The error is a *QueryError.
func (c *Client) Shares(ctx context.Context, tenant, query string, clock Clock) (analysis.Shares, error) {
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return analysis.Shares{}, err
	}
	defer done()
	windows := shareReader{at: evaluationTime(clock)}
	if _, err := c.query(ctx, query, windows.at, windows.take); err != nil {
		return analysis.Shares{}, err
	}
	return windows.shares()
}

// shareReader reads the error ratios in a response.
type shareReader struct {
	at   time.Time
	read [3]float64
	seen [3]bool
}

// windowNames are the label k of each ratio, and its window in messages.
var windowNames = [3]struct{ kind, text string }{{"period", "the objective's period"}, {"long", "the last hour"}, {"short", "the last five minutes"}}

func (w *shareReader) take(r *sample) *QueryError {
	for i, window := range windowNames {
		switch {
		case string(r.kind) != window.kind:
			continue
		case r.histogram:
			return failed(analysis.WrongType, "the response has a native histogram where a ratio is expected")
		case r.invalid:
			return errNoValue
		case isAnotherTime(r.at, w.at):
			return failed(analysis.ClockSkew, "the response has another evaluation time than the query")
		case w.seen[i]:
			return failed(analysis.Malformed, "the response has two series for one window")
		}
		w.read[i], w.seen[i] = denoised(r.value), true
		return nil
	}
	return failed(analysis.Malformed, "the response has a series that was not queried")
}

// shares tells a window without requests from one without samples: the ratio of the
// first is NaN and counts as 0, that of the second is absent, which is an error. What is counted
// in the whole period must be a number: so are its windows then.
func (w *shareReader) shares() (analysis.Shares, error) {
	for i, seen := range w.seen {
		if !seen {
			return analysis.Shares{}, failed(analysis.Stale, "the source has no samples of this service over %s: check that its pods are scraped, and the slo's metric and labels", windowNames[i].text)
		}
	}
	if math.IsNaN(w.read[0]) {
		return analysis.Shares{}, failed(analysis.NoTraffic, "the source has counted no request of this service in the objective's period, or what it has counted is not a number: check the slo's metric and labels")
	}
	for i := range w.read {
		if math.IsNaN(w.read[i]) {
			w.read[i] = 0
		}
	}
	return analysis.Shares{Period: w.read[0], Long: w.read[1], Short: w.read[2]}, nil
}
