package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GuardrailStatus is what Belay sees of a guardrail: whether it can be used, and what its
// indicators see of the stable pods of the Rollouts that it applies to.
type GuardrailStatus struct {
	// conditions of the guardrail. Ready is True when every indicator sees its series, or nothing can be
	// measured yet.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// rollouts is how many Rollouts the guardrail applies to.
	// +optional
	Rollouts int32 `json:"rollouts,omitempty"`

	// probedAt is when the indicators were last measured.
	// +optional
	ProbedAt *metav1.Time `json:"probedAt,omitempty"`

	// indicators are what was seen of each slo, invariant and saturation trigger. A probe
	// looks at up to 8 Rollouts, each time at others, and again at those where something was
	// wrong; the worst of them is shown.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=48
	Indicators []IndicatorStatus `json:"indicators,omitempty"`

	// exclusions are the Rollouts whose steps give a candidate too few requests, at the
	// present rate, for what a regression.exclude demands: at most 16, the worst first. It is a
	// warning: their runs start, and hold for longer.
	// +optional
	// +listType=map
	// +listMapKey=rollout
	// +listMapKey=trigger
	// +kubebuilder:validation:MaxItems=16
	Exclusions []ExclusionStatus `json:"exclusions,omitempty"`
}

// ExclusionStatus is a Rollout whose steps are too short for a trigger's regression.exclude.
type ExclusionStatus struct {
	// rollout as namespace/name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Rollout string `json:"rollout,omitempty"`
	// trigger with regression.exclude.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Trigger string `json:"trigger,omitempty"`
	// reason from the closed set of the condition ExclusionReachable.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// message with the requests that a step gets and those that it needs, and what to do.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// IndicatorStatus is what an indicator sees now.
type IndicatorStatus struct {
	// kind of what has the indicator: SLO, Invariant or Saturation.
	// +required
	// +kubebuilder:validation:Enum=SLO;Invariant;Saturation
	Kind string `json:"kind,omitempty"`
	// name of the slo, invariant or trigger.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// reason from the closed set of verdicts; Healthy when all series were seen.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// message with what was counted, or with the mistake and what to write.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// wrongIn names Rollouts, as namespace/name, where something was wrong when they were
	// probed last: at most 4, the worst first. They are probed each time until it is mended.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MaxLength=317
	WrongIn []string `json:"wrongIn,omitempty"`
}
