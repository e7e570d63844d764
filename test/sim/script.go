package sim

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Story is a script with the end that every run of it must reach, whatever
// crashes, is late or is lost on the way.
type Story struct {
	Name   string
	Script func() []event
	// Serves is the revision that all requests reach in the end, and Phase the
	// Rollout's; empty when the Rollout is gone.
	Serves string
	Phase  v1alpha1.Phase
	// Rejects is a revision that must not run again by itself; empty for none.
	Rejects string
}

// Stories are one release each, told to its end.
func Stories() []Story {
	return []Story{
		{Name: "promote", Serves: second, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push}
		}},
		{Name: "canary-lost", Serves: second, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {atStep(1), (*World).loseCanary}}
		}},
		{Name: "canary-lost-while-promoting", Serves: second, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {inPhase(v1alpha1.PhasePromoting), (*World).loseCanary}}
		}},
		{Name: "canary-lost-while-rolling", Serves: second, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {rollingOut, (*World).loseCanary}}
		}},
		{Name: "rollback-slo", Serves: first, Phase: v1alpha1.PhaseRolledBack, Rejects: second, Script: func() []event {
			return []event{push, {atStep(1), fail}}
		}},
		{Name: "rollback-while-promoting", Serves: first, Phase: v1alpha1.PhaseRolledBack, Rejects: second, Script: func() []event {
			return []event{push, {inPhase(v1alpha1.PhasePromoting), fail}}
		}},
		{Name: "rollback-while-baking", Serves: first, Phase: v1alpha1.PhaseStable, Rejects: second, Script: func() []event {
			return []event{push, {inPhase(v1alpha1.PhaseBaking), fail}}
		}},
		{Name: "abort", Serves: first, Phase: v1alpha1.PhaseRolledBack, Rejects: second, Script: func() []event {
			return []event{push, {atStep(0), command(v1alpha1.ActionAbort)}}
		}},
		{Name: "abort-and-retry", Serves: second, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {atStep(0), command(v1alpha1.ActionAbort)}, {inPhase(v1alpha1.PhaseRolledBack), command(v1alpha1.ActionRetry)}}
		}},
		{Name: "blind-then-on", Serves: second, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {atStep(0), func(w *World) { w.blindUntil = w.at.Add(10 * time.Minute) }}}
		}},
		{Name: "supersede", Serves: third, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {atStep(1), func(w *World) { w.declare(third) }}}
		}},
		{Name: "supersede-while-promoting", Serves: third, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {inPhase(v1alpha1.PhasePromoting), func(w *World) { w.declare(third) }}}
		}},
		{Name: "revert", Serves: first, Phase: v1alpha1.PhaseStable, Script: func() []event {
			return []event{push, {atStep(1), func(w *World) { w.declare(first) }}}
		}},
		{Name: "delete-mid-step", Serves: first, Script: func() []event {
			return []event{push, {atStep(1), remove}}
		}},
		{Name: "delete-while-promoting", Script: func() []event {
			return []event{push, {inPhase(v1alpha1.PhasePromoting), remove}}
		}},
	}
}

// push declares the second revision once the Rollout serves the first.
var push = event{inPhase(v1alpha1.PhaseStable), func(w *World) { w.declare(second) }}

func inPhase(phase v1alpha1.Phase) func(*World) bool {
	return func(w *World) bool { return w.status.Phase == phase }
}

// rollingOut is while the Deployment of a promotion replaces its pods.
func rollingOut(w *World) bool {
	return w.status.Phase == v1alpha1.PhasePromoting && !w.paused && !w.settled()
}

// atStep is while the step's weight stands.
func atStep(index int32) func(*World) bool {
	return func(w *World) bool {
		s := w.status.Step
		return w.status.Phase == v1alpha1.PhaseStepping && s != nil && s.Index == index && s.AcknowledgedAt != nil
	}
}

func fail(w *World) { w.failing = w.status.Run }

func remove(w *World) { at := w.at; w.deleting = &at }

func command(action v1alpha1.Action) func(*World) {
	return func(w *World) {
		revision := ""
		if w.status.Candidate != nil && action == v1alpha1.ActionRetry {
			revision = w.status.Candidate.Revision
		}
		w.action = &plan.Action{Action: action, Token: string(action), Revision: revision, By: "alice", Reason: "a test"}
	}
}

// Ends reports what is wrong with where a story has come to.
func (s Story) Ends(w *World) []string {
	wrong := w.violations
	expect := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, "in the end "+what)
		}
	}
	expect(w.status.Phase == s.Phase || s.Phase == "", "the phase is "+string(w.status.Phase))
	expect(w.gone == (s.Phase == ""), "the Rollout is there, or gone, unlike the story")
	expect(w.split == nil, "the route does not name the user's Service")
	expect(w.canaryRevision == "", "the canary is left")
	if s.Serves != "" {
		expect(w.readyOf(s.Serves) == w.replicas, "not every replica runs "+s.Serves)
	}
	if s.Rejects != "" {
		expect(w.status.IsRejected(s.Rejects) != nil, "revision "+s.Rejects+" is not rejected")
	}
	return wrong
}
