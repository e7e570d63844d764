package rollout

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
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

var rolloutCondition = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "belay_rollout_condition", Help: "1 for a Rollout's condition that is True, 0 for one that is False. A condition that it does not have has no series.",
}, []string{"namespace", "rollout", "condition"})

var rolloutStalled = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "belay_rollout_stalled", Help: "1 for a Rollout that only a person can take further, by the reason of its condition Stalled. One that is not stalled has no series.",
}, []string{"namespace", "rollout", "reason"})

// shownConditions is the closed set of the label condition.
var shownConditions = []string{
	v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionGuarded, v1alpha1.ConditionTrafficConflict, v1alpha1.ConditionInvariantViolated,
}

// showConditions makes a Rollout's conditions series.
func showConditions(rollout *v1alpha1.Rollout) {
	for _, kind := range shownConditions {
		labels := []string{rollout.Namespace, rollout.Name, kind}
		at := slices.IndexFunc(rollout.Status.Conditions, func(c metav1.Condition) bool { return c.Type == kind })
		if kind == v1alpha1.ConditionStalled {
			showStalled(rollout, at)
		}
		switch {
		case at < 0:
			rolloutCondition.DeleteLabelValues(labels...)
		case rollout.Status.Conditions[at].Status == metav1.ConditionTrue:
			rolloutCondition.WithLabelValues(labels...).Set(1)
		default:
			rolloutCondition.WithLabelValues(labels...).Set(0)
		}
	}
}

// showStalled keeps the one series of the present reason, of the API's closed set.
func showStalled(rollout *v1alpha1.Rollout, at int) {
	rolloutStalled.DeletePartialMatch(prometheus.Labels{"namespace": rollout.Namespace, "rollout": rollout.Name})
	if at >= 0 && rollout.Status.Conditions[at].Status == metav1.ConditionTrue {
		rolloutStalled.WithLabelValues(rollout.Namespace, rollout.Name, rollout.Status.Conditions[at].Reason).Set(1)
	}
}

// hideConditions ends the series of a Rollout that is gone.
func hideConditions(rollout types.NamespacedName) {
	for _, kind := range shownConditions {
		rolloutCondition.DeleteLabelValues(rollout.Namespace, rollout.Name, kind)
	}
	rolloutStalled.DeletePartialMatch(prometheus.Labels{"namespace": rollout.Namespace, "rollout": rollout.Name})
	wouldRollBack.DeletePartialMatch(prometheus.Labels{"namespace": rollout.Namespace, "rollout": rollout.Name})
}

func init() {
	metrics.Registry.MustRegister(decisions, runsEnded, wouldRollBack, runSeconds, evidenceFailures, rolloutCondition, rolloutStalled)
	// At 0 from the start: the first increase of a series that was not there is none.
	for _, outcome := range []v1alpha1.Outcome{v1alpha1.OutcomePromoted, v1alpha1.OutcomeRolledBack, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeCancelled, v1alpha1.OutcomeBypassed} {
		runsEnded.WithLabelValues(string(outcome))
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
