package prometheus

import "belay.dev/belay/api/v1alpha1"

// metrics are what the rows of a response count, in messages.
type metrics map[kind]string

// of is the name of a row's metric.
func (m metrics) of(k kind) string {
	if name := m[k]; name != "" {
		return name
	}
	return rowNames[k]
}

// rowNames stand for metrics whose names are not known.
var rowNames = metrics{
	kindTotal: "total", kindBad: "bad", kindSampled: "the time of the sample", kindCount: "the count of the histogram", kindWithin: "the bucket of the threshold",
}

// pairOf are the metrics of a total and a part of it.
func pairOf(total, part, partIs string) metrics {
	if part == total {
		part += " (" + partIs + ")"
	}
	return metrics{kindTotal: total, kindBad: part}
}

func metricsOf(i v1alpha1.Indicator) metrics {
	switch {
	case i.Requests != nil:
		return pairOf(i.Requests.Total.Metric, i.Requests.Bad.Metric, "bad")
	case i.Latency != nil:
		return metrics{kindCount: i.Latency.Histogram + "_count", kindWithin: i.Latency.Histogram + "_bucket"}
	case i.PromQL != nil:
		return metrics{kindTotal: "promQL.total", kindBad: "promQL.bad"}
	default:
		return nil
	}
}

// ReadingInvariant returns the client that reads the responses to an invariant's queries: it
// names the metrics in messages.
func (c *Client) ReadingInvariant(i v1alpha1.Invariant) *Client {
	return c.naming(pairOf(i.Checks.Metric, i.Violations.Metric, "violations"))
}

// ReadingLoad is ReadingInvariant for a load.
func (c *Client) ReadingLoad(l Load) *Client {
	if l.Per == nil {
		return c.naming(metrics{kindTotal: l.Value.Metric})
	}
	return c.naming(pairOf(l.Value.Metric, l.Per.Metric, "per"))
}

func (c *Client) naming(m metrics) *Client {
	reading := *c
	reading.metrics = m
	return &reading
}
