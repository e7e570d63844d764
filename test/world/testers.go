package world

import (
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// header is a match of the requests with a header of this name.
func header(name string) *v1alpha1.StepMatch {
	return &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Type: v1alpha1.MatchExact, Name: name, Value: "1"}}}
}

// testersFirst has steps for testers before all others, in which nobody else reaches the
// candidate.
func testersFirst(names ...string) func(*World) {
	return func(w *World) {
		var first []v1alpha1.Step
		for _, name := range names {
			first = append(first, v1alpha1.Step{Name: "testers", Match: header(name), Hold: duration(time.Minute)})
		}
		w.spec.Steps = slices.Concat(first, w.spec.Steps)
	}
}

// testers are stories whose first step is for them.
func testers() []Story {
	fail := (*World).fail
	promote := story("testers", second, promoted, script()).with(testersFirst("x-canary"))
	back := rejection("testers-rollback", script(event{atStep(0), fail})).with(testersFirst("x-canary"))
	return []Story{
		promote, back,
		promote.named("testers-twice").with(testersFirst("x-first")),
		promote.named("testers-beside-a-weight").with(func(w *World) { w.spec.Steps[1].Match = header("x-canary") }),
		promote.named("testers-route-overwritten").scripted(script(event{atStep(0), func(w *World) { w.overwriteRoute() }})),
		promote.named("testers-canary-lost").scripted(script(event{atStep(0), (*World).loseCanary})),
		promote.named("testers-direct-callers").with(directCallers),
		promote.named("testers-native").with(native),
		promote.named("testers-gateway").with(func(w *World) { w.byService = true }),
		back.named("testers-rollback-in-the-next-step").scripted(script(event{atStep(1), fail})),
		back.named("testers-abort").scripted(script(event{atStep(0), commands(v1alpha1.ActionAbort)})),
		back.named("testers-gateway-silent-in-rollback").scripted(script(
			event{atStep(0), func(w *World) { w.silenceGateway(); w.fail() }},
			event{stalled(v1alpha1.ReasonNotAcknowledged), (*World).speakGateway})).stalling(v1alpha1.ReasonNotAcknowledged).silent(),
		story("testers-superseded", third, promoted, script(event{atStep(0), declares(third)})).with(testersFirst("x-canary")),
		{Name: "testers-deleted", Serves: first, Held: second, Script: script(event{atStep(0), (*World).deleteRollout}), Setup: testersFirst("x-canary")},
	}
}
