package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// RolloutRun is one attempt of one revision: its pinned inputs, its decisions
// as a hash chain, its verdicts and its outcome. It outlives the Rollout.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=brun;brolloutrun;brolloutruns,categories=belay
// +kubebuilder:printcolumn:name="Rollout",type=string,JSONPath=`.spec.rollout.name`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.spec.revision`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Outcome",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="Trigger",type=string,JSONPath=`.status.trigger`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.analysis.verdict`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="!oldSelf.hasValue() || !has(oldSelf.value().status) || has(self.status)",message="status cannot be erased: it is the run's evidence"
type RolloutRun struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the run's inputs, pinned when it started.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run's inputs are pinned when it starts and never change"
	Spec RolloutRunSpec `json:"spec,omitzero"`

	// status is what was decided, on which evidence.
	// +optional
	Status RolloutRunStatus `json:"status,omitempty"`
}

// RolloutRunSpec is everything the decisions rest on, pinned.
type RolloutRunSpec struct {
	// rollout that was run.
	// +required
	Rollout RolloutIdentity `json:"rollout"`
	// workload is the Deployment's name.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Workload string `json:"workload"`
	// revision on trial.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision"`
	// image of its first container, for printer columns.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// template on trial, whole.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Template runtime.RawExtension `json:"template"`
	// stable is what to go back to, whole.
	// +required
	Stable PinnedRevision `json:"stable"`
	// traffic as the Rollout declared it; absent when requests are shared by the
	// number of pods.
	// +optional
	Traffic *Traffic `json:"traffic,omitempty"`
	// steps as the Rollout declared them.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Steps []Step `json:"steps"`
	// guardrails in force when the run started, each with its hash.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Guardrails []PinnedGuardrail `json:"guardrails,omitempty"`
	// controller that started the run.
	// +required
	Controller ControllerIdentity `json:"controller"`
	// startedAt is when.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// startedBy is who wrote the Deployment's template: the authenticated user and
	// field manager that the guard stamped.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	StartedBy string `json:"startedBy,omitempty"`
}

// RolloutIdentity is a Rollout at one generation.
type RolloutIdentity struct {
	// name of the Rollout.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the Rollout.
	// +required
	UID types.UID `json:"uid"`
	// generation of its spec.
	// +required
	Generation int64 `json:"generation"`
}

// PinnedRevision is a revision with its whole template.
type PinnedRevision struct {
	Revision `json:",inline"`
	// template, whole.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Template runtime.RawExtension `json:"template"`
}

// PinnedGuardrail is a guardrail as it was when the run started.
type PinnedGuardrail struct {
	// kind is Guardrail or ClusterGuardrail.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Kind string `json:"kind"`
	// name of it.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of it.
	// +required
	UID types.UID `json:"uid"`
	// hash is SHA-256 over the spec's canonical JSON.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Hash string `json:"hash"`
	// spec of it, whole.
	// +required
	Spec GuardrailSpec `json:"spec"`
}

// ControllerIdentity is which build decided.
type ControllerIdentity struct {
	// version of the controller.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version"`
	// planner is the version of the planner's rules: a run that another one
	// started is ended safely, not continued. 0 is the first edition's.
	// +optional
	Planner int32 `json:"planner,omitempty"`
}

// RolloutRunStatus has two writers. The Rollout loop owns everything but
// analysis; the analysis loop owns analysis.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || (has(self.outcome) && self.outcome == oldSelf.outcome)",message="a run's outcome does not change"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.decisions) || (has(self.decisions) && self.decisions.size() >= oldSelf.decisions.size() && (oldSelf.decisions.size() == 0 || self.decisions[oldSelf.decisions.size() - 1] == oldSelf.decisions[oldSelf.decisions.size() - 1]))",message="decisions are append-only"
type RolloutRunStatus struct {
	// outcome of the run, once it has ended.
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`
	// trigger that ended it, if one did.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Trigger string `json:"trigger,omitempty"`
	// finishedAt is when it ended.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// message in one sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// images the canary's pods ran, with digests.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Images []ContainerImage `json:"images,omitempty"`
	// head of the chain.
	// +optional
	Head *ChainHead `json:"head,omitempty"`
	// decisions in order, each bound to the one before by its hash. At most 256 KiB
	// of them; the one that ends the run always has a place.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Decisions []DecisionRecord `json:"decisions,omitempty"`
	// analysis is what the judge measured and made of it.
	// +optional
	Analysis *AnalysisStatus `json:"analysis,omitempty"`
}

// ChainHead is the newest record's number and hash.
type ChainHead struct {
	// seq of the newest record, from 1.
	// +required
	Seq int32 `json:"seq"`
	// hash of the newest record.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Hash string `json:"hash"`
}

// DecisionRecord is one decision and what it rested on.
type DecisionRecord struct {
	// seq counts from 1 without gaps.
	// +required
	Seq int32 `json:"seq"`
	// prev is the hash of the record before; empty for the first.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	Prev string `json:"prev,omitempty"`
	// at is when it was taken.
	// +required
	At metav1.Time `json:"at"`
	// rule of the planner that matched.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule"`
	// why it was taken, with its numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Why string `json:"why,omitempty"`
	// phase after the decision.
	// +required
	Phase Phase `json:"phase,omitempty"`
	// step index, when there is one.
	// +optional
	Step *int32 `json:"step,omitempty"`
	// weight of the candidate before and after.
	// +optional
	Weight *WeightChange `json:"weight,omitempty"`
	// effect that follows, in words.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Effect string `json:"effect,omitempty"`
	// actor is the person who asked for it, if one did.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Actor string `json:"actor,omitempty"`
	// verdicts it rested on, worst first. Left out when sameVerdicts says so.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Verdicts []VerdictReference `json:"verdicts,omitempty"`
	// sameVerdicts says that it rested on the same outcomes, for the same reasons,
	// as the newest record before it that has verdicts; only samples are newer.
	// +optional
	SameVerdicts bool `json:"sameVerdicts,omitempty"`
	// moreVerdicts counts those that a long record has no room for: then verdicts
	// holds the worst alone.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MoreVerdicts int32 `json:"moreVerdicts,omitempty"`
	// missing counts the decisions between the record before and this one that
	// could not be written.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Missing int32 `json:"missing,omitempty"`
	// input that the decision was made from.
	// +optional
	Input *RecordedInput `json:"input,omitempty"`
	// hash is SHA-256 over the record's canonical JSON without this field.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Hash string `json:"hash"`
}

// VerdictReference is a verdict as a decision saw it.
type VerdictReference struct {
	// trigger as guardrail/trigger; a ClusterGuardrail's as
	// ClusterGuardrail/guardrail/trigger.
	// +required
	// +kubebuilder:validation:MaxLength=340
	Trigger string `json:"trigger"`
	// outcome of the evaluation.
	// +required
	Outcome VerdictOutcome `json:"outcome,omitempty"`
	// reason from a closed set.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// samplesSha256 is the hash of the counters it rests on.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	SamplesSHA256 string `json:"samplesSha256,omitempty"`
}

// PodTemplate decodes a pinned template.
func (p *PinnedRevision) PodTemplate() (*corev1.PodTemplateSpec, error) {
	return decodeTemplate(p.Template)
}

// RolloutRunList is a list of RolloutRuns.
// +kubebuilder:object:root=true
type RolloutRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RolloutRun `json:"items"`
}
