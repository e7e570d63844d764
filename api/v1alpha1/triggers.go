package v1alpha1

import (
	"fmt"
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
		out = append(out, Trigger{Name: slo.Name, SLO: slo.Name, Regression: &RegressionTrigger{WorseThan: "1.5", Burn: "2", FalseAlarm: "0.01"}})
	}
	for _, i := range s.Invariants {
		out = append(out, Trigger{Name: i.Name, Invariant: i.Name})
	}
	restarts := int32(1)
	return append(out, Trigger{Name: "pods", Pods: &PodsTrigger{MaxRestarts: &restarts, ReadyWithin: metav1.Duration{Duration: 5 * time.Minute}}})
}

// Blind is what to do while there is no usable response for a trigger: its own whenBlind,
// or the guardrail's.
func (s GuardrailSpec) Blind(t Trigger) WhenBlind {
	if t.WhenBlind != nil {
		return *t.WhenBlind
	}
	return s.WhenBlind
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

// Mistake says what makes a spec unusable although its form is valid, and what to write:
// an objective whose budget is too large for a trigger. It is empty without a mistake. The
// API server refuses the same; this is for guardrails that were stored before it did.
func (s GuardrailSpec) Mistake() string {
	for _, t := range s.EffectiveTriggers() {
		slo, ok := s.SLO(t.SLO)
		if t.SLO == "" || !ok {
			continue
		}
		field, text, limit := "", "", 0.0
		switch {
		case t.Regression != nil:
			field, text, limit = "regression.burn", t.Regression.Burn, 90
		case t.Burn != nil:
			field, text, limit = "burn.rate", t.Burn.Rate, 100
		default:
			continue
		}
		objective, objectiveErr := strconv.ParseFloat(slo.Objective, 64)
		factor, factorErr := strconv.ParseFloat(text, 64)
		switch {
		case objectiveErr != nil || objective <= 0 || objective >= 100:
			return fmt.Sprintf("slo %s: the objective %.16q is not a percentage above 0 and below 100: write one such as \"99.9\"", slo.Name, slo.Objective)
		case factorErr != nil || factor <= 0:
			return fmt.Sprintf("trigger %s: %s %.16q is not a number above 0: write one such as \"2\"", t.Name, field, text)
		case factor*(100-objective) >= limit:
			return fmt.Sprintf("slo %s: the objective %s %% leaves a budget of %.4g %%, and %s %s times that is not below %.0f %%: lower %s of trigger %s, or raise the objective",
				slo.Name, slo.Objective, 100-objective, field, text, limit, field, t.Name)
		}
	}
	return ""
}

// UsesPromQL reports whether an slo has an indicator promQL, which the API server cannot
// check.
func (s GuardrailSpec) UsesPromQL() bool {
	for _, slo := range s.SLOs {
		if slo.Indicator.PromQL != nil {
			return true
		}
	}
	return false
}
