package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RolloutStatus is the state of a rollout and the reasons for it. It keeps what cannot be
// observed again; everything else is read at each reconcile.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",message="epoch must not decrease: this write comes from a superseded controller"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.phase) || (has(self.phase) && (self.phase == oldSelf.phase || self.phase in {'Stable': ['Gating', 'RolledBack', 'HandingOver'], 'Gating': ['Stable', 'Stepping', 'Promoting', 'HandingOver', 'RolledBack'], 'Stepping': ['Promoting', 'Baking', 'HandingOver', 'RollingBack'], 'Promoting': ['Baking', 'HandingOver', 'RollingBack'], 'Baking': ['Promoting', 'HandingOver', 'RollingBack'], 'HandingOver': ['Stable', 'Promoting', 'RollingBack'], 'RollingBack': ['Stable', 'Gating', 'HandingOver', 'RolledBack'], 'RolledBack': ['Stable', 'Gating', 'HandingOver']}[oldSelf.phase]))",message="this phase must not follow the current one"
// +kubebuilder:validation:XValidation:rule="has(oldSelf.phase) || !has(self.phase) || self.phase == 'Stable'",message="a Rollout starts in phase Stable"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.history) || oldSelf.history.size() == 0 || (has(self.history) && self.history.exists(h, h == oldSelf.history[0]) && oldSelf.history.all(o, !self.history.exists(h, h.run == o.run && h != o)))",message="entries of history must not change, and the newest must not be removed"
type RolloutStatus struct {
	// conditions are Ready, Reconciling, Stalled, Guarded, TrafficConflict,
	// InvariantViolated.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status is about; -1
	// until the controller has seen the Rollout.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase is the stage of the rollout.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// message is one sentence: what is happening, and what comes next.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// stable is the version that was promoted last. A rollback goes back to it.
	// +optional
	Stable *Revision `json:"stable,omitempty"`

	// serving is which versions get requests now, for people: "1.4 95 %, 1.5 5 %".
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Serving string `json:"serving,omitempty"`

	// previous are the versions that were stable before the present one, newest first.
	// One of the first spec.fastRevert.revisions can return without steps.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Previous []PreviousRevision `json:"previous,omitempty"`

	// candidate is the declared version while it is not stable: in a run, waiting for
	// one, or rejected.
	// +optional
	Candidate *Revision `json:"candidate,omitempty"`

	// declared is what the workload declares while that is not the stable version, and since
	// when. spec.settle counts from there.
	// +optional
	Declared *DeclaredStatus `json:"declared,omitempty"`

	// run is the name of the RolloutRun in progress, or of the last one.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run,omitempty"`

	// runs is how many runs were ever started, so that names are not reused.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Runs int32 `json:"runs,omitempty"`

	// runStartedAt is when the run in progress, or the last one, started.
	// +optional
	RunStartedAt *metav1.Time `json:"runStartedAt,omitempty"`

	// attendedAt is when the controller last looked at the run in progress; written every quarter
	// of spec.unattended, and absent without it.
	// +optional
	AttendedAt *metav1.Time `json:"attendedAt,omitempty"`

	// epoch increases with every run and every rollback. The API server refuses writes of
	// an older epoch.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch,omitempty"`

	// step is the step in progress.
	// +optional
	Step *StepStatus `json:"step,omitempty"`

	// rollback is why and since when the candidate is being rolled back.
	// +optional
	Rollback *RollbackStatus `json:"rollback,omitempty"`

	// promotion is the progress after the last step: bake and handover.
	// +optional
	Promotion *PromotionStatus `json:"promotion,omitempty"`

	// pause is the pause that the command Pause began. It ends with the command Resume, or
	// with the candidate: when that is rejected, promoted, or not declared any more.
	// +optional
	Pause *PauseStatus `json:"pause,omitempty"`

	// freezeOverride is the command OverrideFreeze, by which the candidate goes on although a
	// Freeze holds it. It ends with the candidate's run.
	// +optional
	FreezeOverride *FreezeOverrideStatus `json:"freezeOverride,omitempty"`

	// directCallers is which versions get the requests that reach the user's Service
	// without a route, while a run is in progress.
	// +optional
	DirectCallers *DirectCallersStatus `json:"directCallers,omitempty"`

	// refusal is the write that the API server refused last, and since when. It is
	// repeated until it succeeds.
	// +optional
	Refusal *Refusal `json:"refusal,omitempty"`

	// preview is the Service of spec.traffic.preview, while it selects the candidate's pods alone.
	// +optional
	Preview *PreviewStatus `json:"preview,omitempty"`

	// decision is the last recorded decision. The run has all of them.
	// +optional
	Decision *DecisionSummary `json:"decision,omitempty"`

	// record is the end of the newest run's record, with the decisions that are not in
	// the run yet.
	// +optional
	Record *RecordStatus `json:"record,omitempty"`

	// preflight is whether the service has enough error budget for a run. The judge
	// writes it.
	// +optional
	Preflight *PreflightStatus `json:"preflight,omitempty"`

	// verdicts are the newest verdicts, one for each trigger of each guardrail.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Verdicts []VerdictStatus `json:"verdicts,omitempty"`

	// wouldRollBack are the triggers in mode Observe that would have rolled back the run in
	// progress, oldest first, each with its first time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	WouldRollBack []ObservedFail `json:"wouldRollBack,omitempty"`

	// wouldHold are the triggers in mode Observe that did not pass at the end of a step or the
	// bake of the run in progress, oldest first, each with its first time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	WouldHold []ObservedHold `json:"wouldHold,omitempty"`

	// history is the finished runs, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	History []HistoryEntry `json:"history,omitempty"`

	// rejected are the revisions that get no run again without the command Retry, newest
	// first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Rejected []RejectedRevision `json:"rejected,omitempty"`

	// lastHandledAction is the last command that was carried out or refused.
	// +optional
	LastHandledAction *HandledAction `json:"lastHandledAction,omitempty"`

	// handledTokens are the tokens of the last commands, newest first. A command with one
	// of them is not carried out again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=128
	HandledTokens []string `json:"handledTokens,omitempty"`

	// handledBypass is the reason of the last bypass that took effect, or the one that the
	// Deployment already had when it was adopted or when a native promotion began. It has
	// no effect again. Empty when there was none; absent while that is not known.
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

	// baseRevision is the revision of the template without the annotations that
	// spec.restartAnnotations lists: two versions with the same one are restarts of each other.
	// Set on the candidate; absent where none are listed.
	// +optional
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{10}$`
	BaseRevision string `json:"baseRevision,omitempty"`

	// image of the first container, for printer columns.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// replicaSet that runs it; of a StatefulSet the ControllerRevision that holds its template.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ReplicaSet string `json:"replicaSet,omitempty"`

	// podTemplateHash is the Deployment controller's own hash, or the value of
	// controller-revision-hash on the pods of a StatefulSet; set on stable.
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
	// digest that the first ready pods report, of a candidate for the whole run; empty until
	// one is ready, or when they differ.
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
	// waitsSince is since when the run waits because it is paused, the Deployment has 0
	// replicas, or a newer template settles; absent while it does not. That time counts
	// neither against stepDeadline nor for the hold or the bake.
	// +optional
	WaitsSince *metav1.Time `json:"waitsSince,omitempty"`
	// approval is who has approved this step, which needs that; absent while nobody has.
	// +optional
	Approval *ApprovalStatus `json:"approval,omitempty"`
	// awaitsApprovalSince is since when the step waits for its approval, and for nothing else
	// now; absent while it does not. It is the first time that it had passed but for that. The
	// time does not count against stepDeadline.
	// +optional
	AwaitsApprovalSince *metav1.Time `json:"awaitsApprovalSince,omitempty"`
	// passedAt is when the step first had passed but for its approval; absent before.
	// +optional
	PassedAt *metav1.Time `json:"passedAt,omitempty"`
	// passedUntil is until when it last had, before a verdict was unknown again, a pause began
	// or the approval was given; absent before. stepDeadline counts from then.
	// +optional
	PassedUntil *metav1.Time `json:"passedUntil,omitempty"`
	// skipped is who ended steps before this one by Skip or Promote, and what was not judged.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Skipped string `json:"skipped,omitempty"`
	// waitedSeconds is how long the run has waited for these reasons before, in this step and
	// what follows it, or since passedUntil.
	// +optional
	// +kubebuilder:validation:Minimum=0
	WaitedSeconds int64 `json:"waitedSeconds,omitempty"`
	// waitedBefore is how many of those seconds do not count for the hold, promotion, bake or
	// handover in progress, because they were over when it began.
	// +optional
	// +kubebuilder:validation:Minimum=0
	WaitedBefore int64 `json:"waitedBefore,omitempty"`
	// acknowledgedAt is when the gateway first acknowledged the step's weight with the
	// canary ready. hold counts from then.
	// +optional
	AcknowledgedAt *metav1.Time `json:"acknowledgedAt,omitempty"`
	// weight of the candidate, in percent.
	// +optional
	Weight WeightStatus `json:"weight,omitempty"`
	// replicas of the canary: of its ReplicaSet, or the pods of a StatefulSet that run the
	// candidate.
	// +optional
	Replicas ReplicaStatus `json:"replicas,omitempty"`
	// wave is the last increase of the canary's size, until its pods are ready.
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

// WaveStatus is one increase of the canary's size. Its pods have the Deployment's
// progressDeadlineSeconds to become ready. Those that are not ready then are removed, and
// created again after the same time.
type WaveStatus struct {
	// size that the canary should have, or that it was reduced to.
	// +required
	Size int32 `json:"size"`
	// askedAt is when the size was set, or when pods of it were first seen not ready.
	// +required
	AskedAt metav1.Time `json:"askedAt"`
	// withdrawnAt is when the pods that were not ready were removed.
	// +optional
	WithdrawnAt *metav1.Time `json:"withdrawnAt,omitempty"`
	// message is why they were not ready when they were removed.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// WeightStatus is the wanted weight and the one in force: of the route, or without
// spec.traffic of the canary's pods.
type WeightStatus struct {
	// desired is the percentage written to the route. Without spec.traffic it is the
	// step's weight, and 50 in the bake, in which both versions have all of their pods; in
	// the bake of a StatefulSet what all of its pods but one come to.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Desired int32 `json:"desired"`
	// observed is the percentage that the gateway acknowledged; -1 before that. Without
	// spec.traffic it is the canary's share of the ready pods, rounded down: the number
	// of pods is rounded up, so it can be above desired.
	// +required
	// +kubebuilder:validation:Minimum=-1
	// +kubebuilder:validation:Maximum=100
	Observed int32 `json:"observed"`
}

// ReplicaStatus is the desired and the ready pods of the canary.
type ReplicaStatus struct {
	// desired pods.
	// +required
	Desired int32 `json:"desired"`
	// ready pods.
	// +required
	Ready int32 `json:"ready"`
}

// DeclaredStatus is since when the Deployment declares a version.
type DeclaredStatus struct {
	// revision of the template that it declares.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision"`
	// image of the first container.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// since is when Belay first saw it declared.
	// +required
	Since metav1.Time `json:"since"`
	// changingSince is when Belay saw the first of the templates that each came within
	// spec.settle of the one before; since, where only one came.
	// +required
	ChangingSince metav1.Time `json:"changingSince"`
}

