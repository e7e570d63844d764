package triggers

import (
	"strconv"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// PowerOf is what a run of a Rollout would have for a regression that demands that something
// is excluded, at a rate of requests per second and stable's ratio of bad ones. The API server
// has checked the form of the numbers.
func PowerOf(spec v1alpha1.GuardrailSpec, t v1alpha1.Trigger, rollout v1alpha1.RolloutSpec, rate, ratio float64) analysis.Power {
	number := func(text string, standard float64) float64 {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
		return standard
	}
	slo, _ := spec.SLO(t.SLO)
	power := analysis.Power{
		Target:     number(t.Regression.Exclude, 0) * (1 - number(slo.Objective, 0)/100),
		Confidence: number(t.Regression.ExcludeConfidence, 95) / 100,
		Ratio:      ratio, Rate: rate, WarmUp: spec.WarmUpOf(t), Deadline: rollout.StepDeadline.Duration,
	}
	if slo.Indicator.Latency != nil {
		power.BadName = "slower than " + slo.Indicator.Latency.Threshold.Duration.String()
	}
	for _, step := range rollout.Steps {
		power.Steps = append(power.Steps, analysis.PlannedStep{Weight: int(step.Weight), Hold: step.Hold.Duration})
	}
	bake := analysis.PlannedStep{Weight: 100, Hold: rollout.Promotion.Bake.Duration}
	if rollout.ReplicaWeighted() {
		bake.Weight = 50
	}
	power.Steps = append(power.Steps, bake)
	return power
}
