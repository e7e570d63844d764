package plan

import (
	"fmt"
	"strings"
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
	// Progress is the condition that is True with this decision, and Reason that
	// condition's reason.
	Progress Progress
	Reason   string
	// Late is the reason of the condition Stalled once a rollback or a deletion has only
	// waited so for longer than patience; empty where stepDeadline alone bounds it.
	Late string
	// Effects to carry out after recording, in this order. Several stand together only
	// where none needs the answer to another: one that is refused keeps none of the
	// others back, and after a crash or a conflict between two of them the tables ask for
	// what is left.
	Effects []Effect
	// Recheck is when to look again at the latest; 0 to wait for a change.
	Recheck time.Duration
	// Weight is the candidate's weight before and after; nil when unchanged.
	Weight *v1alpha1.WeightChange
	// Actor of a command.
	Actor string
	// Repeats says that the effects are those of a decision already recorded, whose
	// carrying out was interrupted: it is not recorded again.
	Repeats bool
	// WouldRollBack is the trigger in mode Observe that this decision notes, if any.
	WouldRollBack *v1alpha1.ObservedFail
	// Finished is the history entry this decision adds, if any.
	Finished *v1alpha1.HistoryEntry
}

// Progress is a condition of the Rollout: one of three, of which one is True.
type Progress string

const (
	// Ready means that there is nothing to do.
	Ready Progress = v1alpha1.ConditionReady
	// Reconciling means that Belay goes on by itself.
	Reconciling Progress = v1alpha1.ConditionReconciling
	// Stalled means that somebody else has to change something first.
	Stalled Progress = v1alpha1.ConditionStalled
)

// Effect is one idempotent, absolute change. The set is closed.
type Effect interface {
	fmt.Stringer
	effect()
}

// Does says what a decision's effects do, in their order; empty without effects.
func (d Decision) Does() string {
	var all []string
	for _, e := range d.Effects {
		all = append(all, e.String())
	}
	return strings.Join(all, "; ")
}

// EffectOf returns a decision's effect of one type, and whether it has one.
func EffectOf[E Effect](d Decision) (E, bool) {
	for _, e := range d.Effects {
		if found, ok := e.(E); ok {
			return found, true
		}
	}
	var none E
	return none, false
}

// AfterRefusal is an effect as it is carried out when the API server has refused one
// before it in the same decision: what a bypass has to undo is then still to undo, and
// the labels that say so stay.
func AfterRefusal(e Effect) Effect {
	if u, ok := e.(Unpause); ok {
		u.Unmark = false
		return u
	}
	return e
}

type (
	// AddFinalizer makes deletion release the route first.
	AddFinalizer struct{}
	// Leave removes what Belay has made and marked, the finalizer last: the pair of
	// Services, the labels on the Deployment.
	Leave struct{}
	// CreateRun pins the inputs of status.run.
	CreateRun struct{}
	// MarkWorkload sets Belay's labels on the Deployment to these, and no others.
	MarkWorkload struct{ Marks Marks }
	// PointServices makes the pair of Services select the stable and the canary
	// set's pods.
	PointServices struct{}
	// NarrowService makes the user's Service select only pods with this hash; with
	// an empty one all of its pods.
	NarrowService struct{ Hash string }
	// PointPreview makes the preview Service select only pods with this hash; with an empty
	// one those of all versions.
	PointPreview struct{ Hash string }
	// RemovePreview deletes the preview Service.
	RemovePreview struct{}
	// SetSplit gives the candidate Weight percent of the requests, all of the testers', and
	// copies of Mirror percent; nil for no testers, and 0 for no copies.
	SetSplit struct {
		Weight  int32
		Testers *v1alpha1.StepMatch
		Mirror  int32
	}
	// ReleaseRoute points the routes back at the user's Service.
	ReleaseRoute struct{}
	// ScaleCanary sets the canary's size. Where there is none it is borrowed from
	// the Deployment's idle sets, or made.
	ScaleCanary struct{ Replicas int32 }
	// RemoveCanary deletes the canary; a borrowed one is given back to the
	// Deployment once it is empty. Reject keeps the Deployment controller from
	// choosing it: a borrowed set of a rejected revision is deleted too.
	RemoveCanary struct{ Reject bool }
	// RemoveLeftover deletes the set of a former run.
	RemoveLeftover struct{ Name string }
	// HandOver locks the Deployment's template and makes the Deployment the owner
	// of the canary, provided that its size is still Replicas everywhere; any size
	// in a native promotion.
	HandOver struct {
		Replicas int32
		Native   bool
	}
	// FenceCanary leaves the epoch on the canary, so that a handover that an older
	// controller has begun fails.
	FenceCanary struct{ Epoch int64 }
	// ResizeHanded sets the handed-over set's size and the annotations that the
	// Deployment controller keeps beside it.
	ResizeHanded struct{ Replicas int32 }
	// Unlock removes the handover's lock from the Deployment.
	Unlock struct{}
	// Unpause lets the Deployment roll to the template with this revision, and to
	// no other, and removes the handover's lock in the same write; Unmark also the
	// labels by which a refusal undoes what a run has done to the routes.
	Unpause struct {
		Revision string
		Unmark   bool
	}
	// Pause stops the Deployment where it is.
	Pause struct{}
	// RaiseStable gives the stable set this size; where there is none it is made
	// again from the template that the run has pinned.
	RaiseStable struct{ Replicas int32 }
	// TakeOut removes a set of the Deployment's that must not serve: Delete it, or
	// only empty it.
	TakeOut struct {
		Name   string
		Delete bool
	}
	// TakeBack makes the run the owner of its set again.
	TakeBack struct{ Name string }
	// ReplacePods deletes these pods of a StatefulSet, by name and UID as they were seen:
	// each runs a version that its ordinal should not have, and its controller makes it
	// again in the one that it should.
	ReplacePods struct{ Names []string }
)

