package rollout

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Labels come from closed sets, such as rules and outcomes, or are the names of Belay's
// own objects, which the API server bounds.
var (
	decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_decisions_total", Help: "Decisions recorded, by rule.",
	}, []string{"rule"})
	runsEnded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_runs_total", Help: "Runs that ended, by outcome.",
	}, []string{"outcome"})
	evidenceFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_evidence_failures_total", Help: "Writes of a run's record that failed, by what became of the decision: Waits, GoesOn or Lost.",
	}, []string{"decision"})
	wouldRollBack = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "belay_would_roll_back_total", Help: "Triggers in mode Observe that would have rolled back, each at most once in a run.",
	}, []string{"namespace", "rollout", "trigger"})
	runSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "belay_run_duration_seconds", Help: "Duration of runs that ended, by outcome.",
		Buckets: prometheus.ExponentialBuckets(15, 2, 12),
	}, []string{"outcome"})
)

func init() {
	metrics.Registry.MustRegister(decisions, runsEnded, wouldRollBack, runSeconds, evidenceFailures)
	// At 0 from the start: the first increase of a series that was not there is none.
	for _, outcome := range []v1alpha1.Outcome{v1alpha1.OutcomePromoted, v1alpha1.OutcomeRolledBack, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeCancelled, v1alpha1.OutcomeBypassed} {
		runsEnded.WithLabelValues(string(outcome))
		runSeconds.WithLabelValues(string(outcome))
	}
	for _, rule := range plan.Rules() {
		decisions.WithLabelValues(rule)
	}
	for _, decision := range []string{"Waits", "GoesOn", "Lost"} {
		evidenceFailures.WithLabelValues(decision)
	}
}

func countOutcome(finished *v1alpha1.HistoryEntry) {
	outcome := string(finished.Outcome)
	runsEnded.WithLabelValues(outcome).Inc()
	runSeconds.WithLabelValues(outcome).Observe(finished.FinishedAt.Sub(finished.StartedAt.Time).Seconds())
}
