package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// RolloutRun is one attempt to roll out a revision: its inputs, its decisions as a hash
// chain, its verdicts and its outcome. It stays when the Rollout is deleted.
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
// +kubebuilder:validation:XValidation:optionalOldSelf=true,rule="!oldSelf.hasValue() || !has(oldSelf.value().status) || has(self.status)",message="status is evidence and must not be removed"
type RolloutRun struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the inputs of the run, as they were when it started.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable: it has the inputs of the run as they were when it started"
	Spec RolloutRunSpec `json:"spec,omitzero"`

	// status is the decisions and their evidence.
	// +optional
	Status RolloutRunStatus `json:"status,omitempty"`
}

// RolloutRunSpec is the inputs of all decisions, as they were when the run started.
type RolloutRunSpec struct {
	// rollout that the run belongs to.
	// +required
	Rollout RolloutIdentity `json:"rollout"`
	// workload is the workload's name.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Workload string `json:"workload"`
	// workloadKind is StatefulSet, or absent for a Deployment.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	WorkloadKind string `json:"workloadKind,omitempty"`
	// revision of the candidate.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision"`
	// image of its first container, for printer columns.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// restart is set when the candidate is a restart of stable: it differs in nothing but
	// annotations of the Rollout's spec.restartAnnotations, and goes without steps.
	// +optional
	Restart bool `json:"restart,omitempty"`
	// template of the candidate, complete.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Template runtime.RawExtension `json:"template"`
	// stable is the version to go back to, complete.
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
	// guardrails that applied when the run started, each with its hash.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Guardrails []PinnedGuardrail `json:"guardrails,omitempty"`
	// controller that started the run.
	// +required
	Controller ControllerIdentity `json:"controller"`
	// startedAt is when the run started.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// startedBy is who wrote the workload's template: the authenticated user and field
	// manager, as the guard recorded them.
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
	// template, complete.
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
	// name of the guardrail.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the guardrail.
	// +required
	UID types.UID `json:"uid"`
	// hash is SHA-256 over the spec's canonical JSON.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Hash string `json:"hash"`
	// writtenHash is that of the spec without what presets have filled in; empty without a
	// preset. A later version of Belay may fill in something else: the run keeps what it
	// has as long as this is the same.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	WrittenHash string `json:"writtenHash,omitempty"`
	// spec of the guardrail, complete, as it was accepted when it was written, with what
	// presets fill in. The run is not refused by rules that are newer than that.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Spec GuardrailSpec `json:"spec"`
}

// ControllerIdentity is the version of the controller that decided.
type ControllerIdentity struct {
	// version of the controller.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version"`
	// planner is the version of the planner's rules. A run that another version started
	// is ended safely and not continued. 0 is the first edition.
	// +optional
	Planner int32 `json:"planner,omitempty"`
}

// RolloutRunStatus has three writers. The analysis loop owns analysis, the loop of checks
// owns checks, and the Rollout loop owns everything else.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || (has(self.outcome) && self.outcome == oldSelf.outcome)",message="outcome must not change"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.decisions) || (has(self.decisions) && self.decisions.size() >= oldSelf.decisions.size() && (oldSelf.decisions.size() == 0 || self.decisions[oldSelf.decisions.size() - 1] == oldSelf.decisions[oldSelf.decisions.size() - 1]))",message="decisions must not be removed, and the newest must not change"
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
	// decisions in order, each with the hash of the one before. They have at most 256 KiB;
	// there is always room for the one that ends the run.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Decisions []DecisionRecord `json:"decisions,omitempty"`
	// analysis is what the judge measured, and its verdicts.
	// +optional
	Analysis *AnalysisStatus `json:"analysis,omitempty"`
	// checks are the attempts of check triggers, newest last. When there are more, the
	// oldest that count no more are removed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Checks []CheckStatus `json:"checks,omitempty"`
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

// DecisionRecord is one decision and what it was based on.
type DecisionRecord struct {
	// seq counts from 1 without gaps.
	// +required
	Seq int32 `json:"seq"`
	// prev is the hash of the record before; empty for the first.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	Prev string `json:"prev,omitempty"`
	// at is when the decision was taken.
	// +required
	At metav1.Time `json:"at"`
	// rule of the planner that decided.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule"`
	// why the decision was taken, with the numbers.
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
	// effect is a description of the write that follows.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Effect string `json:"effect,omitempty"`
	// actor is the person who gave the command, if any.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Actor string `json:"actor,omitempty"`
	// verdicts that it was based on, worst first; left out when sameVerdicts is set.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Verdicts []VerdictReference `json:"verdicts,omitempty"`
	// sameVerdicts is set when the verdicts have the same outcomes and reasons as those of
	// the newest record before it that has verdicts; only their samples are newer.
	// +optional
	SameVerdicts bool `json:"sameVerdicts,omitempty"`
	// moreVerdicts is how many verdicts were left out because the record is long; verdicts
	// then has only the worst one.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MoreVerdicts int32 `json:"moreVerdicts,omitempty"`
	// missing is how many decisions between the record before and this one could not be
	// written.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Missing int32 `json:"missing,omitempty"`
	// input of the decision.
	// +optional
	Input *RecordedInput `json:"input,omitempty"`
	// hash is the SHA-256 of the record's canonical JSON without this field.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Hash string `json:"hash"`
}

// VerdictReference is a verdict that a decision was based on.
type VerdictReference struct {
	// trigger as guardrail/trigger; a ClusterGuardrail's as
	// ClusterGuardrail/guardrail/trigger.
	// +required
	// +kubebuilder:validation:MaxLength=340
	Trigger string `json:"trigger"`
	// outcome of the evaluation.
	// +required
	Outcome VerdictOutcome `json:"outcome,omitempty"`
	// mode is Observe for a trigger that only observes: the decision is not based on it.
	// Absent for one that enforces.
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// reason from a closed set.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// samplesSha256 is the hash of the counters that it was based on.
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

// Ordered reports whether the run is of a StatefulSet.
func (s *RolloutRunSpec) Ordered() bool { return s.WorkloadKind == KindStatefulSet }
