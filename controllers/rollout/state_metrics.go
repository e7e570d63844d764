package rollout

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
)

// Where each Rollout stands, for alerts and graphs. A series is there only while it means something:
// no run, no weight.
var (
	rolloutCondition = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_condition", Help: "1 for a Rollout's condition that is True, 0 for one that is False. A condition that it does not have has no series.",
	}, []string{"namespace", "rollout", "condition"})
	rolloutStalled = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_stalled", Help: "1 for a Rollout that only a person can take further, by the reason of its condition Stalled. One that is not stalled has no series.",
	}, []string{"namespace", "rollout", "reason"})
	rolloutPhase = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_phase", Help: "1 for the phase that a Rollout is in; other phases have no series.",
	}, []string{"namespace", "rollout", "phase"})
	rolloutWaiting = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_waiting", Help: "1 while Belay works on a Rollout or waits for something, by the reason of its condition Reconciling.",
	}, []string{"namespace", "rollout", "reason"})
	rolloutWeight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_weight_percent", Help: "The candidate's share of the requests in percent, in a run: desired, and observed once the gateway has acknowledged one.",
	}, []string{"namespace", "rollout", "of"})
	rolloutPods = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_canary_pods", Help: "Pods of the candidate in a run: desired and ready.",
	}, []string{"namespace", "rollout", "of"})
	rolloutStep = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_step", Help: "The step that a run is at, from 1, and the number of its steps.",
	}, []string{"namespace", "rollout", "of"})
	rolloutSince = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_rollout_since_timestamp_seconds", Help: "Unix time at which the run, step, bake or rollback in progress began, or since when its step waits for an approval.",
	}, []string{"namespace", "rollout", "of"})
	triggerOutcome = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_trigger_outcome", Help: "1 for the newest outcome of each trigger of a run in progress, pods and checks included.",
	}, []string{"namespace", "rollout", "trigger", "outcome"})
	evidenceBacklog = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "belay_evidence_backlog", Help: "Decisions about a Rollout that could not be written to its RolloutRun yet.",
	}, []string{"namespace", "rollout"})
)

// shownConditions is the closed set of the label condition.
var shownConditions = []string{
	v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionGuarded, v1alpha1.ConditionTrafficConflict, v1alpha1.ConditionInvariantViolated,
}

func init() {
	metrics.Registry.MustRegister(rolloutCondition, rolloutStalled, rolloutPhase, rolloutWaiting, rolloutWeight, rolloutPods, rolloutStep, rolloutSince, triggerOutcome, evidenceBacklog)
}

// series are those of one Rollout, so that they end without a search among the series of all
// Rollouts.
type series map[oneSeries]float64

// oneSeries is a gauge, and its labels after the Rollout's namespace and name; outcome is empty
// for a gauge with one label.
type oneSeries struct {
	gauge          *prometheus.GaugeVec
	label, outcome string
}

func (s oneSeries) of(name types.NamespacedName) []string {
	if s.outcome == "" {
		return []string{name.Namespace, name.Name, s.label}
	}
	return []string{name.Namespace, name.Name, s.label, s.outcome}
}

func (s series) set(gauge *prometheus.GaugeVec, label string, value float64) {
	s[oneSeries{gauge: gauge, label: label}] = value
}

func (s series) setConditions(conditions []metav1.Condition) {
	for _, c := range conditions {
		holds := c.Status == metav1.ConditionTrue
		switch {
		case holds && c.Type == v1alpha1.ConditionReconciling:
			s.set(rolloutWaiting, c.Reason, 1)
		case holds && c.Type == v1alpha1.ConditionStalled:
			s.set(rolloutStalled, c.Reason, 1)
		}
		if !slices.Contains(shownConditions, c.Type) {
			continue
		}
		value := 0.0
		if holds {
			value = 1
		}
		s.set(rolloutCondition, c.Type, value)
	}
}

// shownSeries has the series of each Rollout, by types.NamespacedName.
var shownSeries sync.Map

// showState makes what a Rollout's status says series, and ends those that it does not say
// any more. One Rollout is never shown twice at once: its reconciles follow each other.
func showState(r *v1alpha1.Rollout) {
	name := types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
	next := stateOf(r)
	if was, ok := shownSeries.Swap(name, next); ok {
		endSeries(name, was.(series), next)
	}
	for one, value := range next {
		one.gauge.WithLabelValues(one.of(name)...).Set(value)
	}
	backlog := 0
	if record := r.Status.Record; record != nil {
		backlog = len(record.Pending)
	}
	evidenceBacklog.WithLabelValues(name.Namespace, name.Name).Set(float64(backlog))
}

// hideState ends the series of a Rollout that is gone.
func hideState(name types.NamespacedName) {
	if was, ok := shownSeries.LoadAndDelete(name); ok {
		endSeries(name, was.(series), nil)
	}
	evidenceBacklog.DeleteLabelValues(name.Namespace, name.Name)
	wouldRollBack.DeletePartialMatch(prometheus.Labels{"namespace": name.Namespace, "rollout": name.Name})
}

func endSeries(name types.NamespacedName, was, stay series) {
	for one := range was {
		if _, stays := stay[one]; !stays {
			one.gauge.DeleteLabelValues(one.of(name)...)
		}
	}
}

// stateOf reads a status. Labels are phases, reasons and outcomes, which are closed sets of the
// API, and names of triggers, which the API server bounds.
func stateOf(r *v1alpha1.Rollout) series {
	s, out := &r.Status, series{}
	if s.Phase != "" {
		out.set(rolloutPhase, string(s.Phase), 1)
	}
	out.setConditions(s.Conditions)
	if !s.Phase.InRun() {
		return out
	}
	if s.RunStartedAt != nil {
		out.set(rolloutSince, "run", float64(s.RunStartedAt.Unix()))
	}
	for i := range s.Verdicts {
		v := &s.Verdicts[i]
		out[oneSeries{triggerOutcome, v1alpha1.TriggerName(v.Kind, v.Guardrail, v.Trigger), string(v.Outcome)}] = 1
	}
	if step := s.Step; step != nil {
		out.set(rolloutWeight, "desired", float64(step.Weight.Desired))
		if step.Weight.Observed >= 0 {
			out.set(rolloutWeight, "observed", float64(step.Weight.Observed))
		}
		out.set(rolloutPods, "desired", float64(step.Replicas.Desired))
		out.set(rolloutPods, "ready", float64(step.Replicas.Ready))
	}
	switch {
	case s.Phase == v1alpha1.PhaseStepping && s.Step != nil:
		out.set(rolloutStep, "now", float64(s.Step.Index)+1)
		out.set(rolloutStep, "all", float64(len(r.Spec.Steps)))
		out.set(rolloutSince, "step", float64(s.Step.EnteredAt.Unix()))
		if since := s.Step.AwaitsApprovalSince; since != nil {
			out.set(rolloutSince, "approval", float64(since.Unix()))
		}
	case s.Phase == v1alpha1.PhaseBaking && s.Promotion != nil && s.Promotion.FullAt != nil:
		out.set(rolloutSince, "bake", float64(s.Promotion.FullAt.Unix()))
	case s.Phase == v1alpha1.PhaseRollingBack && s.Rollback != nil:
		out.set(rolloutSince, "rollback", float64(s.Rollback.StartedAt.Unix()))
	}
	return out
}