// PauseStatus is a pause that a person has commanded, or that spec.unattended began.
type PauseStatus struct {
	// revision of the candidate that is paused. A pause does not hold another one.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision"`
	// by is the authenticated author of the command; spec.unattended where that began it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// reason that they gave.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
	// at is when the pause began.
	// +required
	At metav1.Time `json:"at"`
}

// FreezeOverrideStatus is a command that lets a candidate go on in spite of a Freeze.
type FreezeOverrideStatus struct {
	// revision of the candidate that goes on. An override is for no other.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Revision string `json:"revision"`
	// by is the authenticated author of the command.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// reason that they gave.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason"`
	// at is when the command was carried out.
	// +required
	At metav1.Time `json:"at"`
}

// ApprovalStatus is the approval of a step by a person. It ends with its step.
type ApprovalStatus struct {
	// by is the authenticated author of the command Approve.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// reason that they gave.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
	// at is when the approval was given.
	// +required
	At metav1.Time `json:"at"`
}

// RollbackStatus is why the candidate is being rolled back, and the outcome of its run.
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
	// zeroAt is when the gateway acknowledged that the candidate gets no requests; without
	// spec.traffic when its last pod began to terminate. The drain counts from then.
	// +optional
	ZeroAt *metav1.Time `json:"zeroAt,omitempty"`
}

