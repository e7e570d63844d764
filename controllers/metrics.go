package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
)

// Belay's own metrics. Labels come from closed sets: rule names, outcomes,
// reasons. Nothing a tenant writes becomes a label.
var (
	decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_decisions_total", Help: "Decisions recorded, by rule.",
	}, []string{"rule"})
	runsEnded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_runs_total", Help: "Runs that ended, by outcome.",
	}, []string{"outcome"})
	sourceQueries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_source_queries_total", Help: "Queries to metric sources, by how they ended.",
	}, []string{"outcome"})
	// A source's name is the platform team's word, not a tenant's.
	outages = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_source_outage", Help: "1 while so many runs are blind on a source that all of them hold.",
	}, []string{"source"})
	runSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "belay_run_duration_seconds", Help: "Duration of runs that ended, by outcome.",
		Buckets: prometheus.ExponentialBuckets(15, 2, 12),
	}, []string{"outcome"})
)

func init() {
	metrics.Registry.MustRegister(decisions, runsEnded, runSeconds, sourceQueries, outages)
}

func (r *RolloutReconciler) countOutcome(w *world, finished *v1alpha1.HistoryEntry) {
	outcome := string(finished.Outcome)
	runsEnded.WithLabelValues(outcome).Inc()
	runSeconds.WithLabelValues(outcome).Observe(finished.FinishedAt.Sub(w.run.Spec.StartedAt.Time).Seconds())
}
