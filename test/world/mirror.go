package world

import (
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// mirrorsFirst has a step before all others in which requests are copied to the candidate and
// nobody gets its answers.
func mirrorsFirst(w *World) {
	w.spec.Steps = slices.Concat([]v1alpha1.Step{{Name: "mirror", Mirror: 10, Hold: duration(time.Minute)}}, w.spec.Steps)
}

// mirrors are stories whose first step copies requests.
func mirrors() []Story {
	fail := (*World).fail
	promote := story("mirror", second, promoted, script()).with(mirrorsFirst)
	back := rejection("mirror-rollback", script(event{atStep(0), fail})).with(mirrorsFirst)
	return []Story{
		promote, back,
		promote.named("mirror-route-overwritten").scripted(script(event{atStep(0), func(w *World) { w.overwriteRoute() }})),
		promote.named("mirror-canary-lost").scripted(script(event{atStep(0), (*World).loseCanary})),
		promote.named("mirror-after-testers").with(testersFirst("x-canary")),
		promote.named("mirror-native").with(native),
		promote.named("mirror-gateway").with(func(w *World) { w.byService = true }),
		back.named("mirror-rollback-in-the-next-step").scripted(script(event{atStep(1), fail})),
		back.named("mirror-abort").scripted(script(event{atStep(0), commands(v1alpha1.ActionAbort)})),
		back.named("mirror-gateway-silent-in-rollback").scripted(script(
			event{atStep(0), func(w *World) { w.silenceGateway(); w.fail() }},
			event{stalled(v1alpha1.ReasonNotAcknowledged), (*World).speakGateway})).stalling(v1alpha1.ReasonNotAcknowledged).silent(),
		story("mirror-superseded", third, promoted, script(event{atStep(0), declares(third)})).with(mirrorsFirst),
		{Name: "mirror-deleted", Serves: first, Held: second, Script: script(event{atStep(0), (*World).deleteRollout}), Setup: mirrorsFirst},
	}
}
