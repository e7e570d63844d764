package controllers

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
)

// Belay's own metrics. Labels come from closed sets, such as rules, outcomes and
// statistics, or are the names of Belay's own objects, which the API server
// bounds. Nothing a source answers becomes a label.
var (
	decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_decisions_total", Help: "Decisions recorded, by rule.",
	}, []string{"rule"})
	runsEnded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_runs_total", Help: "Runs that ended, by outcome.",
	}, []string{"outcome"})
	evidenceFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_evidence_failures_total", Help: "Writes of a run's record that failed, by what became of the decision: Waits or GoesOn.",
	}, []string{"decision"})
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

// What a run in progress is judged by; gone when it has ended.
var (
	triggerStatistic = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_trigger_statistic", Help: "Newest statistics of the triggers of runs in progress: burns, thresholds, logarithms of e-values.",
	}, []string{"namespace", "rollout", "trigger", "statistic"})
	triggerOutcome = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_trigger_outcome", Help: "1 for the newest outcome of each trigger of runs in progress.",
	}, []string{"namespace", "rollout", "trigger", "outcome"})
)

// shownStatistics is the closed set of the label statistic.
var shownStatistics = map[string]bool{
	"burn": true, "burnLong": true, "burnShort": true, "rate": true, "logRelative": true, "logAbsolute": true, "logThreshold": true,
	"falseAlarms": true, "budgetSpent": true, "limit": true, "checks": true, "violations": true,
}

// showTrigger makes a verdict's numbers series.
func showTrigger(run *v1alpha1.RolloutRun, t v1alpha1.TriggerAnalysis) {
	labels := prometheus.Labels{"namespace": run.Namespace, "rollout": run.Spec.Rollout.Name, "trigger": t.Guardrail + "/" + t.Name}
	triggerOutcome.DeletePartialMatch(labels)
	triggerOutcome.MustCurryWith(labels).WithLabelValues(string(t.Outcome)).Set(1)
	for _, s := range t.Statistics {
		value, err := strconv.ParseFloat(s.Value, 64)
		if err == nil && shownStatistics[s.Name] {
			triggerStatistic.MustCurryWith(labels).WithLabelValues(s.Name).Set(value)
		}
	}
}

// hideTriggers ends the series of a Rollout that has no run in progress.
func hideTriggers(namespace, rollout string) {
	labels := prometheus.Labels{"namespace": namespace, "rollout": rollout}
	triggerOutcome.DeletePartialMatch(labels)
	triggerStatistic.DeletePartialMatch(labels)
}

func init() {
	metrics.Registry.MustRegister(triggerStatistic, triggerOutcome, decisions, runsEnded, runSeconds, evidenceFailures, sourceQueries, outages)
}

func countOutcome(finished *v1alpha1.HistoryEntry) {
	outcome := string(finished.Outcome)
	runsEnded.WithLabelValues(outcome).Inc()
	runSeconds.WithLabelValues(outcome).Observe(finished.FinishedAt.Sub(finished.StartedAt.Time).Seconds())
}
