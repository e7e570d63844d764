package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// stage is a point of a run at which something else may happen.
type stage struct {
	name string
	at   func(*World) bool
	// before is what leads there after the push.
	before []event
	// shown is at by what the Rollout's status shows; nil where more must be known.
	shown func(Shown) bool
}

// inScene tells a story of an act in a stage that is known by what is shown.
func (s Story) inScene(at stage, do func(Backend)) Story {
	if at.shown == nil {
		return s
	}
	return s.told(Scene{at.shown, do})
}

// trialStages are those in which the candidate can still be taken back by weights.
func trialStages() []stage {
	return []stage{
		{name: "held", at: held}, {name: "step", at: atStep(1), shown: whileStep(1)}, {name: "promoting", at: promoting},
		{name: "bake", at: baking}, {name: "before-owner", at: beforeOwner},
	}
}

func stages() []stage {
	fails := []event{{atStep(1), (*World).fail}}
	return append(trialStages(),
		stage{name: "after-owner", at: afterOwner},
		stage{name: "rolling-back", at: goingBack, before: fails},
		stage{name: "rolled-back", at: rolledBack, before: fails},
	)
}

// inStage is the script of an event in a stage, and of what follows.
func (s stage) inStage(do func(*World), more ...event) func() []event {
	return func() []event {
		events := append([]event{push}, s.before...)
		return append(append(events, event{s.at, do}), more...)
	}
}

// goesBack is whether the run in this stage is already being taken back.
func (s stage) goesBack() bool { return len(s.before) > 0 }

// pushes declare another template in the middle of a run.
func pushes() []Story {
	var all []Story
	for _, s := range stages() {
		all = append(all,
			story("supersede/"+s.name, third, promoted, s.inStage(declares(third))).inScene(s, func(b Backend) { b.Declare(third) }),
			story("cancel/"+s.name, first, "", s.inStage(declares(first))))
	}
	all = append(all, rowsOfPushes()...)
	return append(all,
		story("superseded-with-stable-short", third, promoted, script(event{baking, superseding})).with(unsettled),
		story("superseded-with-stable-short-for-long", third, promoted, script(event{baking, func(w *World) {
			w.quota = 6
			superseding(w)
		}}, event{func(w *World) bool { return goingBack(w) && w.network.split != nil && *w.network.split == 0 }, func(w *World) {
			w.disturb()
			w.quota = 0
		}})).with(mayBeDown).with(unsettled),
		story("push-twice", third, promoted, script(event{atStep(1), declares(third)}, event{goingBack, declares(second)}, soon(time.Second, declares(third)))),
		story("revert-and-push", second, promoted, script(event{atStep(1), declares(first)}, soon(2*time.Second, declares(second)))))
}

// superseding declares a newer version when two of the stable pods are gone.
func superseding(w *World) {
	w.losePod(first)
	w.losePod(first)
	w.declare(third)
}

// emergencies are bypasses, deletions, and what goes out while nothing serves.
func emergencies() []Story {
	var all []Story
	for _, s := range stages() {
		same := story("bypass/"+s.name, second, "", s.inStage(bypasses(second))).inScene(s, func(b Backend) { b.Bypass(second) })
		if s.name != "after-owner" {
			same.Ended = v1alpha1.OutcomeBypassed
		}
		hotfix := story("bypass-other/"+s.name, third, v1alpha1.OutcomeBypassed, s.inStage(bypasses(third)))
		all = append(all, same, hotfix, hotfix.named("bypass-other-recreate/"+s.name).with(recreate).with(mayBeDown),
			deletion("delete-rollout/"+s.name, s).inScene(s, Backend.DeleteRollout), deletionOfBoth("delete-both/"+s.name, s), lossOfDeployment("delete-deployment/"+s.name, s), recreation("recreate-deployment/"+s.name, s))
	}
	return append(all,
		story("bypass-twice", third, v1alpha1.OutcomeBypassed, script(event{atStep(1), bypasses(second)}, soon(5*time.Second, bypasses(third)))),
		story("bypass-twice-later", third, v1alpha1.OutcomeBypassed, script(event{atStep(1), bypasses(second)}, event{rolling, bypasses(third)})),
		story("bypass-then-push", third, promoted, script(event{baking, bypasses(second)}, event{promotedOnce, declares(third)})),
		story("push-into-a-bypass", third, "", script(event{atStep(1), bypasses(second)}, event{rolling, declares(third)})),
		story("bypass-direct-callers", second, v1alpha1.OutcomeBypassed, script(event{atStep(1), bypasses(second)})).with(directCallers),
		story("bypass-direct-callers-in-bake", third, v1alpha1.OutcomeBypassed, script(event{baking, bypasses(third)})).with(directCallers),
		story("nothing-serves", second, promoted, script(event{held, (*World).loseStable})).with(mayBeDown).named("nothing-serves"),
		deletion("delete-with-silent-gateway", stage{at: func(w *World) bool {
			if atStep(1)(w) {
				w.silenceGateway()
			}
			return atStep(1)(w)
		}}).leaving().silent(),
		firstNeverReady(), unreadyCandidate(unready(second)),
	)
}

func mayBeDown(w *World) { w.mayBeDown = true }

func deletion(name string, s stage) Story {
	end := Story{Name: name, Serves: first, Held: second, Script: s.inStage((*World).deleteRollout)}
	if s.name == "after-owner" {
		end.Serves, end.Held = second, ""
	}
	return end
}

// leaving allows for what the end of a deletion's patience leaves behind.
func (s Story) leaving() Story {
	s.Leaves = true
	wait := s.Script
	s.Script = func() []event { return append(wait(), soon(10*time.Minute, (*World).speakGateway)) }
	return s
}

// deletionOfBoth is a namespace's, or a release's that is taken down.
func deletionOfBoth(name string, s stage) Story {
	return Story{Name: name, Leaves: true, Script: s.inStage(func(w *World) {
		w.deleteDeployment(false)
		w.deleteRollout()
	})}
}

func lossOfDeployment(name string, s stage) Story {
	return Story{Name: name, Phase: "lost", Script: s.inStage(func(w *World) { w.deleteDeployment(false) }, soon(2*time.Minute, func(w *World) { w.createDeployment(first) }))}.
		named(name).recovering()
}

func recreation(name string, s stage) Story {
	return Story{Name: name, Phase: "lost", Script: s.inStage(func(w *World) { w.deleteDeployment(true) }, soon(2*time.Second, func(w *World) { w.createDeployment(first) }))}.recovering()
}

// recovering ends with the first version served by the Deployment made anew.
func (s Story) recovering() Story {
	s.Phase, s.Serves = stable, first
	return s
}

// firstNeverReady: what was never adopted does not hold its own fix back.
func firstNeverReady() Story {
	return Story{
		Name: "first-version-never-ready", Serves: second, Phase: stable,
		Setup:  func(w *World) { w.neverReady = []string{first}; w.mayBeDown = true },
		Script: func() []event { return []event{soon(2*time.Minute, declares(second))} },
	}
}

func unreadyCandidate(setup func(*World)) Story {
	return rejection("candidate-never-ready", script(event{stalled(v1alpha1.ReasonDeadlineExceeded), commands(v1alpha1.ActionAbort)})).with(setup).stalling(v1alpha1.ReasonDeadlineExceeded)
}
