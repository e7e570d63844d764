package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// VerdictStatus is the newest verdict of one trigger.
type VerdictStatus struct {
	// kind of the guardrail: Guardrail or ClusterGuardrail.
	// +required
	// +kubebuilder:validation:Enum=Guardrail;ClusterGuardrail
	Kind string `json:"kind,omitempty"`
	// guardrail the trigger belongs to.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Guardrail string `json:"guardrail"`
	// trigger name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Trigger string `json:"trigger"`
	// outcome of the evaluation.
	// +required
	Outcome VerdictOutcome `json:"outcome,omitempty"`
	// mode is Observe for a trigger that only observes: it holds and rolls back nothing.
	// Absent for one that enforces.
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// reason from a closed set.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// message with the numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// evaluatedAt is the evaluation time of the query.
	// +optional
	EvaluatedAt *metav1.Time `json:"evaluatedAt,omitempty"`
}

// PreflightStatus is the newest pre-flight check of a candidate.
type PreflightStatus struct {
	// revision of the candidate.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Revision string `json:"revision"`
	// outcome over all guardrails with preflight. Only Pass lets a run start.
	// +required
	Outcome VerdictOutcome `json:"outcome,omitempty"`
	// reason from a closed set.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// message with the numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// evaluatedAt is the evaluation time of the query.
	// +required
	EvaluatedAt metav1.Time `json:"evaluatedAt"`
}

// VerdictOutcome is the result of one trigger's evaluation. When the result is not known,
// it is Inconclusive (the data does not decide) or Error (no usable response).
// +kubebuilder:validation:Enum=Pass;Fail;Inconclusive;Error
type VerdictOutcome string

const (
	// VerdictPass means: complete and fresh data, and the trigger does not fire.
	VerdictPass VerdictOutcome = "Pass"
	// VerdictFail means: the trigger fires.
	VerdictFail VerdictOutcome = "Fail"
	// VerdictInconclusive means: the data does not decide.
	VerdictInconclusive VerdictOutcome = "Inconclusive"
	// VerdictError means: there is no usable response.
	VerdictError VerdictOutcome = "Error"
)
