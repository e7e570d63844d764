package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RolloutStatus is where the rollout stands and why. It keeps what cannot be
// observed again; everything else is read afresh at each reconcile.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",message="epoch never decreases: a superseded controller may not write"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.phase) || (has(self.phase) && (self.phase == oldSelf.phase || self.phase in {'Stable': ['Gating', 'RolledBack', 'HandingOver'], 'Gating': ['Stable', 'Stepping', 'Promoting', 'HandingOver', 'RolledBack'], 'Stepping': ['Promoting', 'HandingOver', 'RollingBack'], 'Promoting': ['Baking', 'HandingOver', 'RollingBack'], 'Baking': ['Promoting', 'HandingOver', 'RollingBack'], 'HandingOver': ['Stable', 'RollingBack'], 'RollingBack': ['Stable', 'Gating', 'HandingOver', 'RolledBack'], 'RolledBack': ['Stable', 'Gating', 'HandingOver']}[oldSelf.phase]))",message="this phase may not follow the current one"
// +kubebuilder:validation:XValidation:rule="has(oldSelf.phase) || !has(self.phase) || self.phase == 'Stable'",message="a Rollout starts in phase Stable"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.history) || oldSelf.history.size() == 0 || (has(self.history) && self.history.exists(h, h == oldSelf.history[0]) && oldSelf.history.all(o, !self.history.exists(h, h.run == o.run && h != o)))",message="history is a record: finished entries do not change, and the newest is not removed"
type RolloutStatus struct {
	// conditions are Ready, Reconciling, Stalled, Guarded, TrafficConflict,
	// InvariantViolated.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec this status speaks of;
	// -1 until the controller has seen the Rollout.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase is where the rollout stands.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// message is one sentence: what is happening, and what comes next.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// stable is the version that was promoted last: what a rollback goes back to.
	// +optional
	Stable *Revision `json:"stable,omitempty"`

	// serving is what answers users now, for people: "1.4 95 %, 1.5 5 %".
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Serving string `json:"serving,omitempty"`

	// previous are the versions that were stable before the present one, newest
	// first: one of the first spec.fastRevert.revisions returns without steps.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Previous []PreviousRevision `json:"previous,omitempty"`

	// candidate is the version on trial, or the one last rejected while the
	// Deployment still declares it.
	// +optional
	Candidate *Revision `json:"candidate,omitempty"`

	// run is the name of the RolloutRun in progress, or of the last one.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run,omitempty"`

	// runs counts the runs ever started, so that names are never reused.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Runs int32 `json:"runs,omitempty"`

	// runStartedAt is when the run in progress, or the last one, started.
	// +optional
	RunStartedAt *metav1.Time `json:"runStartedAt,omitempty"`

	// epoch rises with every run and every rollback. Writes of an older epoch
	// are refused by the API server.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch,omitempty"`

	// step is the step in progress.
	// +optional
	Step *StepStatus `json:"step,omitempty"`

	// rollback is why, and since when, the candidate is being taken out.
	// +optional
	Rollback *RollbackStatus `json:"rollback,omitempty"`

	// promotion is how far the Deployment itself has taken the candidate over.
	// +optional
	Promotion *PromotionStatus `json:"promotion,omitempty"`

	// directCallers is whom callers inside the cluster reach that use the user's
	// Service without a route, while a run is in progress.
	// +optional
	DirectCallers *DirectCallersStatus `json:"directCallers,omitempty"`

	// refusal is the effect that the API server last refused, and since when. The
	// decision is repeated until it goes through.
	// +optional
	Refusal *Refusal `json:"refusal,omitempty"`

	// decision is the last one recorded. The run's chain holds them all.
	// +optional
	Decision *DecisionSummary `json:"decision,omitempty"`

	// record is where the newest run's record ends, with the decisions that it does
	// not hold yet.
	// +optional
	Record *RecordStatus `json:"record,omitempty"`

	// preflight is whether the service can afford a run of the candidate. The
	// analysis loop writes it.
	// +optional
	Preflight *PreflightStatus `json:"preflight,omitempty"`

	// verdicts are the newest, one per guardrail and trigger.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Verdicts []VerdictStatus `json:"verdicts,omitempty"`

	// history is the finished runs, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	History []HistoryEntry `json:"history,omitempty"`

	// rejected are the revisions that never run again by themselves, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Rejected []RejectedRevision `json:"rejected,omitempty"`

	// lastHandledAction is the last command acted on, or refused.
	// +optional
	LastHandledAction *HandledAction `json:"lastHandledAction,omitempty"`

	// handledTokens are the tokens of the last commands, newest first: none of them
	// is carried out again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=128
	HandledTokens []string `json:"handledTokens,omitempty"`

	// handledBypass is the reason of the last bypass that was followed, or that the
	// Deployment already bore when it was adopted or a native promotion began: on
	// the Deployment it lets nothing roll any more. Empty when there was none;
	// absent while that is not known.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	HandledBypass *string `json:"handledBypass,omitempty"`
}

