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

// SharesQuery asks what a Deployment's service has answered badly over an
// objective's period, one hour and five minutes, whatever versions served. It
// returns an error, which says what to do, for an indicator that cannot be asked
// for: an expression has no increase.
func SharesQuery(i v1alpha1.Indicator, namespace, deployment string, period time.Duration) (string, error) {
	mine := []string{
		"namespace=" + strconv.Quote(namespace),
		"pod=~" + strconv.Quote(regexp.QuoteMeta(deployment)+"-[a-z0-9]+-[a-z0-9]+"),
	}
	var total, part v1alpha1.Series
	share := "(sum(increase(%[2]s[%[3]s])) or vector(0)) / sum(increase(%[1]s[%[3]s]))"
	switch {
	case i.Requests != nil:
		total, part = i.Requests.Total, i.Requests.Bad
	case i.Latency != nil:
		total = v1alpha1.Series{Metric: i.Latency.Histogram + "_count", Matchers: i.Latency.Matchers}
		part = v1alpha1.Series{Metric: i.Latency.Histogram + "_bucket", Matchers: append([]v1alpha1.Matcher{
			{Name: "le", Op: "=~", Value: boundPattern(i.Latency.Threshold.Seconds())}}, i.Latency.Matchers...)}
		share = "1 - sum(increase(%[2]s[%[3]s])) / sum(increase(%[1]s[%[3]s]))"
	default:
		return "", errors.New("a pre-flight cannot ask for promQL: use requests or latency in this slo, or another guardrail without preflight")
	}
	totalSelector, err := selector(total, mine)
	if err != nil {
		return "", err
	}
	partSelector, err := selector(part, mine)
	if err != nil {
		return "", err
	}
	window := func(k, length string) string { return row(k, fmt.Sprintf(share, totalSelector, partSelector, length)) }
	return rows(1, window("period", fmt.Sprintf("%.0fd", period.Hours()/24)), window("long", "1h"), window("short", "5m"))
}

// Shares sends a query made by SharesQuery. The error is a *QueryError.
func (c *Client) Shares(ctx context.Context, query string, at, now time.Time) (analysis.Shares, error) {
	shares := analysis.Shares{Period: math.NaN(), Long: math.NaN(), Short: math.NaN()}
	_, err := c.ask(ctx, query, at, now, func(r *sample) error { return setShare(&shares, r) })
	if err != nil {
		return analysis.Shares{}, err
	}
	if math.IsNaN(shares.Period) {
		return shares, failed(analysis.NoTraffic, "the source has counted no request of this service: check the slo's metric and labels")
	}
	// A service without requests just now burns nothing.
	for _, share := range []*float64{&shares.Long, &shares.Short} {
		if math.IsNaN(*share) {
			*share = 0
		}
	}
	return shares, nil
}

// setShare reads one window. One without requests is NaN.
func setShare(shares *analysis.Shares, r *sample) error {
	into := map[string]*float64{"period": &shares.Period, "long": &shares.Long, "short": &shares.Short}
	share, asked := into[string(r.kind)]
	if !asked || r.histogram {
		return failed(analysis.Malformed, "the answer has a row that was not asked for")
	}
	*share = r.value
	return nil
}
