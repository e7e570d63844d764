package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Decision is what Decide makes of an Input.
type Decision struct {
	// Rule that matched. It is the reason in history, events, metrics and logs.
	Rule string
	// Why in one sentence, with its numbers.
	Why string
	// Key tells this decision from the next one of the same rule; a decision with
	// the rule and key of the last one is not recorded again.
	Key string
	// Status to record before the effect: phase, step, history and so on.
	Status v1alpha1.RolloutStatus
	// Standing is how conditions show it.
	Standing Standing
	// Effect to carry out after recording; nil for none.
	Effect Effect
	// Recheck is when to look again at the latest; 0 to wait for a change.
	Recheck time.Duration
	// Weight is the candidate's share before and after; nil when unchanged.
	Weight *v1alpha1.WeightChange
	// Actor of a command.
	Actor string
	// Repeats says that the effect is that of a decision already recorded, whose
	// carrying out was interrupted: it is not recorded again.
	Repeats bool
	// Finished is the history entry this decision adds, if any.
	Finished *v1alpha1.HistoryEntry
}

// Progressing tells the three standings a GitOps tool knows apart.
type Progressing string

// The standings: done, working, or waiting for a person.
const (
	Done    Progressing = "Done"
	Working Progressing = "Working"
	Stuck   Progressing = "Stuck"
)

// Standing is a condition's worth of a decision.
type Standing struct {
	State  Progressing
	Reason string
}

// Effect is one idempotent, absolute change. The set is closed.
type Effect interface {
	fmt.Stringer
	effect()
}

type (
	// AddFinalizer makes deletion release the route first.
	AddFinalizer struct{}
	// RemoveFinalizer lets a deletion finish.
	RemoveFinalizer struct{}
	// CreateRun pins the inputs of status.run.
	CreateRun struct{}
	// PointServices makes the pair of Services select the stable pods by hash and
	// the canary pods by revision.
	PointServices struct{ StableHash, CanaryRevision string }
	// SetSplit gives the candidate Weight percent of the requests.
	SetSplit struct{ Weight int32 }
	// ReleaseRoute points the routes back at the user's Service.
	ReleaseRoute struct{}
	// ScaleCanary creates the canary ReplicaSet or sets its size.
	ScaleCanary struct{ Replicas int32 }
	// DeleteCanary deletes the canary ReplicaSet and its pods.
	DeleteCanary struct{}
	// Unpause lets the Deployment roll to the template with this revision, and to
	// no other.
	Unpause struct{ Revision string }
	// RestoreTemplate writes the stable template back and unpauses.
	RestoreTemplate struct{ Revision string }
)

func (AddFinalizer) effect()    {}
func (RemoveFinalizer) effect() {}
func (CreateRun) effect()       {}
func (PointServices) effect()   {}
func (SetSplit) effect()        {}
func (ReleaseRoute) effect()    {}
func (ScaleCanary) effect()     {}
func (DeleteCanary) effect()    {}
func (Unpause) effect()         {}
func (RestoreTemplate) effect() {}

func (AddFinalizer) String() string    { return "add the finalizer" }
func (RemoveFinalizer) String() string { return "remove the finalizer" }
func (CreateRun) String() string       { return "create the run's record" }
func (e PointServices) String() string {
	return fmt.Sprintf("point the stable Service at hash %s and the canary Service at revision %s", e.StableHash, e.CanaryRevision)
}
func (e SetSplit) String() string        { return fmt.Sprintf("set the canary's weight to %d %%", e.Weight) }
func (ReleaseRoute) String() string      { return "point the routes back at the user's Service" }
func (e ScaleCanary) String() string     { return fmt.Sprintf("scale the canary to %d", e.Replicas) }
func (DeleteCanary) String() string      { return "delete the canary" }
func (e Unpause) String() string         { return "unpause the Deployment at revision " + e.Revision }
func (e RestoreTemplate) String() string { return "write back the template of revision " + e.Revision }
