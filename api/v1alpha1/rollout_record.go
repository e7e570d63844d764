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
	// decision, as the run will hold it.
	// +required
	Decision DecisionRecord `json:"decision"`
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
	// whole means that change is the whole input, and not a difference.
	// +optional
	Whole bool `json:"whole,omitempty"`
	// change is the JSON merge patch (RFC 7386) from the input of the record before
	// to this one. Empty when there was no room for it.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Change string `json:"change,omitempty"`
}