func (AddFinalizer) effect()   {}
func (Leave) effect()          {}
func (CreateRun) effect()      {}
func (MarkWorkload) effect()   {}
func (PointServices) effect()  {}
func (NarrowService) effect()  {}
func (PointPreview) effect()   {}
func (RemovePreview) effect()  {}
func (SetSplit) effect()       {}
func (ReleaseRoute) effect()   {}
func (ScaleCanary) effect()    {}
func (RemoveCanary) effect()   {}
func (RemoveLeftover) effect() {}
func (HandOver) effect()       {}
func (FenceCanary) effect()    {}
func (ResizeHanded) effect()   {}
func (Unlock) effect()         {}
func (Unpause) effect()        {}
func (Pause) effect()          {}
func (RaiseStable) effect()    {}
func (TakeOut) effect()        {}
func (TakeBack) effect()       {}
func (ReplacePods) effect()    {}

func (AddFinalizer) String() string { return "add the finalizer" }
func (Leave) String() string {
	return "remove the generated Services, the labels on the Deployment, and the finalizer"
}
func (CreateRun) String() string      { return "create the run's record" }
func (e MarkWorkload) String() string { return "label the Deployment: " + e.Marks.String() }
func (PointServices) String() string {
	return "make the pair of Services select the stable and the canary pods"
}
func (e NarrowService) String() string {
	if e.Hash == "" {
		return "let the user's Service select all versions"
	}
	return "let the user's Service select only pods with hash " + e.Hash
}
func (e PointPreview) String() string {
	if e.Hash == "" {
		return "make the preview Service select all versions"
	}
	return "make the preview Service select only pods with hash " + e.Hash
}
func (RemovePreview) String() string { return "delete the preview Service" }
func (e SetSplit) String() string {
	if e.Mirror > 0 {
		return fmt.Sprintf("set the canary's weight to %d %%, with copies of %d %% of the requests", e.Weight, e.Mirror)
	}
	if e.Testers != nil {
		return fmt.Sprintf("set the canary's weight to %d %%, with testers (%s)", e.Weight, e.Testers)
	}
	return fmt.Sprintf("set the canary's weight to %d %%", e.Weight)
}
func (ReleaseRoute) String() string  { return "point the routes back at the user's Service" }
func (e ScaleCanary) String() string { return fmt.Sprintf("scale the canary to %d", e.Replicas) }
func (e RemoveCanary) String() string {
	if e.Reject {
		return "delete the rejected canary"
	}
	return "remove the canary"
}
func (e RemoveLeftover) String() string { return "delete the ReplicaSet of a former run, " + e.Name }
func (e HandOver) String() string {
	if e.Native {
		return "make the Deployment the owner of the canary"
	}
	return fmt.Sprintf("make the Deployment the owner of the canary at %d replicas", e.Replicas)
}
func (e FenceCanary) String() string {
	return fmt.Sprintf("mark the canary with epoch %d, so that an older handover fails", e.Epoch)
}
func (e ResizeHanded) String() string {
	return fmt.Sprintf("scale the handed-over ReplicaSet to %d", e.Replicas)
}
func (Unlock) String() string    { return "unlock the Deployment" }
func (e Unpause) String() string { return "unpause the Deployment at revision " + e.Revision }
func (Pause) String() string     { return "pause the Deployment" }
func (e RaiseStable) String() string {
	return fmt.Sprintf("scale the stable ReplicaSet to %d", e.Replicas)
}
func (e TakeOut) String() string {
	if e.Delete {
		return "delete ReplicaSet " + e.Name
	}
	return fmt.Sprintf("scale ReplicaSet %s to 0", e.Name)
}

func (e TakeBack) String() string { return fmt.Sprintf("take ReplicaSet %s back", e.Name) }

func (e ReplacePods) String() string {
	return "delete pods, which the StatefulSet makes again: " + strings.Join(e.Names, ", ")
}
