package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// attended lets the controller be away for ten minutes at most.
func attended(w *World) { w.spec.Unattended = duration(10 * time.Minute) }

func attendedOrHeld(w *World) {
	attended(w)
	w.spec.OnUnattended = v1alpha1.Hold
}

// unattended are absences of the controller in a run.
func unattended() []Story {
	const long, short = 15 * time.Minute, 5 * time.Minute
	held := story("unattended-holds", second, promoted, script(event{atStep(1), away(long)}, event{pausedAt(second), commands(v1alpha1.ActionResume)})).with(attendedOrHeld)
	return []Story{
		rejection("unattended-in-a-step", script(event{atStep(0), away(long)})).with(attended),
		rejection("unattended-in-a-bake", script(event{baking, away(long)})).with(attended),
		rejection("unattended-while-paused", script(event{atStep(1), commands(v1alpha1.ActionPause)}, soon(time.Minute, away(long)))).with(attended),
		held,
		held.named("pods-unattended-holds").with(replicaWeighted),
		story("unattended-for-a-moment", second, promoted, script(event{atStep(0), away(short)})).with(attended),
		story("unattended-where-nobody-minds", second, promoted, script(event{atStep(0), away(long)})),
	}
}

// pausedAt is while a revision is paused, by a command or by spec.unattended.
func pausedAt(revision string) func(*World) bool {
	return func(w *World) bool {
		p := w.rollout.status.CommandedPause()
		return p != nil && p.Revision == revision
	}
}
