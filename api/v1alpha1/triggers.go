package v1alpha1

import (
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EffectiveTriggers are the triggers as named, or, when none is, the default
// set: a regression for each slo, which notices outages as fast as a burn-rate
// rule and comparisons as surely as an always-valid test; every invariant; and
// the canary's pods, which need no source.
func (s GuardrailSpec) EffectiveTriggers() []Trigger {
	if len(s.Triggers) > 0 {
		return s.Triggers
	}
	var out []Trigger
	for _, slo := range s.SLOs {
		out = append(out, Trigger{Name: slo.Name, SLO: slo.Name, Regression: &RegressionTrigger{WorseThan: "1.5", Burn: "2", FalseAlarm: "0.01"}})
	}
	for _, i := range s.Invariants {
		out = append(out, Trigger{Name: i.Name, Invariant: i.Name})
	}
	restarts := int32(1)
	return append(out, Trigger{Name: "pods", Pods: &PodsTrigger{MaxRestarts: &restarts, ReadyWithin: metav1.Duration{Duration: 5 * time.Minute}}})
}

// Blind is what to do while a trigger's source gives no usable answer: its own
// rule, or the guardrail's.
func (s GuardrailSpec) Blind(t Trigger) WhenBlind {
	if t.WhenBlind != nil {
		return *t.WhenBlind
	}
	return s.WhenBlind
}

// PeriodDuration is the period's length; 30 days for one that cannot be read,
// which the API server does not let through.
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
