package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// lastPod is while the pod that kept the way back gets the new version, too.
var lastPod = inPhase(v1alpha1.PhaseHandingOver)

// orderedStages are the points of a StatefulSet's run at which something else may happen.
func orderedStages() []stage {
	fails := []event{{atStep(1), (*World).fail}}
	return []stage{
		{name: "held", at: held}, {name: "step", at: atStep(1)}, {name: "promoting", at: promoting}, {name: "bake", at: baking},
		{name: "last-pod", at: lastPod},
		{name: "rolling-back", at: goingBack, before: fails}, {name: "rolled-back", at: rolledBack, before: fails},
	}
}

// byOrdinals are stories of a StatefulSet.
func byOrdinals() []Story {
	var all []Story
	for _, some := range [][]Story{orderedReleases(), orderedRollbacks(), orderedInStages(), orderedFromZero(), orderedCommands()} {
		all = append(all, some...)
	}
	for i := range all {
		given := all[i].Setup
		all[i].Setup = asStatefulSet
		if given != nil {
			all[i] = all[i].with(given)
		}
		all[i].Name = "ordered-" + all[i].Name
	}
	return all
}

func parallel(w *World) { w.deployment.parallel = true }

func maxUnavailable(n int32) func(*World) {
	return func(w *World) { w.deployment.maxUnavailable = n }
}

// orderedReleases end with the new version promoted.
func orderedReleases() []Story {
	promote := story("promote", second, promoted, script())
	return []Story{
		promote,
		promote.named("parallel").with(parallel),
		promote.named("two-at-once").with(replicas(8)).with(maxUnavailable(2)),
		promote.named("two-replicas").with(replicas(2)),
		promote.named("many-replicas").with(replicas(20)),
		promote.named("min-ready").with(func(w *World) { w.deployment.minReady = 20 * time.Second }),
		promote.named("no-history").with(history(0)),
		promote.named("weight-100").with(func(w *World) { w.spec.Steps[1].Weight = 100 }),
		story("one-replica", second, promoted, script(event{stalled(v1alpha1.ReasonWorkloadNotReady), resizes(3)})).with(replicas(1)).stalling(v1alpha1.ReasonWorkloadNotReady),
		promote.named("blind-then-on").scripted(script(event{atStep(0), func(w *World) { w.blindUntil = w.at.Add(10 * time.Minute) }})),
		story("fast-revert", first, promoted, script(event{promotedOnce, declares(first)})),
		story("twice", third, promoted, script(event{promotedOnce, declares(third)})),
		story("revert-to-an-older-version", first, promoted, revertToOlder),
		promote.named("stable-pod-lost").scripted(script(event{atStep(1), func(w *World) { w.losePod(first) }})),
		promote.named("candidate-pod-lost").scripted(script(event{atStep(1), func(w *World) { w.losePod(second) }})),
		promote.named("candidate-pod-lost-in-bake").scripted(script(event{baking, func(w *World) { w.losePod(second) }})),
		promote.named("stable-pod-lost-in-bake").scripted(script(event{baking, func(w *World) { w.losePod(first) }})),
		promote.named("candidates-unready-for-a-while").scripted(script(event{atStep(1), loseVersion(second)})),
		promote.named("late-to-be-ready").scripted(script(event{atStep(0), unready(second)}, soon(15*time.Minute, unready()))),
		// Kubernetes waits for its first pod for ever, until somebody deletes that.
		{Name: "first-version-never-ready", Serves: second, Phase: stable,
			Setup:  func(w *World) { w.neverReady = []string{first}; w.mayBeDown = true },
			Script: func() []event { return []event{soon(2*time.Minute, declares(second)), soon(time.Minute, losesAll)} }},
		story("nothing-serves", second, promoted, script(event{held, (*World).loseStable})).with(mayBeDown),
	}
}

// loseVersion makes the pods of a version unready for a while.
func loseVersion(template string) func(*World) {
	return func(w *World) {
		w.disturb()
		for i := range w.pods {
			if p := &w.pods[i]; p.template == template {
				p.readyAt = w.at.Add(seconds(300))
				p.endpointAt = p.readyAt
			}
		}
	}
}

// losesAll deletes every pod.
func losesAll(w *World) {
	for i := range w.pods {
		w.end(&w.pods[i], 0)
	}
}

