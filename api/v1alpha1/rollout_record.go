package v1alpha1

// RecordStatus is the end of a run's record. New decisions are pending here, and are
// written to the RolloutRun together at the end of each step and of the run.
type RecordStatus struct {
	// run is the name of the run.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run"`
	// seq of the newest decision, pending ones included; 0 before the first.
	// +required
	// +kubebuilder:validation:Minimum=0
	Seq int32 `json:"seq"`
	// hash of that decision, which the next one refers to; empty before the first.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	Hash string `json:"hash,omitempty"`
	// decisions is how many decisions were taken: those in the record, and those that it
	// counts as missing.
	// +required
	// +kubebuilder:validation:Minimum=0
	Decisions int32 `json:"decisions"`
	// bytes is the size of the record as JSON.
	// +required
	// +kubebuilder:validation:Minimum=0
	Bytes int32 `json:"bytes"`
	// pending are the decisions that are not in a RolloutRun yet, oldest first. They are
	// already part of the hash chain.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Pending []PendingDecision `json:"pending,omitempty"`
}

// PendingDecision is a decision that is not in its RolloutRun yet.
type PendingDecision struct {
	// run is the name of its run.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run"`
	// decision as it will be in the run.
	// +required
	Decision DecisionRecord `json:"decision,omitzero"`
}

// RecordedInput is the planner's input of a decision, for replays. It has no fields that
// are only for people.
type RecordedInput struct {
	// planner is the version of the rules that decided. Another version may decide
	// differently.
	// +required
	// +kubebuilder:validation:Minimum=0
	Planner int32 `json:"planner"`
	// sha256 of the input's canonical JSON.
	// +required
	// +kubebuilder:validation:MaxLength=71
	SHA256 string `json:"sha256"`
	// form is how much of the input is kept.
	// +required
	Form InputForm `json:"form,omitempty"`
	// change is the whole input, or the JSON merge patch (RFC 7386) from the input of the
	// record before; empty in form Digest.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Change string `json:"change,omitempty"`
}

// InputForm is how much of a decision's input a record keeps.
// +kubebuilder:validation:Enum=Whole;Difference;Digest
type InputForm string

const (
	// InputWhole means: all of it.
	InputWhole InputForm = "Whole"
	// InputDifference means: the difference from the input of the record before.
	InputDifference InputForm = "Difference"
	// InputDigest means: only its digest, because there was no room for more.
	InputDigest InputForm = "Digest"
)
