package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// commanded are releases in which a person ends the steps, pauses or resumes.
func commanded() []Story {
	promote, pause, resume := commands(v1alpha1.ActionPromote), commands(v1alpha1.ActionPause), commands(v1alpha1.ActionResume)
	upgrade := func(w *World) { w.formerRun = w.rollout.status.Run }
	paused := func(w *World) bool { return w.rollout.status.CommandedPause() != nil }
	waits := func(w *World) bool { return held(w) && paused(w) }
	stops := story("pause-in-a-step", second, promoted, script(event{atStep(0), pause}, soon(3*time.Hour, resume)))
	skip, approve := commands(v1alpha1.ActionSkip), commands(v1alpha1.ActionApprove)
	awaits := awaitsApproval(second)
	undecided := event{atStep(0), func(w *World) { w.blindUntil = w.at.Add(30 * time.Minute) }}
	approval := story("approval", second, promoted, script(event{awaits, func(*World) {}}, soon(3*time.Hour, approve))).with(needsApproval)
	const says = "promoted shop:b: alice ended its steps at step 1 of 2"
	return []Story{
		story("promote-by-command", second, promoted, script(event{atStep(0), promote})).saying(says),
		story("promote-while-undecided", second, promoted, script(
			event{atStep(0), func(w *World) { w.blindUntil = w.at.Add(30 * time.Minute) }}, soon(5*time.Minute, promote))).saying("not judged there: "),
		rejection("promote-as-a-trigger-fires", script(event{atStep(0), func(w *World) { w.fail(); promote(w) }})),
		rejection("promote-then-rollback-in-bake", script(event{atStep(0), promote}, event{baking, (*World).fail})),
		story("promote-then-upgrade-in-bake", second, promoted, script(event{atStep(0), promote}, event{baking, upgrade})),

		story("skip-while-undecided", second, promoted, script(undecided, soon(5*time.Minute, skip))),
		story("skip-the-last-step", second, promoted, script(event{atStep(1), skip})).saying("promoted shop:b: alice skipped step 2 of 2"),
		rejection("skip-as-a-trigger-fires", script(event{atStep(0), func(w *World) { w.fail(); skip(w) }})),
		rejection("skip-then-a-trigger-fires", script(event{atStep(0), skip}, event{atStep(1), (*World).fail})),

		approval.with(func(w *World) { w.spec.OnDeadline = v1alpha1.Rollback }),
		approval.named("approval-before-the-step-has-passed").scripted(script(undecided, soon(5*time.Minute, approve))),
		approval.named("approval-of-a-paused-step").scripted(script(event{awaits, pause}, event{paused, approve}, soon(time.Hour, resume))),
		approval.named("approval-then-skip").scripted(script(undecided, soon(5*time.Minute, approve), soon(time.Minute, skip))),
		approval.named("pods-approval").with(replicaWeighted),
		story("approval-then-newer-push", third, promoted, script(event{awaits, declares(third)}, event{awaitsOrServes(third), approve})).with(needsApproval),
		rejection("approval-then-abort", script(event{awaits, commands(v1alpha1.ActionAbort)})).with(needsApproval),
		rejection("approval-as-a-trigger-fires", script(event{awaits, func(w *World) { w.fail(); approve(w) }})).with(needsApproval),

		stops.with(func(w *World) { w.spec.OnDeadline = v1alpha1.Rollback }),
		stops.named("pause-in-the-bake").scripted(script(event{baking, pause}, soon(3*time.Hour, resume))),
		stops.named("pause-before-the-run").scripted(script(event{held, pause}, soon(time.Hour, resume))),
		stops.named("pause-during-the-handover").scripted(script(event{beforeOwner, pause}, soon(3*time.Hour, resume))),
		// Whichever was first: the resume of what is not paused is refused.
		stops.named("pause-as-the-owner-changes").scripted(script(
			event{beforeOwner, func(w *World) { w.hooks["locked"] = pause }}, event{handing, func(*World) {}}, soon(time.Hour, resume))),
		stops.named("pause-then-upgrade").scripted(script(event{atStep(0), pause}, event{paused, upgrade}, event{waits, func(*World) {}}, soon(time.Hour, resume))),
		story("pause-then-newer-push", third, promoted, script(event{atStep(0), pause}, event{paused, declares(third)})),
		rejection("pause-then-abort", script(event{atStep(0), pause}, event{paused, commands(v1alpha1.ActionAbort)})),
		rejection("pause-then-a-trigger-fires", script(event{baking, pause}, event{paused, (*World).fail})),

		stops.named("pause-while-the-load-grows").scripted(grows(pause, resume)),
		stops.named("paused-by-the-spec-while-the-load-grows").scripted(grows(
			func(w *World) { w.pauseRollout(true) }, func(w *World) { w.pauseRollout(false) })),
		stops.named("pods-paused-while-the-load-grows").with(replicaWeighted).scripted(grows(pause, resume)),
	}
}

// awaitsApproval is while a step of that version waits for its approval.
func awaitsApproval(revision string) func(*World) bool {
	return func(w *World) bool {
		s := w.rollout.status.Step
		return s != nil && s.AwaitsApprovalSince != nil && w.rollout.status.Candidate.Revision == revision
	}
}

// awaitsOrServes is that, or once it is promoted: an edit of the steps meanwhile leaves nothing
// to approve.
func awaitsOrServes(revision string) func(*World) bool {
	return func(w *World) bool {
		s := w.rollout.status.Stable
		return awaitsApproval(revision)(w) || s != nil && s.Revision == revision
	}
}

// needsApproval has the first step need one.
func needsApproval(w *World) { w.spec.Steps[0].Approval = v1alpha1.ApprovalRequired }

// grows pauses at half of the requests and lets an autoscaler treble the Deployment: after a
// quarter of an hour the canary serves its half with as many pods as that takes.
func grows(pause, resume func(*World)) func() []event {
	return script(event{atStep(1), pause}, soon(time.Minute, resizes(12)), soon(15*time.Minute, func(w *World) {
		s := w.canary(w.rollout.status.Run)
		// What a disturbance has taken away meanwhile comes back after the pause.
		if step := w.rollout.status.Step; w.rollout.status.Phase == v1alpha1.PhaseStepping && s != nil && step.AcknowledgedAt != nil {
			need := int32(0)
			if n := w.network.split; n != nil {
				need = (*n*w.deployment.replicas + 99) / 100
			} else if w.traffic() == nil {
				need = w.podsFor(w.permitted)
			}
			if s.size < need {
				w.broken("paused, the canary has %d pods, and %d serve its weight", s.size, need)
			}
		}
		resume(w)
	}))
}