// Revision is one version of the pod template.
type Revision struct {
	// revision is the first 10 hex digits of SHA-256 over the template's
	// canonical JSON, without the pod-template-hash label.
	// +required
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{10}$`
	Revision string `json:"revision"`

	// image of the first container, for printer columns.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// replicaSet that runs it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ReplicaSet string `json:"replicaSet,omitempty"`

	// podTemplateHash is the Deployment controller's own hash; set on stable.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	PodTemplateHash string `json:"podTemplateHash,omitempty"`

	// images of all containers, with digests once pods run them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Images []ContainerImage `json:"images,omitempty"`
}

// ContainerImage is what one container runs.
type ContainerImage struct {
	// container name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Container string `json:"container"`
	// image as the template declares it.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
	// digest the running pods report; empty until one runs, or when they differ.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Digest string `json:"digest,omitempty"`
}

// StepStatus is the step in progress.
type StepStatus struct {
	// index of the step in spec.steps, from 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	Index int32 `json:"index"`
	// display is "2/4", for printer columns.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Display string `json:"display,omitempty"`
	// enteredAt is when the step began.
	// +required
	EnteredAt metav1.Time `json:"enteredAt"`
	// acknowledgedAt is when the route was first seen to carry the step's weight
	// with the canary ready; hold counts from here.
	// +optional
	AcknowledgedAt *metav1.Time `json:"acknowledgedAt,omitempty"`
	// weight of the candidate, in percent.
	// +optional
	Weight WeightStatus `json:"weight,omitempty"`
	// replicas of the canary ReplicaSet.
	// +optional
	Replicas ReplicaStatus `json:"replicas,omitempty"`
	// wave is the canary's last growth, while the pods of it are awaited.
	// +optional
	Wave *WaveStatus `json:"wave,omitempty"`
	// next is what happens next.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Next string `json:"next,omitempty"`
	// nextAt is the earliest time for it.
	// +optional
	NextAt *metav1.Time `json:"nextAt,omitempty"`
}

// WaveStatus is one growth of the canary. Its pods have as long to become ready
// as the Deployment's progressDeadlineSeconds; those that are not ready then are
// withdrawn, and asked for again after the same time.
type WaveStatus struct {
	// size that the canary was to have, or the one it was withdrawn to.
	// +required
	Size int32 `json:"size"`
	// askedAt is when the size was asked for, or first seen not to be ready.
	// +required
	AskedAt metav1.Time `json:"askedAt"`
	// withdrawnAt is when the pods that were not ready were withdrawn.
	// +optional
	WithdrawnAt *metav1.Time `json:"withdrawnAt,omitempty"`
	// message says why they were not ready, when they were withdrawn.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// WeightStatus compares the wanted share with the one that is in force.
type WeightStatus struct {
	// desired percent. Without spec.traffic the bake, with both sides at full size,
	// wants 50.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Desired int32 `json:"desired"`
	// observed percent, as the route acknowledged it; -1 while it has not. Without
	// spec.traffic it is the canary's share of the ready pods, rounded down: pods
	// are whole, so it may be above desired.
	// +required
	// +kubebuilder:validation:Minimum=-1
	// +kubebuilder:validation:Maximum=100
	Observed int32 `json:"observed"`
}

// ReplicaStatus compares wanted and ready pods.
type ReplicaStatus struct {
	// desired pods.
	// +required
	Desired int32 `json:"desired"`
	// ready pods.
	// +required
	Ready int32 `json:"ready"`
}

// RollbackStatus is why the candidate is being taken out, and how it will end.
type RollbackStatus struct {
	// outcome the run will have: RolledBack, Superseded or Cancelled.
	// +required
	Outcome Outcome `json:"outcome,omitempty"`
	// trigger that fired, as guardrail/trigger, or abort or deadline.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Trigger string `json:"trigger,omitempty"`
	// message with the numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// startedAt is when the decision was taken.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// zeroAt is when the route acknowledged that the candidate gets nothing;
	// the drain counts from here.
	// +optional
	ZeroAt *metav1.Time `json:"zeroAt,omitempty"`
}

// PromotionStatus is how far the Deployment has taken the candidate over.
type PromotionStatus struct {
	// startedAt is when the last step passed.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// fullAt is when the route acknowledged that the canary takes everything; the
	// bake counts from here.
	// +optional
	FullAt *metav1.Time `json:"fullAt,omitempty"`
	// fullReplicas is the largest spec.replicas of the Deployment with which a bake
	// of this run began. An autoscaler that lowers it in the bake sizes the
	// Deployment for the candidate, and stable with it.
	// +optional
	FullReplicas *int32 `json:"fullReplicas,omitempty"`
	// mode is how the Deployment takes the candidate over.
	// +optional
	Mode TakeOver `json:"mode,omitempty"`
	// message says why it is taken over in this mode, and by whom in a bypass.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// actor let the Deployment roll without a judgement, in a bypass.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Actor string `json:"actor,omitempty"`
	// fast is set for a version that returns without steps: see spec.fastRevert.
	// +optional
	Fast bool `json:"fast,omitempty"`
	// size is spec.replicas of the Deployment while stable, canary and it agreed
	// and all pods were available.
	// +optional
	Size *int32 `json:"size,omitempty"`
	// sizeSince is since when size has stood without a change.
	// +optional
	SizeSince *metav1.Time `json:"sizeSince,omitempty"`
	// handingSince is when the handover, or the native promotion, began.
	// +optional
	HandingSince *metav1.Time `json:"handingSince,omitempty"`
	// handedAt is when it was decided to make the Deployment the canary's owner.
	// From then on there is no way back by weights.
	// +optional
	HandedAt *metav1.Time `json:"handedAt,omitempty"`
	// settledAt is when the Deployment was first seen to run one version alone, in a
	// native promotion or a bypass; the bake of the first and the drain of what is
	// left of a canary count from here.
	// +optional
	SettledAt *metav1.Time `json:"settledAt,omitempty"`
}