// orderedRollbacks end with the new version rejected.
func orderedRollbacks() []Story {
	fail := (*World).fail
	inStep := rejection("rollback-in-step", script(event{atStep(1), fail}))
	inBake := rejection("rollback-in-bake", script(event{baking, fail}))
	neverReady := rejection("candidate-never-ready", script(event{stalled(v1alpha1.ReasonDeadlineExceeded), commands(v1alpha1.ActionAbort)})).
		with(unready(second)).stalling(v1alpha1.ReasonDeadlineExceeded)
	return []Story{
		inStep, inBake,
		inStep.named("rollback-in-step-parallel").with(parallel),
		inBake.named("rollback-in-bake-parallel").with(parallel),
		inBake.named("rollback-two-at-once").with(replicas(8)).with(maxUnavailable(2)),
		inBake.named("rollback-many-replicas").with(replicas(20)),
		inBake.named("rollback-two-replicas").with(replicas(2)),
		rejection("rollback-at-once", script(event{inPhase(v1alpha1.PhaseStepping), fail})),
		rejection("rollback-while-promoting", script(event{promoting, fail})),
		rejection("trigger-fires-with-the-last-pod", script(event{lastPod, fail})).orPromotes(),
		neverReady,
		neverReady.named("candidate-never-ready-parallel").with(parallel),
		rejection("candidate-never-ready-at-deadline", script()).with(unready(second)).with(func(w *World) { w.spec.OnDeadline = v1alpha1.Rollback }),
		rejection("candidate-never-ready-later", script(event{atStep(0), unready(second)}, soon(5*time.Minute, fail))),
		rejection("pod-lost-while-rolling-back", script(event{baking, fail}, event{goingBack, func(w *World) { w.losePod(first) }})),
		rejection("candidate-pod-lost-while-rolling-back", script(event{baking, fail}, event{goingBack, func(w *World) { w.losePod(second) }})),
		rejection("abort", script(event{atStep(0), commands(v1alpha1.ActionAbort)})),
		rejection("abort-while-held", script(event{held, commands(v1alpha1.ActionAbort)})).ending(""),
		story("abort-and-retry", second, promoted, script(event{atStep(0), commands(v1alpha1.ActionAbort)}, event{rolledBack, commands(v1alpha1.ActionRetry)})),
		{Name: "reject-then-fix", Serves: third, Phase: stable, Ended: promoted, Rejects: second, Script: script(event{atStep(0), fail}, event{rolledBack, declares(third)})},
		{Name: "reject-then-undo", Serves: first, Phase: stable, Rejects: second, Script: script(event{baking, fail}, event{rolledBack, declares(first)})},
		{Name: "never-ready-then-fix", Serves: third, Phase: stable, Ended: promoted, Script: script(event{stalled(v1alpha1.ReasonDeadlineExceeded), declares(third)}), Setup: unready(second)},
		{Name: "never-ready-then-undo", Serves: first, Phase: stable, Script: script(event{stalled(v1alpha1.ReasonDeadlineExceeded), declares(first)}), Setup: unready(second)},
	}
}

// orderedInStages have something happen in each stage of a run.
func orderedInStages() []Story {
	var all []Story
	for _, s := range orderedStages() {
		end := func(name string, events func() []event) Story {
			if s.goesBack() {
				return rejection(name, events)
			}
			return story(name, second, promoted, events)
		}
		bypass := story("bypass/"+s.name, second, "", s.inStage(bypasses(second)))
		if s.name != "last-pod" {
			bypass.Ended = v1alpha1.OutcomeBypassed
		}
		all = append(all,
			end("scale-up/"+s.name, s.inStage(resizes(9))),
			end("scale-down/"+s.name, s.inStage(resizes(2))),
			end("scale-to-one/"+s.name, s.inStage(resizes(1), soon(3*time.Minute, resizes(4)))),
			story("supersede/"+s.name, third, promoted, s.inStage(declares(third))),
			story("cancel/"+s.name, first, "", s.inStage(declares(first))),
			bypass,
			story("bypass-other/"+s.name, third, v1alpha1.OutcomeBypassed, s.inStage(bypasses(third))),
			deletion("delete-rollout/"+s.name, s),
			deletionOfBoth("delete-both/"+s.name, s), lossOfDeployment("delete-statefulset/"+s.name, s), recreation("recreate-statefulset/"+s.name, s), orderedRecreation("recreate-at-candidate/"+s.name, s),
		)
	}
	return all
}

