package judge

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
)

// Metrics of runs in progress; their series are deleted when the run ends. Label values
// come from closed sets (outcomes, statistics) or are names of Belay's own objects,
// which the API server bounds. No text of a source becomes a label value.
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
	"canary": true, "stable": true, "bound": true,
}

// shownTriggers are the series of one run, so that they can be deleted without
// searching the series of all runs.
type shownTriggers struct {
	namespace, rollout string
	triggers           map[string]shownTrigger
}

type shownTrigger struct {
	outcome string
	// statistics as they were recorded.
	statistics []v1alpha1.Statistic
}

// statistic is the newest value of a name; empty when there is none.
func (s shownTrigger) statistic(name string) string {
	for i := range s.statistics {
		if s.statistics[i].Name == name {
			return s.statistics[i].Value
		}
	}
	return ""
}

// show sets the series of a run to its newest verdicts and deletes all others, so that
// a trigger without data shows no old numbers.
func (s *shownTriggers) show(run *v1alpha1.RolloutRun, verdicts []v1alpha1.TriggerAnalysis) {
	next := shownTriggers{run.Namespace, run.Spec.Rollout.Name, make(map[string]shownTrigger, len(verdicts))}
	for i := range verdicts {
		name := v1alpha1.TriggerName(verdicts[i].Kind, verdicts[i].Guardrail, verdicts[i].Name)
		was := s.triggers[name]
		is := shownTrigger{string(verdicts[i].Outcome), make([]v1alpha1.Statistic, 0, len(was.statistics))}
		if is.outcome != was.outcome {
			triggerOutcome.WithLabelValues(next.namespace, next.rollout, name, is.outcome).Set(1)
		}
		for _, statistic := range verdicts[i].Statistics {
			value, err := strconv.ParseFloat(statistic.Value, 64)
			if err != nil || !shownStatistics[statistic.Name] {
				continue
			}
			if was.statistic(statistic.Name) != statistic.Value {
				triggerStatistic.WithLabelValues(next.namespace, next.rollout, name, statistic.Name).Set(value)
			}
			is.statistics = append(is.statistics, statistic)
		}
		next.triggers[name] = is
	}
	s.end(next.triggers)
	*s = next
}

// hide deletes the series of a run that is no longer judged.
func (s *shownTriggers) hide() {
	s.end(nil)
	s.triggers = nil
}

// end deletes the series that are not among stay.
func (s *shownTriggers) end(stay map[string]shownTrigger) {
	for name, was := range s.triggers {
		is := stay[name]
		if was.outcome != is.outcome {
			triggerOutcome.DeleteLabelValues(s.namespace, s.rollout, name, was.outcome)
		}
		for _, statistic := range was.statistics {
			if is.statistic(statistic.Name) == "" {
				triggerStatistic.DeleteLabelValues(s.namespace, s.rollout, name, statistic.Name)
			}
		}
	}
}

func init() { metrics.Registry.MustRegister(triggerStatistic, triggerOutcome) }
