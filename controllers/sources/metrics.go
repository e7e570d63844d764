package sources

import (
	"errors"

	promclient "github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
)

var (
	queries = promclient.NewCounterVec(promclient.CounterOpts{
		Name: "belay_source_queries_total", Help: "Queries to metric sources, by how they ended.",
	}, []string{"outcome"})
	// The name of a source is set by the platform team, not by a tenant.
	outages = promclient.NewGaugeVec(promclient.GaugeOpts{
		Name: "belay_source_outage", Help: "1 while so many runs get no usable response from a source that all of them hold.",
	}, []string{"source"})
)

func init() { metrics.Registry.MustRegister(queries, outages) }

// CountQuery counts a query to a source by how it ended; nil is a usable response.
func CountQuery(err error) {
	outcome := string(analysis.Malformed)
	var known *prometheus.QueryError
	switch {
	case err == nil:
		outcome = "Answered"
	case errors.As(err, &known):
		outcome = string(known.Reason)
	}
	queries.WithLabelValues(outcome).Inc()
}