// PromotionStatus is the progress of bake and handover.
type PromotionStatus struct {
	// startedAt is when the last step passed, or a person ended it: see actor.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// fullAt is when the gateway acknowledged that the canary gets all requests; without
	// spec.traffic when as many canary as stable pods were ready, and for a StatefulSet when
	// all of its pods but one were the candidate's, and ready. The bake counts from then.
	// +optional
	FullAt *metav1.Time `json:"fullAt,omitempty"`
	// fullReplicas is the largest spec.replicas of the Deployment at the beginning of a
	// bake in this run. When an autoscaler lowers spec.replicas during the bake because
	// the candidate needs fewer pods, stable becomes smaller too.
	// +optional
	FullReplicas *int32 `json:"fullReplicas,omitempty"`
	// mode is how the candidate becomes the workload's version.
	// +optional
	Mode TakeOver `json:"mode,omitempty"`
	// message is why this mode is used, who asked for it in a bypass, and who ended the
	// steps by the commands Promote and Skip.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// actor is who bypassed Belay, or ended the last step by the command Promote or Skip.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Actor string `json:"actor,omitempty"`
	// fast is set for a version that goes without steps: see spec.fastRevert.
	// +optional
	Fast bool `json:"fast,omitempty"`
	// restart is set for a restart of the stable version: see spec.restartAnnotations.
	// +optional
	Restart bool `json:"restart,omitempty"`
	// size is spec.replicas of the Deployment when stable and canary last had that many
	// available pods.
	// +optional
	Size *int32 `json:"size,omitempty"`
	// sizeSince is since when size is unchanged.
	// +optional
	SizeSince *metav1.Time `json:"sizeSince,omitempty"`
	// handingSince is when the handover, or the native promotion, began.
	// +optional
	HandingSince *metav1.Time `json:"handingSince,omitempty"`
	// handedAt is when Belay decided to make the Deployment the canary's owner. Once that
	// has happened a rollback by weights is not possible.
	// +optional
	HandedAt *metav1.Time `json:"handedAt,omitempty"`
	// settledAt is when the Deployment was first seen to run one version only, in a native
	// promotion or a bypass. The bake of a native promotion and the drain of a remaining
	// canary count from then.
	// +optional
	SettledAt *metav1.Time `json:"settledAt,omitempty"`
}
