package v1alpha1

// RecordStatus is where a run's record ends. Decisions wait here and go to the
// RolloutRun in batches: at the end of each step, and of the run.
type RecordStatus struct {
	// run whose record ends here.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run"`
	// seq of the newest decision that has a place in the record; 0 before the first.
	// +required
	// +kubebuilder:validation:Minimum=0
	Seq int32 `json:"seq"`
	// hash of that decision, which the next one is bound to; empty before the first.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	Hash string `json:"hash,omitempty"`
	// decisions that the record accounts for: those in it, and those that it says
	// are missing.
	// +required
	// +kubebuilder:validation:Minimum=0
	Decisions int32 `json:"decisions"`
	// bytes that the record takes, as JSON.
	// +required
	// +kubebuilder:validation:Minimum=0
	Bytes int32 `json:"bytes"`
	// pending are the decisions that a RolloutRun does not hold yet, oldest first. They
	// are part of the record from here on: each is bound to the one before.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Pending []PendingDecision `json:"pending,omitempty"`
}

// PendingDecision is a decision on its way to a run's record.
type PendingDecision struct {
	// run that it belongs to.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run"`
	// decision as the run will hold it.
	// +required
	Decision DecisionRecord `json:"decision,omitzero"`
}

// RecordedInput is what a decision was made from, for whoever makes it again: the
// planner's input without what is only for people to read.
type RecordedInput struct {
	// planner is the version of the rules that decided. Another version may decide
	// otherwise.
	// +required
	// +kubebuilder:validation:Minimum=0
	Planner int32 `json:"planner"`
	// sha256 of the input's canonical JSON.
	// +required
	// +kubebuilder:validation:MaxLength=71
	SHA256 string `json:"sha256"`
	// form of what is kept of the input.
	// +required
	Form InputForm `json:"form,omitempty"`
	// change is the whole input, or the JSON merge patch (RFC 7386) from the input of
	// the record before to this one; empty in form Digest.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Change string `json:"change,omitempty"`
}

// InputForm is what a record keeps of a decision's input.
// +kubebuilder:validation:Enum=Whole;Difference;Digest
type InputForm string

const (
	// InputWhole keeps all of it.
	InputWhole InputForm = "Whole"
	// InputDifference keeps what differs from the input of the record before.
	InputDifference InputForm = "Difference"
	// InputDigest keeps its digest alone: there was no room for more.
	InputDigest InputForm = "Digest"
)
