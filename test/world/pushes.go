package world

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// unsettled lets a newer version end a run at once.
func unsettled(w *World) { w.spec.Settle.Duration = 0 }

// never is a story in which a revision must get no run.
func (s Story) never(revision string) Story { s.Never = revision; return s }

// rowsOfPushes declare several templates, one soon after the other: the newest wins.
func rowsOfPushes() []Story {
	var all []Story
	for _, s := range stages() {
		all = append(all, story("twice/"+s.name, fourth, promoted, s.inStage(declares(third), soon(time.Second, declares(fourth)))).never(third))
	}
	newer := func(more ...event) func() []event {
		return script(append([]event{{atStep(1), declares(third)}}, more...)...)
	}
	replaced := story("push-then-trigger", third, promoted, newer(soon(5*time.Second, (*World).fail)))
	replaced.Rejects = second
	return append(all,
		story("twice-in-a-second", third, promoted, script(soon(time.Second, declares(third)))).never(second),
		story("push-and-back", second, promoted, newer(soon(20*time.Second, declares(second)))).never(third),
		story("push-and-back-in-the-bake", second, promoted, script(event{baking, declares(third)}, soon(20*time.Second, declares(second)))).never(third),
		story("push-and-revert", first, cancelled, newer(soon(5*time.Second, declares(first)))).never(third),
		replaced,
		replaced.named("push-then-abort").scripted(newer(soon(5*time.Second, commands(v1alpha1.ActionAbort)))),
		story("push-as-the-load-grows", third, promoted, newer(soon(5*time.Second, resizes(12)))),
		story("pods-push-as-the-load-grows", third, promoted, newer(soon(5*time.Second, resizes(12)))).with(replicaWeighted),
		story("pushes-without-an-end", fourth, promoted, pushesWithoutAnEnd),
		story("pushes-before-a-run", fourth, promoted, func() []event {
			return append(script()(), pushedInARow(20, time.Second)...)
		}).never(second),
	)
}

// pushedInARow declares as many new revisions, ending with the fourth.
func pushedInARow(times int, apart time.Duration) []event {
	var events []event
	for i := range times - 1 {
		events = append(events, soon(apart, declares(fmt.Sprintf("e%09d", i))))
	}
	return append(events, soon(apart, declares(fourth)))
}

// pushesWithoutAnEnd come each 20 s, for ten minutes: after ten times spec.settle the first
// version serves no more, whichever is the newest then.
func pushesWithoutAnEnd() []event {
	late := event{func(w *World) bool {
		return w.at.Sub(w.playedAt) > 0 && w.at.Sub(w.start) > 5*time.Minute+30*time.Second
	}, func(w *World) {
		if s := w.rollout.status; s.Candidate.Revision == second && s.Phase == v1alpha1.PhaseStepping && len(w.disturbances) == 0 {
			w.broken("%s is still in its run %s after that began", second, w.at.Sub(s.RunStartedAt.Time))
		}
	}}
	events := append(script(event{atStep(0), declares(third)})(), pushedInARow(15, 20*time.Second)...)
	events = append(events, soon(20*time.Second, declares(third)), late)
	return append(events, pushedInARow(12, 20*time.Second)...)
}
