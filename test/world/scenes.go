package world

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
)

// Revisions that stories declare, in the order of their first release.
const (
	First  = first
	Second = second
	Third  = third
)

// Backend is a cluster that a story can be played on: the world in memory, or a real
// API server. Its acts are those of people and of the cluster.
type Backend interface {
	// Declare writes a revision into the Deployment's template, as the guard takes it.
	Declare(revision string)
	// Bypass lets a revision roll unjudged.
	Bypass(revision string)
	// Command asks the Rollout for something.
	Command(action v1alpha1.Action)
	// Fail makes a trigger of the run in progress fire from now on.
	Fail()
	// LosePod takes one ready pod of a revision away.
	LosePod(revision string)
	// OverwriteRoute applies the route as it was before the run.
	OverwriteRoute()
	// DeleteRollout asks for the Rollout's deletion.
	DeleteRollout()
}

// Shown is what everybody can see of a Rollout.
type Shown struct {
	Status *v1alpha1.RolloutStatus
	// Guarded is whether a pushed template waits.
	Guarded bool
}

// Scene is an act, as soon as what is shown asks for it.
type Scene struct {
	When func(Shown) bool
	Do   func(Backend)
}

// End is where a story ends. Phase is empty when the Rollout is gone, Outcome that of
// the last run, Serves the revision that all pods run, and Held the declared revision
// while the Deployment is paused.
type End struct {
	Phase        v1alpha1.Phase
	Outcome      v1alpha1.Outcome
	Serves, Held string
}

// Portable are the stories that are told in scenes, and so play on each Backend.
func Portable() []Story {
	return slices.DeleteFunc(Stories(), func(s Story) bool { return s.Scenes == nil })
}

// told is a story in scenes, after the push of the second revision.
func (s Story) told(scenes ...Scene) Story {
	s.Scenes = append([]Scene{pushScene}, scenes...)
	s.Script = func() []event {
		var events []event
		for _, scene := range s.Scenes {
			events = append(events, event{
				when: func(w *World) bool { return scene.When(w.shows()) },
				do:   func(w *World) { scene.Do(memory{w}) },
			})
		}
		return events
	}
	return s
}

func (w *World) shows() Shown {
	return Shown{w.rollout.status, w.deployment.marks.Rollout != ""}
}

// End is where the world has come to.
func (w *World) End() End {
	var e End
	if !w.rollout.gone {
		e.Phase = w.rollout.status.Phase
	}
	if len(w.ends) > 0 {
		e.Outcome = v1alpha1.Outcome(w.ends[len(w.ends)-1])
	}
	for _, revision := range []string{first, second, third, fourth, firstAgain, firstThrice, firstOften, secondAgain} {
		if w.readyWith(revision) == w.deployment.replicas {
			e.Serves = revision
		}
	}
	if w.deployment.held() {
		e.Held = w.deployment.declared
	}
	return e
}

// memory is the world in memory as a Backend.
type memory struct{ *World }

// Declare implements Backend.
func (m memory) Declare(revision string) { m.declare(revision) }

// Bypass implements Backend.
func (m memory) Bypass(revision string) { m.bypass(revision) }

// Command implements Backend.
func (m memory) Command(action v1alpha1.Action) { m.command(action) }

// Fail implements Backend.
func (m memory) Fail() { m.fail() }

// LosePod implements Backend.
func (m memory) LosePod(revision string) { m.losePod(revision) }

// OverwriteRoute implements Backend.
func (m memory) OverwriteRoute() { m.overwriteRoute() }

// DeleteRollout implements Backend.
func (m memory) DeleteRollout() { m.deleteRollout() }

// The scenes of the portable stories.
var (
	pushScene = Scene{whileGuarded, func(b Backend) { b.Declare(second) }}

	whileGuarded = func(s Shown) bool { return s.Status.Phase == v1alpha1.PhaseStable && s.Guarded }
	onceServing  = func(s Shown) bool {
		return whileGuarded(s) && len(s.Status.History) > 0 && s.Status.History[0].Outcome == promoted
	}
	whileBaking = func(s Shown) bool { return s.Status.Phase == v1alpha1.PhaseBaking }
)

// whileStep is while the step's weight stands.
func whileStep(index int32) func(Shown) bool {
	return func(s Shown) bool {
		step := s.Status.Step
		return s.Status.Phase == v1alpha1.PhaseStepping && step != nil && step.Index == index && step.AcknowledgedAt != nil
	}
}
