package judge

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"belay.dev/belay/api/v1alpha1"
)

// triggerStatistic has series of runs in progress, which are deleted when the run ends. Label
// values come from a closed set (statistics) or are names of Belay's own objects, which the API
// server bounds. No text of a source becomes a label value.
var triggerStatistic = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "belay_trigger_statistic", Help: "Newest statistics of the triggers of runs in progress: burns, thresholds, logarithms of e-values.",
}, []string{"namespace", "rollout", "trigger", "statistic"})

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
	triggers           map[string]statistics
}

// statistics of one trigger, as they were recorded.
type statistics []v1alpha1.Statistic

// value is the newest of a name; empty when there is none.
func (s statistics) value(name string) string {
	for i := range s {
		if s[i].Name == name {
			return s[i].Value
		}
	}
	return ""
}

// show sets the series of a run to its newest verdicts and deletes all others, so that
// a trigger without data shows no old numbers.
func (s *shownTriggers) show(run *v1alpha1.RolloutRun, verdicts []v1alpha1.TriggerAnalysis) {
	next := shownTriggers{run.Namespace, run.Spec.Rollout.Name, make(map[string]statistics, len(verdicts))}
	for i := range verdicts {
		name := v1alpha1.TriggerName(verdicts[i].Kind, verdicts[i].Guardrail, verdicts[i].Name)
		was := s.triggers[name]
		is := make(statistics, 0, len(was))
		for _, statistic := range verdicts[i].Statistics {
			value, err := strconv.ParseFloat(statistic.Value, 64)
			if err != nil || !shownStatistics[statistic.Name] {
				continue
			}
			if was.value(statistic.Name) != statistic.Value {
				triggerStatistic.WithLabelValues(next.namespace, next.rollout, name, statistic.Name).Set(value)
			}
			is = append(is, statistic)
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
func (s *shownTriggers) end(stay map[string]statistics) {
	for name, was := range s.triggers {
		for _, statistic := range was {
			if stay[name].value(statistic.Name) == "" {
				triggerStatistic.DeleteLabelValues(s.namespace, s.rollout, name, statistic.Name)
			}
		}
	}
}

func init() { metrics.Registry.MustRegister(triggerStatistic) }
