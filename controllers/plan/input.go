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

	// SteadyFor is how long stable and canary must have had the same number of pods
	// before a handover: one sync period of the horizontal pod autoscaler.
	SteadyFor time.Duration

	// Generation of the Spec.
	Generation int64
	// Spec is the Rollout's; while a run is in progress its steps are the pinned
	// ones.
	Spec v1alpha1.RolloutSpec
	// Status is the Rollout's, as last recorded.
	Status v1alpha1.RolloutStatus
	// FinalizerMissing is set until deletion is sure to release the route first.
	FinalizerMissing bool
	// Name of the Rollout, which run names derive from, and its Namespace.
	Name, Namespace string

	Workload Workload
	Canary   Canary
	Route    Route
	Run      Run
	Verdict  Verdict
	// Gates that the Rollout has, in the order in which they are asked.
	Gates  []Gate
	Action *Action
}

// ReleaseOverdue reports whether a deletion has waited longer for an orderly
// release than it may.
func (in Input) ReleaseOverdue() bool {
	return in.Deleting != nil && in.Now.Sub(*in.Deleting) > in.ReleaseTimeout
}

// Workload is what the Deployment or StatefulSet declares and runs. Of a StatefulSet
// everything is said in the same words: its versions are sets, which are its
// ControllerRevisions with their pods, and it is paused while it does not replace its pods
// with the declared version by itself, because its partition or Belay's own decision keeps
// some.
type Workload struct {
	// Found is false when there is no such Deployment.
	Found bool
	// Declared is the revision of its template, with its images.
	Declared v1alpha1.Revision
	// Paused as the Deployment declares it.
	Paused bool
	// Replicas the Deployment declares.
	Replicas int32
	// Recreate is its strategy: it empties the old set before it fills the new one.
	Recreate bool
	// Observed means that the Deployment controller has seen what is declared now.
	Observed bool
	// Marks are Belay's labels on the Deployment.
	Marks Marks
	// Lock is the run that Belay's handover label names; empty without one.
	Lock string
	// Stable is the Deployment's own set of the stable revision, found by its
	// template; the zero Set while there is none.
	Stable Set
	// StableUnmarked means that the stable set does not carry the labels by which
	// its template is guarded.
	StableUnmarked bool
	// Active are the Deployment's own sets that have a size, oldest first. A set
	// that was handed over counts, one that a run controls does not.
	Active []Set
	// Chosen is the name of the set that the Deployment controller would take for
	// the declared template if the canary were the Deployment's: of the equal ones
	// the oldest.
	Chosen string
	// ProgressDeadline is how long the Deployment gives new pods to become ready.
	ProgressDeadline time.Duration
	// UnavailableSince is since when the Deployment has had no available pod; nil
	// while it has one, or when that is not known.
	UnavailableSince *time.Time
	// PushedBy and Bypass are what the guard stamped, however long ago.
	PushedBy string
	Bypass   Bypass
	// Warning is what the user should know of the autoscaler or the history limit;
	// empty when there is nothing.
	Warning string
	// Held means that a StatefulSet's partition is v1alpha1.PartitionHold: however many
	// pods come, none is made in the declared version.
	Held bool `json:",omitempty"`
	// MaxUnavailable is how many of a StatefulSet's pods may be missing or not ready while
	// pods are replaced, by its own strategy.
	MaxUnavailable int32 `json:",omitempty"`
	// Fault is why a StatefulSet cannot be held as it is declared; zero when it can.
	Fault Fault `json:",omitzero"`
}

// Set is a ReplicaSet, or a ControllerRevision of a StatefulSet with its pods.
type Set struct {
	Name string
	// Revision of its template, and its pod-template-hash.
	Revision string
	Hash     string
	// BaseRevision of the stable set's template, without the annotations that
	// spec.restartAnnotations lists now; empty on others, and where it lists none.
	BaseRevision string `json:",omitempty"`
	// Image of its first container.
	Image string
	// Desired is its size; Pods, Ready and Available are what its status counts.
	Desired, Pods, Ready, Available int32
}

// Marks are Belay's labels on a Deployment, with Run as v1alpha1.RunLabel gives it.
type Marks = v1alpha1.Marks

// Bypass is who last let the Deployment roll unjudged, and why: the reason begins
// with the Deployment's generation at that time, so that no two are equal.
type Bypass struct {
	By     string
	Reason string
}

// Canary is the candidate's ReplicaSet of the run in progress, whoever controls
// it. Of a StatefulSet it is the candidate's pods: it exists while there are some or should
// be some, and its size follows from the partition.
type Canary struct {
	Set
	Exists bool
	// Handed means that the Deployment controls it. Of a StatefulSet it means that its
	// controller makes lost pods below the partition again in another version than stable,
	// the candidate's as a rule, so that a partition does not lead back.
	Handed bool
	// Recognised means that the Deployment controller has taken it for the set of
	// its template.
	Recognised bool
	// Borrowed means that it was the Deployment's own, idle, before the run.
	Borrowed bool
	// Former means that the first edition made it: the Rollout controls it, and its
	// pods carry Belay's labels.
	Former bool
	// Changed says what admission changed in its template; empty when it is the
	// Deployment's own. The Deployment controller would not take a changed one.
	Changed string
	// Epoch that the last fence left on it.
	Epoch int64
	// Left counts its pods that the user's Service may still reach, also once the
	// set is gone: those that are not terminating, or still an endpoint.
	Left int32
	// Images are the candidate's, with the digests that its ready pods report; nil
	// while it has no pod.
	Images []v1alpha1.ContainerImage
	// Cause says why pods are missing or not ready; empty when it is not known.
	Cause string
	// Adopted is the name of the run's set when the run is not its owner any more,
	// although no handover was decided: the Deployment owns it, or nobody yet.
	Adopted string
	// Leftover is the name of a set of a former run that is still there; empty when
	// there is none.
	Leftover string
	// Misplaced are the pods of a StatefulSet that its controller would make again in
	// another version, stable as a rule, and does not replace by itself, in the order in which they are to be
	// replaced: those that are not ready first, then the last ordinal first. Raising the
	// partition replaces no pod.
	Misplaced []Pod `json:",omitempty"`
}

