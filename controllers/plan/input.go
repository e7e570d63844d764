// Package plan decides what a Rollout does next. Decide takes what was observed
// and returns one decision; it is pure: no client, context, clock or random
// source reaches it, and it never changes what it is given. It reads no
// metrics and writes nothing.
package plan

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Input is everything one decision rests on.
type Input struct {
	// Now is the time of the observation.
	Now time.Time
	// Deleting is when the Rollout's deletion was asked for; nil if it was not.
	Deleting *time.Time
	// ReleaseTimeout bounds how long a deletion waits for an orderly release.
	ReleaseTimeout time.Duration
	// Watchdog bounds how long to wait for a watch event before looking again,
	// so that a lost event delays a rollout but never stops it.
	Watchdog time.Duration

	// Spec is the Rollout's; while a run is in progress its steps are the pinned
	// ones.
	Spec v1alpha1.RolloutSpec
	// Status is the Rollout's, as last recorded.
	Status v1alpha1.RolloutStatus
	// FinalizerMissing is set until deletion is sure to release the route first.
	FinalizerMissing bool
	// Name of the Rollout, which run names derive from.
	Name string

	Workload Workload
	Canary   Canary
	Route    Route
	Run      Run
	Verdict  Verdict
	Guard    Guard
	Action   *Action

	// Preflight is required when a guardrail asks for it.
	Preflight Preflight
	// Blocked says why no run may start: a guardrail or source that is missing or
	// not allowed. Empty when nothing does.
	Blocked Blocked
}

// ReleaseOverdue reports whether a deletion has waited longer for an orderly
// release than it may.
func (in Input) ReleaseOverdue() bool {
	return in.Deleting != nil && in.Now.Sub(*in.Deleting) > in.ReleaseTimeout
}

// Preflight is whether the service can afford a run. The answer is in the status.
type Preflight struct {
	Required bool
	// FreshFor is how old an answer may be.
	FreshFor time.Duration
}

// Blocked is a reason from the closed set, and a sentence.
type Blocked struct {
	Reason  string
	Message string
}

// Workload is what the Deployment declares and runs.
type Workload struct {
	// Found is false when there is no such Deployment.
	Found bool
	// Revision of the declared template, with its images.
	Declared v1alpha1.Revision
	// Active is the one revision whose ReplicaSet has pods; nil when there is
	// none or more than one.
	Active *v1alpha1.Revision
	// Paused as the Deployment declares it.
	Paused bool
	// Replicas the Deployment declares.
	Replicas int32
	// Settled means that the Deployment controller has observed the declared
	// template and all its pods, and only those, are available.
	Settled bool
	// Ready counts ready pods of all the Deployment's ReplicaSets.
	Ready int32
	// StableReady counts ready pods of the stable revision's ReplicaSet.
	StableReady int32
	// DeclaredHash is the pod-template-hash of the ReplicaSet that runs the
	// declared template; empty while there is none.
	DeclaredHash string
	// DeclaredReplicaSet is its name.
	DeclaredReplicaSet string
	// CandidateReplicaSet is the Deployment's ReplicaSet that runs the candidate's
	// template, and CandidateHash its pod-template-hash.
	CandidateReplicaSet string
	CandidateHash       string
	// DeclaredReady counts its ready pods.
	DeclaredReady int32
}

// Canary is the candidate's ReplicaSet.
type Canary struct {
	Exists  bool
	Desired int32
	Ready   int32
	// Pods that the user's Service may still reach, also once the ReplicaSet is
	// gone: those that are not terminating, or still an endpoint.
	Pods int32
}

// Route is what the routes say and what their parents acknowledged.
type Route struct {
	// Fault is a reason why some route cannot be used, or empty. The rest of what
	// is here speaks of the others.
	Fault Blocked
	// ServiceMissing is set while the user's Service does not exist: routes may
	// not go back to it.
	ServiceMissing bool
	// Split is the candidate's share in percent; nil when the routes point at the
	// user's Service.
	Split *int32
	// Epoch is the highest that a write of this Rollout's, or of one of its name
	// before it, has left on a route.
	Epoch int64
	// Acknowledged means every parent has accepted the usable routes as they are
	// now; with none of them there is nobody to wait for.
	Acknowledged bool
	// StableHash is the pod-template-hash the stable Service selects.
	StableHash string
	// CanaryRevision is the revision the canary Service selects.
	CanaryRevision string
	// StableEndpoints and CanaryEndpoints count ready endpoints of the pods that
	// the Services select now.
	StableEndpoints int32
	CanaryEndpoints int32
}

// Run is the RolloutRun in progress.
type Run struct {
	// Exists is false when status names a run that is not there.
	Exists bool
	// Rejected are revisions that finished runs of this Rollout's name rejected;
	// they outlive the Rollout and its status.
	Rejected []v1alpha1.RejectedRevision
	// Next is the number for the next run's name.
	Next int32
}

// Guard is whether a pushed template would wait.
type Guard struct {
	// Proven by a dry-run.
	Proven bool
	// Message says what is wrong when it is not.
	Message string
	// Reason from the closed set.
	Reason string
}

// Action is a command that has not been handled yet.
type Action struct {
	Action   v1alpha1.Action
	Token    string
	Revision string
	Reason   string
	By       string
}

// Verdict sums up every armed trigger.
type Verdict struct {
	// Outcome by precedence Fail > Error > Inconclusive > Pass.
	Outcome v1alpha1.VerdictOutcome
	// Reason of the deciding trigger.
	Reason string
	// Trigger that decides, as guardrail/trigger; empty on Pass.
	Trigger string
	// Message of the deciding trigger.
	Message string
	// Passing and Total count triggers.
	Passing, Total int
	// BlindRollback is set when a trigger's whenBlind says to roll back now.
	BlindRollback bool
	// References are the verdicts as evidence names them.
	References []v1alpha1.VerdictReference
}
