package world

import (
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// The outcomes and phases that stories name most.
const (
	stable     = v1alpha1.PhaseStable
	promoted   = v1alpha1.OutcomePromoted
	cancelled  = v1alpha1.OutcomeCancelled
	superseded = v1alpha1.OutcomeSuperseded
)

// script is a push, and what happens after it.
func script(events ...event) func() []event {
	return func() []event { return append([]event{push}, events...) }
}

// story is one that ends with a version in service.
func story(name, serves string, ended v1alpha1.Outcome, events func() []event) Story {
	return Story{Name: name, Serves: serves, Phase: stable, Ended: ended, Script: events}
}

// rejection is a story that ends with the second revision held and rejected.
func rejection(name string, events func() []event) Story {
	return Story{Name: name, Serves: first, Phase: v1alpha1.PhaseRolledBack, Rejects: second, Held: second, Ended: v1alpha1.OutcomeRolledBack, Script: events}
}

func (s Story) with(setup func(*World)) Story {
	before := s.Setup
	s.Setup = func(w *World) {
		if before != nil {
			before(w)
		}
		setup(w)
	}
	return s
}

func (s Story) stalling(reason string) Story { s.Stalls = reason; return s }

// named gives a story another name.
func (s Story) named(name string) Story { s.Name = name; return s }

// Stories are one release each, told to its end.
func Stories() []Story {
	var all []Story
	for _, some := range [][]Story{releases(), rollbacks(), observations(), pushes(), emergencies(), sizes(), natives(), neighbours(), formers(), byPods(), byServices(), changesOfTraffic(), lateTroubles(), checks(), commanded(), restarts(), unattended(), freezes(), testers(), previews(), mirrors(), byOrdinals()} {
		all = append(all, some...)
	}
	return all
}

// releases end with the new version promoted.
func releases() []Story {
	promote := story("promote", second, promoted, script())
	return []Story{
		promote.told(),
		promote.named("promote-recreate").with(recreate),
		promote.named("promote-one-replica").with(replicas(1)),
		promote.named("promote-many-replicas").with(replicas(40)),
		promote.named("promote-min-ready").with(func(w *World) { w.deployment.minReady = 20 * time.Second }),
		promote.named("promote-direct-callers").with(directCallers),
		promote.named("promote-no-history").with(history(0)),
		story("canary-lost", second, promoted, script(event{atStep(1), (*World).loseCanary})),
		story("canary-lost-while-promoting", second, promoted, script(event{promoting, (*World).loseCanary})),
		story("canary-lost-in-bake", second, promoted, script(event{baking, (*World).loseCanary})),
		story("stable-pod-lost", second, promoted, nil).told(Scene{whileStep(1), func(b Backend) { b.LosePod(first) }}),
		story("canary-pod-lost-in-bake", second, promoted, script(event{baking, func(w *World) { w.losePod(second) }})),
		story("blind-then-on", second, promoted, script(event{atStep(0), func(w *World) { w.blindUntil = w.at.Add(10 * time.Minute) }})),
		story("route-overwritten", second, promoted, nil).told(Scene{whileStep(0), Backend.OverwriteRoute}, Scene{whileBaking, Backend.OverwriteRoute}),
		promote.named("selector-stripped").with(directCallers).scripted(script(event{atStep(0), (*World).stripSelector}, event{baking, (*World).stripSelector})),
		promote.named("selector-stripped-for-good").with(directCallers).scripted(script(
			event{atStep(0), (*World).stripSelector}, soon(20*time.Second, (*World).stripSelector), soon(20*time.Second, (*World).stripSelector),
			event{baking, func(*World) {}})),
		story("push-while-locked", third, promoted, script(event{func(w *World) bool { return w.deployment.lock != "" }, declares(third)})),
		story("fast-revert", first, promoted, nil).told(Scene{onceServing, func(b Backend) { b.Declare(first) }}),
		story("fast-revert-in-a-run", first, promoted, script(event{promotedOnce, declares(third)}, event{atStep(0), declares(first)})),
		story("revert-to-an-older-version", first, promoted, revertToOlder),
	}
}

func (s Story) scripted(events func() []event) Story {
	s.Script, s.Scenes = events, nil
	return s
}

// revertToOlder promotes two versions, and declares the first again, which is not
// one that returns without steps.
func revertToOlder() []event {
	return script(event{promotedOnce, declares(third)}, event{ended(2), declares(first)})()
}

func recreate(w *World) { w.deployment.recreate = true }

func replicas(n int32) func(*World) { return func(w *World) { w.deployment.replicas = n } }

func history(n int32) func(*World) { return func(w *World) { w.deployment.history = n } }

func directCallers(w *World) { w.spec.Traffic.DirectCallers = v1alpha1.DirectCallersStable }

func native(w *World) { w.spec.Promotion.Mode = v1alpha1.PromotionNative }

// rollbacks end with the new version rejected.
func rollbacks() []Story {
	fail := (*World).fail
	inStep := rejection("rollback-in-step", script(event{atStep(1), fail}))
	inBake := rejection("rollback-in-bake", script(event{baking, fail}))
	deadline := inStep.named("rollback-at-deadline").scripted(script(event{atStep(0), func(w *World) { w.blindUntil = w.at.Add(3 * time.Hour) }}))
	return []Story{
		inStep.told(Scene{whileStep(1), Backend.Fail}), inBake.told(Scene{whileBaking, Backend.Fail}),
		inBake.named("rollback-from-a-bake-that-shrank").scripted(script(event{baking, resizes(2)}, soon(time.Minute, fail))),
		rejection("rollback-at-once", script(event{inPhase(v1alpha1.PhaseStepping), fail})),
		rejection("rollback-while-promoting", script(event{promoting, fail})),
		rejection("rollback-before-the-owner-changes", script(event{beforeOwner, fail})),
		inBake.named("rollback-recreate").with(recreate),
		inBake.named("rollback-one-replica").with(replicas(1)),
		inStep.named("rollback-direct-callers-in-step").with(directCallers),
		inBake.named("rollback-direct-callers-in-bake").with(directCallers),
		rejection("rollback-direct-callers-handing-over", script(event{beforeOwner, fail})).with(directCallers),
		deadline.with(func(w *World) { w.spec.OnDeadline = v1alpha1.Rollback }),
		rejection("abort", nil).told(Scene{whileStep(0), func(b Backend) { b.Command(v1alpha1.ActionAbort) }}),
		rejection("abort-while-held", script(event{held, commands(v1alpha1.ActionAbort)})).ending(""),
		story("abort-and-retry", second, promoted, script(event{atStep(0), commands(v1alpha1.ActionAbort)}, event{rolledBack, commands(v1alpha1.ActionRetry)})),
		{Name: "reject-then-fix", Serves: third, Phase: stable, Ended: promoted, Rejects: second, Script: script(event{atStep(0), fail}, event{rolledBack, declares(third)})},
		{Name: "reject-then-undo", Serves: first, Phase: stable, Rejects: second, Script: script(event{baking, fail}, event{rolledBack, declares(first)})},
		rejection("reject-then-push-again", script(event{atStep(0), fail}, event{rolledBack, declares(first)}, event{guarded, declares(second)})),
		rejection("borrowed-then-rejected", func() []event {
			return append(revertToOlder(), event{func(w *World) bool { return atStep(0)(w) && w.rollout.status.Candidate.Revision == first }, fail})
		}).rejecting(first, third),
		rejection("gateway-silent-in-rollback", script(
			event{atStep(1), func(w *World) { w.silenceGateway(); w.fail() }},
			event{stalled(v1alpha1.ReasonNotAcknowledged), (*World).speakGateway})).stalling(v1alpha1.ReasonNotAcknowledged).silent(),
		story("gateway-silent-in-handover", second, promoted, script(
			event{afterOwner, (*World).silenceGateway}, event{stalled(v1alpha1.ReasonDeadlineExceeded), (*World).speakGateway})).stalling(v1alpha1.ReasonDeadlineExceeded).silent(),
		rejection("pod-lost-while-rolling-back", script(event{baking, fail}, event{goingBack, func(w *World) { w.losePod(first) }})),
		rejection("trigger-fires-once-handing-over", script(event{handing, (*World).fail})).orPromotes(),
		Story{Name: "deleted-once-handing-over", Serves: first, Script: script(event{handing, (*World).deleteRollout})}.orPromotes(),
		rejection("trigger-fires-at-the-handover", script(event{beforeOwner, func(w *World) { w.hooks["locked"] = (*World).fail }})).orPromotes(),
	}
}

// observations have a trigger in mode Observe, which decides nothing.
func observations() []Story {
	slow := (*World).failObserved
	fails := story("observed-fail", second, promoted, script(event{atStep(1), slow}))
	return []Story{
		fails.with(observed).saying("; would have rolled back: shop/slow at step 2 of 2, weight 50 %; would have held: shop/slow at step 1 of 2"),
		fails.named("observed-fail-alone").with(func(w *World) { w.observer, w.observeOnly = true, true }),
		fails.named("observed-fail-native").with(observed).with(native),
		story("observed-undecided", second, promoted, script()).with(observed).saying("promoted shop:b; would have held: shop/slow at step 1 of 2, weight 10 % (TooFewSamples)"),
		story("observed-blind", second, promoted, script(event{atStep(0), (*World).blindObserved})).with(observed),
		rejection("observed-fail-then-rollback", script(event{atStep(0), slow}, event{atStep(1), (*World).fail})).with(observed),
	}
}

func observed(w *World) { w.observer = true }

func (s Story) saying(says string) Story { s.Says = says; return s }

// stalled is once a standing with this reason was shown.
func stalled(reason string) func(*World) bool {
	return func(w *World) bool { return slices.Contains(w.stalls, reason) }
}

// silent marks a story whose own gateway is silent for a while.
func (s Story) silent() Story { s.silentGateway = true; return s }

func (s Story) ending(outcome v1alpha1.Outcome) Story { s.Ended = outcome; return s }

// rejecting is for another revision than the second, held while another serves.
func (s Story) rejecting(rejected, serves string) Story {
	s.Rejects, s.Held, s.Serves = rejected, rejected, serves
	return s
}

// orPromotes is a story that may also end with the second version promoted, as the
// trigger may fire too late.
func (s Story) orPromotes() Story {
	s.Or, s.Rejects, s.Ended = second, "", ""
	return s
}