// orderedRecreation is how people change a volumeClaimTemplate: the StatefulSet is deleted
// without its pods, and made again from a manifest that has the new version. Kubernetes then
// takes that for current, so that no partition leads back from it.
func orderedRecreation(name string, s stage) Story {
	again := s.inStage(func(w *World) { w.deleteDeployment(true) }, soon(2*time.Second, func(w *World) { w.createDeployment(second) }))
	switch {
	case s.name == "held" || s.name == "rolled-back":
		// Nothing holds a StatefulSet that is new: it rolls, judged or not.
		return story(name, second, "", again).with(mayBeDown)
	case !s.goesBack():
		return story(name, second, promoted, again)
	}
	undone := func() []event {
		return append(again(), event{stalled(v1alpha1.ReasonWrongVersionServes), declares(first)})
	}
	return Story{Name: name, Serves: first, Phase: stable, Rejects: second, Script: undone}.with(mayBeDown).stalling(v1alpha1.ReasonWrongVersionServes)
}

// orderedFromZero are StatefulSets that are scaled to 0 and back. At 0 Kubernetes takes what is
// declared for the version that runs, so nothing holds it: a run in progress ends with it,
// unjudged, and a version that was rejected serves until somebody declares another.
func orderedFromZero() []Story {
	var all []Story
	upAndDown := []event{soon(3*time.Minute, resizes(4))}
	for _, s := range orderedStages() {
		events := s.inStage(resizes(0), upAndDown...)
		end := story("scale-to-zero/"+s.name, second, promoted, events).with(mayBeDown)
		if s.goesBack() {
			end = rejection(end.Name, events).with(mayBeDown).stalling(v1alpha1.ReasonWrongVersionServes)
			end.Serves = second
			undone := func() []event {
				return append(events(), event{stalled(v1alpha1.ReasonWrongVersionServes), declares(first)})
			}
			all = append(all, Story{Name: "scale-to-zero-then-undo/" + s.name, Serves: first, Phase: stable, Rejects: second, Script: undone}.with(mayBeDown))
		}
		all = append(all, end)
	}
	return all
}

// orderedCommands are releases that somebody pauses, or that nobody looks at for a while.
func orderedCommands() []Story {
	pause, resume := commands(v1alpha1.ActionPause), commands(v1alpha1.ActionResume)
	const long = 15 * time.Minute
	stops := story("pause-in-a-step", second, promoted, script(event{atStep(0), pause}, soon(3*time.Hour, resume)))
	return []Story{
		stops,
		stops.named("pause-in-the-bake").scripted(script(event{baking, pause}, soon(3*time.Hour, resume))),
		stops.named("pause-before-the-run").scripted(script(event{held, pause}, soon(time.Hour, resume))),
		stops.named("pause-with-the-last-pod").scripted(script(event{lastPod, pause}, soon(3*time.Hour, resume))),
		stops.named("freeze-in-a-step").scripted(script(event{atStep(0), begins(3 * time.Hour)}, soon(3*time.Hour-time.Second, kept))),
		stops.named("approval").with(needsApproval).scripted(script(event{awaitsApproval(second), nothing}, soon(3*time.Hour, commands(v1alpha1.ActionApprove)))),
		stops.named("promote-by-command").scripted(script(event{atStep(0), commands(v1alpha1.ActionPromote)})),
		stops.named("skip").scripted(script(event{atStep(0), commands(v1alpha1.ActionSkip)})),
		rejection("unattended-in-a-step", script(event{atStep(0), away(long)})).with(attended),
		rejection("unattended-in-the-bake", script(event{baking, away(long)})).with(attended),
		story("unattended-holds", second, promoted, script(event{atStep(1), away(long)}, event{pausedAt(second), resume})).with(attendedOrHeld),
		story("restart", firstAgain, promoted, restart()).with(restartable).skipping(firstAgain),
		rejection("restart-fails", restart(event{baking, (*World).fail})).rejecting(firstAgain, first).with(restartable),
	}
}
