package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

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

// Shares sends a query made by SharesQuery. A window without requests is NaN.
// The error is a *QueryError.
func (c *Client) Shares(ctx context.Context, query string, at, now time.Time) (analysis.Shares, error) {
	value, _, err := c.ask(ctx, query, at, now)
	if err != nil {
		return analysis.Shares{}, err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return analysis.Shares{}, failed(analysis.WrongType, "the source did not answer a vector")
	}
	shares := analysis.Shares{Period: math.NaN(), Long: math.NaN(), Short: math.NaN()}
	into := map[model.LabelValue]*float64{"period": &shares.Period, "long": &shares.Long, "short": &shares.Short}
	for _, sample := range vector {
		share, known := into[sample.Metric["k"]]
		if !known || sample.Histogram != nil {
			return analysis.Shares{}, failed(analysis.Malformed, "the answer has a row that was not asked for")
		}
		*share = float64(sample.Value)
	}
	if math.IsNaN(shares.Period) {
		return shares, failed(analysis.NoTraffic, "the source has counted no request of this service: check the slo's metric and labels")
	}
	// A service without requests just now burns nothing.
	for _, share := range into {
		if math.IsNaN(*share) {
			*share = 0
		}
	}
	return shares, nil
}
