package prometheus

import (
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

func TestCheckCumulativeAccepts(t *testing.T) {
	for _, expression := range []string{
		`nginx_requests_total`, `sum by (pod) (nginx_requests_total{code=~"5.."})`, `max by (pod) (a)`, `(a)`, `+a`, `2 * a`, `a / 1000`, `a * (1 + 1)`, `a + on (pod) b`,
		`d_count - on (pod) d_bucket{le="0.3"}`, `clamp_min(a - b, 0)`, `errors or 0 * total`, `a unless b`, `a and b`,
		`a * on (pod) group_left (version) kube_pod_labels`, `label_replace(a, "kind", "$1", "pod", "(.*)")`, `label_join(a, "id", "/", "namespace", "pod")`,
		`max_over_time(a[1h]) + 0 * a`, `last_over_time(a[5m])`, `histogram_count(d)`, `histogram_count(d) * (1 - histogram_fraction(0, 0.3, d))`,
		`histogram_count(d) - histogram_fraction(0, 0.5, d) * histogram_count(d)`,
	} {
		if err := CheckCumulative(expression); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

func TestCheckCumulativeRefuses(t *testing.T) {
	for expression, says := range map[string]string{
		`rate(a[5m])`:                       `"rate(a[5m])" at position 1 is a speed or a difference: write the counter without rate`,
		`sum by (pod) (irate(a[5m]))`:       `"irate(a[5m])" at position 15 is a speed`,
		`b + increase(a[1h])`:               `"increase(a[1h])" at position 5 is a speed`,
		`delta(a[1h])`:                      "without delta",
		`idelta(a[1h])`:                     "without idelta",
		`deriv(a[1h])`:                      "without deriv",
		`changes(a[1h])`:                    "without changes",
		`predict_linear(a[1h], 60)`:         "is a forecast of a gauge",
		`histogram_quantile(0.99, d)`:       `objective "99" with an indicator latency and threshold 300ms`,
		`quantile by (pod) (0.9, a)`:        "is a quantile",
		`quantile_over_time(0.9, a[1h])`:    "is a quantile",
		`histogram_fraction(0, 1, d)`:       "is not a count",
		`avg_over_time(a[1h])`:              "is not a count: write the counter without avg_over_time",
		`sum_over_time(a[1h])`:              "without sum_over_time",
		`count_over_time(a[1h])`:            "without count_over_time",
		`max_over_time(rate(a[5m])[1h:1m])`: "has a subquery",
		`a / b`:                             `is a ratio: write the divisor in total and the rest in bad`,
		`sum(a) / sum(b)`:                   "is a ratio",
		`1 / a`:                             "does not count requests",
		`a * b`:                             "does not count requests",
		`a + 1`:                             "does not count requests",
		`a ^ 2`:                             "does not count requests",
		`a % 2`:                             "does not count requests",
		`a > 0`:                             "compares",
		`a > bool 0`:                        "compares",
		`-a`:                                "decreases",
		`1 - a`:                             "does not count requests",
		`avg by (pod) (a)`:                  "is not a count: write sum by (pod)",
		`count by (pod) (a)`:                "is not a count",
		`topk by (pod) (1, a)`:              "is not a count",
		`sum by (pod) (histogram_fraction(0, 1, d))`: "is not a count",
		`timestamp(a)`:    "without timestamp",
		`clamp_max(a, 5)`: "without clamp_max",
		`scalar(a) * b`:   "without scalar",
		`a[5m]`:           "is not a count",
		`sum(a`:           "is not valid PromQL: \"1:6: parse error",
	} {
		err := CheckCumulative(expression)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", expression, err, says)
		}
	}
}

// TestAnIndicatorOfRatesIsRefused by the query for it, which names the expression.
func TestAnIndicatorOfRatesIsRefused(t *testing.T) {
	for want, q := range map[string]v1alpha1.PromQLIndicator{
		`promQL.total: "rate(a[5m])" at position 1`: {Total: `rate(a[5m])`, Bad: `b`},
		`promQL.bad: "rate(b[5m])" at position 6`:   {Total: `a`, Bad: `sum( rate(b[5m]))`},
	} {
		_, err := IndicatorQuery(v1alpha1.Indicator{PromQL: &q}, shop)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
