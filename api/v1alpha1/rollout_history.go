package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DecisionSummary is the last recorded decision, in short.
type DecisionSummary struct {
	// seq in the run's chain; 0 outside a run.
	// +required
	Seq int32 `json:"seq"`
	// rule of the planner that matched.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule"`
	// key makes this decision different from the next one of the same rule.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Key string `json:"key,omitempty"`
	// why it was decided, with its numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Why string `json:"why,omitempty"`
	// at is when it was taken.
	// +required
	At metav1.Time `json:"at"`
	// weight of the candidate before and after.
	// +optional
	Weight *WeightChange `json:"weight,omitempty"`
	// actor is the person who gave the command, if any.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Actor string `json:"actor,omitempty"`
}

// WeightChange is the candidate's weight before and after a decision.
type WeightChange struct {
	// from percent.
	// +required
	From int32 `json:"from"`
	// to percent.
	// +required
	To int32 `json:"to"`
}

// HistoryEntry is one finished run.
type HistoryEntry struct {
	// run is the RolloutRun's name.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run"`
	// revision of the candidate.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision"`
	// image of its first container.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// outcome of the run.
	// +required
	Outcome Outcome `json:"outcome,omitempty"`
	// trigger that ended it, if one did.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Trigger string `json:"trigger,omitempty"`
	// message with the numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// startedAt is when the run started.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// finishedAt is when the outcome was recorded.
	// +required
	FinishedAt metav1.Time `json:"finishedAt"`
}

// ObservedFail is a trigger in mode Observe that would have rolled a run back.
type ObservedFail struct {
	// trigger as guardrail/trigger; a ClusterGuardrail's as
	// ClusterGuardrail/guardrail/trigger.
	// +required
	// +kubebuilder:validation:MaxLength=340
	Trigger string `json:"trigger"`
	// stage in which it failed first, such as "step 2 of 4, weight 25 %".
	// +required
	// +kubebuilder:validation:MaxLength=128
	Stage string `json:"stage"`
	// at is when that was recorded.
	// +required
	At metav1.Time `json:"at"`
}

// ObservedHold is a trigger in mode Observe that did not pass at the end of a step or a bake:
// one that enforces would have held it.
type ObservedHold struct {
	// trigger as guardrail/trigger; a ClusterGuardrail's as
	// ClusterGuardrail/guardrail/trigger.
	// +required
	// +kubebuilder:validation:MaxLength=340
	Trigger string `json:"trigger"`
	// stage that it would have held first, such as "step 2 of 4, weight 25 %".
	// +required
	// +kubebuilder:validation:MaxLength=128
	Stage string `json:"stage"`
	// reason of its verdict then, such as BelowMinSamples.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// at is when that was recorded.
	// +required
	At metav1.Time `json:"at"`
}

// RejectedRevision is a revision that gets no run again without the command Retry.
type RejectedRevision struct {
	// revision that was rejected.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision"`
	// trigger that rejected it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Trigger string `json:"trigger,omitempty"`
	// message with the numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// at is when.
	// +required
	At metav1.Time `json:"at"`
	// run that rejected it.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run"`
	// images of its containers, with the digests that its pods reported.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Images []ContainerImage `json:"images,omitempty"`
	// baseRevision is that of its template: a restart of it is rejected, too. Absent where
	// spec.restartAnnotations lists nothing.
	// +optional
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{10}$`
	BaseRevision string `json:"baseRevision,omitempty"`
}

// HandledAction is a command that was carried out or refused.
type HandledAction struct {
	// action is the command.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Action Action `json:"action"`
	// token of the command.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Token string `json:"token"`
	// by is the authenticated author.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// refused is why the command was not carried out; empty when it was.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Refused string `json:"refused,omitempty"`
	// at is when.
	// +required
	At metav1.Time `json:"at"`
}

// IsRejected returns the record of a rejected revision, or nil.
func (s *RolloutStatus) IsRejected(revision string) *RejectedRevision {
	for i := range s.Rejected {
		if s.Rejected[i].Revision == revision {
			return &s.Rejected[i]
		}
	}
	return nil
}
