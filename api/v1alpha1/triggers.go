package v1alpha1

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EffectiveTriggers are the triggers of the spec or, when it has none, the default ones: a
// regression for each slo, one for each invariant, and one for the canary's pods.
func (s GuardrailSpec) EffectiveTriggers() []Trigger {
	if len(s.Triggers) > 0 {
		return s.Triggers
	}
	var out []Trigger
	for _, slo := range s.SLOs {
		out = append(out, Trigger{Name: slo.Name, SLO: slo.Name, Regression: &RegressionTrigger{WorseThan: "1.5", Burn: "2", FalseAlarm: "0.01", ExcludeConfidence: "95"}})
	}
	for _, i := range s.Invariants {
		out = append(out, Trigger{Name: i.Name, Invariant: i.Name})
	}
	restarts := int32(1)
	return append(out, Trigger{Name: "pods", Pods: &PodsTrigger{MaxRestarts: &restarts, ReadyWithin: metav1.Duration{Duration: 5 * time.Minute}}})
}

// Measured reports whether a trigger is judged by metrics, and so needs a source.
func (t *Trigger) Measured() bool { return t.Pods == nil && t.Check == nil }

// Blind is what to do while there is no usable response for a trigger: its own whenBlind,
// or the guardrail's.
func (s GuardrailSpec) Blind(t Trigger) WhenBlind {
	if t.WhenBlind != nil {
		return *t.WhenBlind
	}
	return s.WhenBlind
}

// ModeOf is the mode of a trigger: its own, or the guardrail's. A guardrail without one
// enforces.
func (s GuardrailSpec) ModeOf(t Trigger) Mode { return cmp.Or(t.Mode, s.Mode, ModeEnforce) }

// Observes reports whether a trigger only observes.
func (s GuardrailSpec) Observes(t Trigger) bool { return s.ModeOf(t) == ModeObserve }

// Compares reports whether a trigger judges what a comparer counts.
func (s GuardrailSpec) Compares(t Trigger) bool {
	slo, ok := s.SLO(t.SLO)
	return ok && slo.Indicator.Preset == PresetComparer
}

// DefaultWarmUp is that of a guardrail which does not set one.
const DefaultWarmUp = time.Minute

// WarmUpOf is how long after a pod is ready what it serves is young for a trigger: its own
// warmUp, or the guardrail's. A trigger that compares answers has none but its own: a wrong
// answer is no cold start, and a step whose copies are all young would decide nothing.
func (s GuardrailSpec) WarmUpOf(t Trigger) time.Duration {
	switch {
	case t.WarmUp != nil:
		return t.WarmUp.Duration
	case s.Compares(t):
		return 0
	case s.WarmUp != nil:
		return s.WarmUp.Duration
	default:
		return DefaultWarmUp
	}
}

// PeriodDuration is the length of the period; 30 days when it cannot be parsed, which the
// API server does not accept.
func (s SLO) PeriodDuration() time.Duration {
	days, err := strconv.Atoi(strings.TrimSuffix(s.Period, "d"))
	if err != nil || days <= 0 {
		days = 30
	}
	return time.Duration(days) * 24 * time.Hour
}

// SLO returns the objective of a name.
func (s GuardrailSpec) SLO(name string) (SLO, bool) {
	for _, slo := range s.SLOs {
		if slo.Name == name {
			return slo, true
		}
	}
	return SLO{}, false
}

// Budget is the ratio of bad requests that the objective allows, above 0 and below 1; 0 and not ok
// where the objective is no number, as in an SLO that does not exist.
func (s SLO) Budget() (ratio float64, ok bool) {
	objective, err := strconv.ParseFloat(s.Objective, 64)
	if err != nil {
		return 0, false
	}
	return (100 - objective) / 100, true
}
