package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AnalysisStatus is what the judge measured in a run.
type AnalysisStatus struct {
	// verdict over the triggers that enforce: Fail > Error > Inconclusive > Pass. Absent when
	// none does.
	// +optional
	Verdict VerdictOutcome `json:"verdict,omitempty"`
	// evaluatedAt is the evaluation time of the newest poll.
	// +optional
	EvaluatedAt *metav1.MicroTime `json:"evaluatedAt,omitempty"`
	// triggers are the newest evaluations, one for each trigger.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Triggers []TriggerAnalysis `json:"triggers,omitempty"`
	// state lets a restarted judge continue: the last counters and the evidence so far of
	// each trigger.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	State *runtime.RawExtension `json:"state,omitempty"`
}

// TriggerAnalysis is the newest evaluation of one trigger, with everything that is needed
// to repeat it.
type TriggerAnalysis struct {
	// kind of the guardrail: Guardrail or ClusterGuardrail.
	// +required
	// +kubebuilder:validation:Enum=Guardrail;ClusterGuardrail
	Kind string `json:"kind,omitempty"`
	// guardrail the trigger belongs to.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Guardrail string `json:"guardrail"`
	// name of the trigger.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
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
	// firstFailAt is when it first failed; a Fail is final for a run.
	// +optional
	FirstFailAt *metav1.MicroTime `json:"firstFailAt,omitempty"`
	// blindSince is since when there is no usable response.
	// +optional
	BlindSince *metav1.MicroTime `json:"blindSince,omitempty"`
	// query for this run alone. Belay may have sent one that several runs shared, which
	// returns the same series.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query,omitempty"`
	// evaluatedAt is the evaluation time of the query.
	// +optional
	EvaluatedAt *metav1.MicroTime `json:"evaluatedAt,omitempty"`
	// samplesFrom is the time from which samples count for the present step.
	// +optional
	SamplesFrom *metav1.MicroTime `json:"samplesFrom,omitempty"`
	// canary is the requests that the canary served in the run.
	// +optional
	Canary *ArmCounts `json:"canary,omitempty"`
	// stable is the requests that the stable version served in the run.
	// +optional
	Stable *ArmCounts `json:"stable,omitempty"`
	// statistics of the test, as decimal strings.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Statistics []Statistic `json:"statistics,omitempty"`
	// samplesSha256 is the SHA-256 of the counters of this run's pods, which query
	// returns for evaluatedAt: one line for each target, "namespace/pod instance total
	// bad sampledAt", sorted, sampledAt in Unix milliseconds.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	SamplesSHA256 string `json:"samplesSha256,omitempty"`
	// history is the changes of outcome, newest last.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	History []VerdictChange `json:"history,omitempty"`
}

// ArmCounts is the requests that one version served.
type ArmCounts struct {
	// total requests.
	// +required
	Total int64 `json:"total"`
	// bad requests among them.
	// +required
	Bad int64 `json:"bad"`
}

// Statistic is a named number.
type Statistic struct {
	// name of it.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// value in decimal notation.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Value string `json:"value"`
}

// VerdictChange is a change of a trigger's outcome.
type VerdictChange struct {
	// at is the evaluation time.
	// +required
	At metav1.MicroTime `json:"at"`
	// outcome from then on.
	// +required
	Outcome VerdictOutcome `json:"outcome,omitempty"`
	// reason from then on.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// message with the numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}
