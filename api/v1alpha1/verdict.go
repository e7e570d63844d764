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
	// reason from a closed set.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// message with the numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// evaluatedAt is the evaluation time the source was asked for.
	// +optional
	EvaluatedAt *metav1.Time `json:"evaluatedAt,omitempty"`
}

// PreflightStatus is the newest pre-flight of a candidate.
type PreflightStatus struct {
	// revision it was made for.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Revision string `json:"revision"`
	// outcome over all guardrails that ask for one: only Pass lets a run start.
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
	// evaluatedAt is the evaluation time the source was asked for.
	// +required
	EvaluatedAt metav1.Time `json:"evaluatedAt"`
}

// VerdictOutcome is the result of one trigger's evaluation. Unknown is two
// values of it: Inconclusive (answered, not decisive) and Error (not answered).
// +kubebuilder:validation:Enum=Pass;Fail;Inconclusive;Error
type VerdictOutcome string

const (
	// VerdictPass means complete, fresh data and no trigger crossed.
	VerdictPass VerdictOutcome = "Pass"
	// VerdictFail means an explicit trigger crossed on complete, fresh data.
	VerdictFail VerdictOutcome = "Fail"
	// VerdictInconclusive means an answer that does not decide.
	VerdictInconclusive VerdictOutcome = "Inconclusive"
	// VerdictError means no answer.
	VerdictError VerdictOutcome = "Error"
)