// Pod is a pod of a StatefulSet.
type Pod struct {
	Name  string
	Ready bool
}

// Route is what the routes say and what their parents acknowledged.
type Route struct {
	// Fault is a reason why some route or the Service cannot be used, or empty. The
	// rest of what is here speaks of the others.
	Fault Fault
	// ServiceMissing is set while the user's Service does not exist: routes may
	// not go back to it.
	ServiceMissing bool
	// Split is the candidate's weight in percent; nil when the routes point at the
	// user's Service.
	Split *int32
	// Testers are the requests that all go to the candidate by rules of their own; nil for
	// none.
	Testers *v1alpha1.StepMatch `json:",omitempty"`
	// Mirror is how many percent of the requests are copied to the candidate; 0 for none.
	Mirror int32 `json:",omitempty"`
	// Marked means that Belay's annotations or its ownership of fields are still on
	// a route or on the user's Service.
	Marked bool
	// Mixed means that the routes disagree, or that somebody has changed the rules for
	// testers or what is copied; Split is the first.
	Mixed bool
	// Owner is the field manager that last wrote the weights, when that was not Belay.
	Owner string
	// Epoch is the highest that a write of this Rollout's, or of one of its name
	// before it, has left on a route.
	Epoch int64
	// Acknowledged means every parent has accepted the usable routes as they are
	// now; with none of them there is nobody to wait for.
	Acknowledged bool
	// Unacknowledged names the parent and condition that are missing.
	Unacknowledged string
	// PairCurrent means that the pair of Services is whole and selects the stable
	// and the canary set's pods.
	PairCurrent bool
	// Preview is the preview Service; nil while there is none that matters.
	Preview *Preview `json:",omitempty"`
	// StableEndpoints, CanaryEndpoints and ServiceEndpoints count ready endpoints
	// with the port that the routes name: behind each of the pair, and behind the
	// user's Service, whatever version they run; CanaryShare of those run the
	// candidate.
	StableEndpoints, CanaryEndpoints, ServiceEndpoints, CanaryShare int32
	// NoPort says which side has ready pods without the port that the routes name.
	NoPort string
	// Narrowed is the pod-template-hash that the user's Service selects; empty when
	// it selects all versions. NarrowedBy last wrote it, when that was not Belay.
	Narrowed, NarrowedBy string
}

// Preview is the preview Service as it is now.
type Preview struct {
	// Fault says why the Service of that name is not Belay's; empty when it is.
	Fault string `json:",omitempty"`
	// Hash is the pod-template-hash that it selects; empty for all versions.
	Hash string
	// Current means that all of it but Hash is as it should be.
	Current bool
	// Ready counts the ready endpoints that Hash selects.
	Ready int32
}

// Fault is a reason from the closed set, and a sentence.
type Fault struct {
	Reason  string
	Message string
}

// Run is the RolloutRun in progress.
type Run struct {
	// Exists is false when status names a run that is not there.
	Exists bool
	// Former means that another version of the planner started it.
	Former bool
	// Later names the fields of the Rollout's spec that differ from those the run started
	// with and keeps; empty when there is none.
	Later string
	// Owed means that it lacks decisions which it should hold by now.
	Owed bool
	// StablePinned means that it holds the stable version's whole template.
	StablePinned bool
	// Rejected are revisions that finished runs of this Rollout's name rejected;
	// they outlive the Rollout and its status.
	Rejected []v1alpha1.RejectedRevision
	// Next is the number for the next run's name.
	Next int32
}

// Action is a command that has not been handled yet.
type Action struct {
	Action   v1alpha1.Action
	Token    string
	Revision string
	// Step that the command is for, counted from 1; empty where it names none.
	Step   string
	Reason string
	By     string
}

// ObservedVerdict is a trigger in mode Observe that would roll back.
type ObservedVerdict struct {
	// Trigger as guardrail/trigger, and its message.
	Trigger, Message string
}

// Verdict sums up every armed trigger. What a trigger that only observes says stands in
// the fields Observed, WouldRollBack, References and Shown alone.
type Verdict struct {
	// Outcome by precedence Fail > Error > Inconclusive > Pass.
	Outcome v1alpha1.VerdictOutcome
	// Reason of the deciding trigger.
	Reason string
	// Trigger that decides, as guardrail/trigger; empty on Pass.
	Trigger string
	// Message of the deciding trigger.
	Message string
	// Passing and Total count triggers that enforce, Observed those that only observe.
	Passing, Total, Observed int
	// WouldRollBack is a trigger that only observes and would roll back now, for the
	// first time in the run; nil without one.
	WouldRollBack *ObservedVerdict
	// Excused are the triggers that have no requests to judge by, in a step in which no user
	// reaches the candidate, or while nothing is copied to the comparer that they need: they
	// are not among Total and need not pass.
	Excused []string `json:",omitempty"`
	// BlindRollback is set when a trigger's whenBlind says to roll back now.
	BlindRollback bool
	// References are the verdicts as evidence names them.
	References []v1alpha1.VerdictReference
	// Shown are the verdicts as the status shows them; nil when nothing is judged.
	Shown []v1alpha1.VerdictStatus
}
