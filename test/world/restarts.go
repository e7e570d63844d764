package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// restartable lists what the restarts of the stories change.
func restartable(w *World) {
	w.spec.RestartAnnotations = []string{"kubectl.kubernetes.io/restartedAt"}
}

// restart is a push of a restart, and what happens after it.
func restart(events ...event) func() []event {
	return func() []event { return append([]event{{guarded, declares(firstAgain)}}, events...) }
}

// restarts declare a version again, in nothing else than an annotation that the Rollout lists.
func restarts() []Story {
	fail := (*World).fail
	of := func(name string, serves string, ended v1alpha1.Outcome, events func() []event) Story {
		return story(name, serves, ended, events).with(restartable)
	}
	again := of("restart", firstAgain, promoted, restart()).skipping(firstAgain)
	failed := rejection("restart-fails", restart(event{baking, fail})).rejecting(firstAgain, first).with(restartable)
	rejected := rejection("restart-of-a-rejected-version", script(event{atStep(0), fail}, event{rolledBack, declares(secondAgain)})).
		rejecting(secondAgain, first).never(secondAgain).with(restartable)
	return []Story{
		again,
		failed, rejected,
		failed.named("restart-fails-twice").scripted(restart(event{baking, fail}, event{rolledBack, declares(firstThrice)}, event{atStep(1), fail})).rejecting(firstThrice, first).stepping(firstThrice),
		of("restart-is-mended", firstThrice, promoted, restart(event{baking, fail}, event{rolledBack, declares(firstThrice)})).stepping(firstThrice),
		of("restart-after-one-that-was-mended", firstOften, promoted, restart(event{baking, fail}, event{rolledBack, declares(firstThrice)}, event{promotedOnce, declares(firstOften)})).stepping(firstThrice).skipping(firstOften),
		of("restart-fails-and-is-retried", firstAgain, promoted, restart(event{baking, fail}, event{rolledBack, commands(v1alpha1.ActionRetry)})),
		of("restart-of-the-candidate", secondAgain, promoted, script(event{atStep(1), declares(secondAgain)})).stepping(secondAgain),
		of("restart-twice", firstThrice, promoted, restart(event{baking, declares(firstThrice)})).skipping(firstThrice),
		of("restart-undone", first, cancelled, restart(event{baking, declares(first)})),
		of("push-into-a-restart", second, promoted, restart(event{baking, declares(second)})),
		of("restart-then-push-then-back", firstAgain, promoted, restart(event{promotedOnce, declares(second)}, event{ended(2), declares(firstAgain)})).skipping(firstAgain),
		of("promote-where-restarts-are-listed", second, promoted, script()).stepping(second),
		of("restart-native", firstAgain, promoted, restart()).with(native).stepping(firstAgain),
		of("restart-not-listed", secondAgain, promoted, script(event{promotedOnce, declares(secondAgain)})).with(func(w *World) { w.spec.RestartAnnotations = nil }).stepping(secondAgain),
		again.named("pods-restart").with(replicaWeighted),
		failed.named("pods-restart-fails").with(replicaWeighted),
		rejected.named("pods-restart-of-a-rejected-version").with(replicaWeighted),
		of("restart-paused", firstAgain, promoted, restart(event{baking, commands(v1alpha1.ActionPause)}, soon(10*time.Minute, commands(v1alpha1.ActionResume)))),
	}
}

// skipping is a story in which the run of a revision takes no step.
func (s Story) skipping(revision string) Story {
	return s.watching(revision, func() func(*World, v1alpha1.Phase) {
		return func(w *World, phase v1alpha1.Phase) {
			if phase == v1alpha1.PhaseStepping {
				w.broken("the restart %s takes a step", revision)
			}
		}
	})
}

// stepping is a story in which a revision is promoted by its steps.
func (s Story) stepping(revision string) Story {
	return s.watching(revision, func() func(*World, v1alpha1.Phase) {
		stepped := false
		return func(w *World, phase v1alpha1.Phase) {
			stepped = stepped || phase == v1alpha1.PhaseStepping
			if phase == v1alpha1.PhaseBaking && !stepped {
				w.broken("%s bakes without a step", revision)
			}
		}
	})
}

// watching looks, in each world by an observer of its own, at the phases in which a revision is
// the candidate.
func (s Story) watching(revision string, observer func() func(*World, v1alpha1.Phase)) Story {
	return s.with(func(w *World) {
		before, look := w.trace, observer()
		w.trace = func(w *World) {
			if before != nil {
				before(w)
			}
			if st := w.rollout.status; st.Candidate != nil && st.Candidate.Revision == revision {
				look(w, st.Phase)
			}
		}
	})
}
