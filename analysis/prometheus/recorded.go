package prometheus

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// RecordedQuery returns the query for the budget and burn rate that recording rules keep.
// Expressions of a tenant are restricted to the series of its namespace; an empty
// namespace restricts nothing, for expressions of the platform team. The error says what to
// change in an expression that cannot be queried.
func RecordedQuery(r v1alpha1.RecordedSLO, of v1alpha1.MetricSourceLabels, namespace string) (string, error) {
	remaining, burn, err := recordedExpressions(r)
	if err != nil {
		return "", err
	}
	if remaining, err = recordedIn(remaining, labelsOf(of).namespaceName(), namespace); err != nil {
		return "", fmt.Errorf("the budget of slo %s: %w", quote(r.SLO), err)
	}
	if burn, err = recordedIn(burn, labelsOf(of).namespaceName(), namespace); err != nil {
		return "", fmt.Errorf("the burn rate of slo %s: %w", quote(r.SLO), err)
	}
	return rows(1, row("remaining", remaining), row("burn", burn))
}

// recordedExpressions are the names that Sloth and Pyrra give their rules (the
// documentation of Sloth, "Introduction"; of Pyrra, "Generic rules").
func recordedExpressions(r v1alpha1.RecordedSLO) (remaining, burn string, err error) {
	switch {
	case r.Sloth != nil:
		of := "{sloth_service=" + strconv.Quote(r.Sloth.Service) + ",sloth_slo=" + strconv.Quote(r.Sloth.SLO) + "}"
		return "slo:period_error_budget_remaining:ratio" + of, "slo:current_burn_rate:ratio" + of, nil
	case r.Pyrra != nil:
		of := "{slo=" + strconv.Quote(r.Pyrra.SLO) + "}"
		rate := func(counter string) string { return "sum(rate(" + counter + of + "[5m]))" }
		allowed := "(1 - max(pyrra_objective" + of + "))"
		return "(max(pyrra_availability" + of + ") - max(pyrra_objective" + of + ")) / " + allowed,
			rate("pyrra_errors_total") + " / " + rate("pyrra_requests_total") + " / " + allowed, nil
	case r.PromQL != nil:
		return r.PromQL.BudgetRemaining, r.PromQL.BurnRate, nil
	default:
		return "", "", fmt.Errorf("preflight.recorded of slo %s is empty: set sloth, pyrra or promQL", quote(r.SLO))
	}
}

func recordedIn(expression, label, namespace string) (string, error) {
	if namespace != "" {
		return Bind(expression, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, label, namespace)}, DefaultCaps())
	}
	if !utf8.ValidString(expression) || len(expression) > DefaultCaps().Bytes {
		return "", fmt.Errorf("the expression is not valid UTF-8 or has more than %d bytes", DefaultCaps().Bytes)
	}
	parsed, err := promQL().ParseExpr(expression)
	if err != nil {
		return "", fmt.Errorf("the expression is not valid PromQL: %s", quote(err.Error()))
	}
	if _, err := bindAll(parsed, nil, DefaultCaps()); err != nil {
		return "", err
	}
	return parsed.String(), nil
}

// Recorded sends a query made by RecordedQuery for a tenant. The error is a *QueryError.
func (c *Client) Recorded(ctx context.Context, tenant, query string, clock Clock) (analysis.Recorded, error) {
	done, err := c.turn(ctx, tenant)
	if err != nil {
		return analysis.Recorded{}, err
	}
	defer done()
	at := evaluationTime(clock)
	read := map[string]float64{}
	_, err = c.query(ctx, query, at, func(r *sample) *QueryError {
		kind := string(r.kind)
		_, known := read[kind]
		switch {
		case kind != "remaining" && kind != "burn":
			return failed(analysis.Malformed, "the response has a series that was not queried")
		case r.histogram:
			return failed(analysis.WrongType, "the response has a native histogram where a ratio is expected")
		case r.invalid:
			return errNoValue
		case isAnotherTime(r.at, at):
			return failed(analysis.ClockSkew, "the response has another evaluation time than the query")
		case known:
			return failed(analysis.Malformed, "the recorded %s has more than one series: add matchers, or sum them", kind)
		}
		read[kind] = denoised(r.value)
		return nil
	})
	if err != nil {
		return analysis.Recorded{}, err
	}
	for _, kind := range []string{"remaining", "burn"} {
		if _, known := read[kind]; !known {
			return analysis.Recorded{}, failed(analysis.Stale, "the source has no recorded series of this slo (%s): check its names and its label namespace, and that the rules are evaluated", kind)
		}
	}
	if math.IsNaN(read["burn"]) {
		// There was no request in the window of the burn rate.
		read["burn"] = 0
	}
	return analysis.Recorded{Remaining: read["remaining"], Burn: read["burn"]}, nil
}
