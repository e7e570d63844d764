package sim

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// judge looks at the world itself, not at what the controller knows of it, at
// every instant.
func (w *World) judge(*cluster) {
	for _, split := range w.inFlight {
		w.judgeSplit(split)
	}
	if w.status.IsRejected(w.canarySelects) != nil && w.status.Phase == v1alpha1.PhaseStepping {
		w.broken("rejected revision %s is on trial again", w.canarySelects)
	}
}

// judgeSplit: whichever of the splits in flight the gateway follows, it reaches
// a ready pod.
func (w *World) judgeSplit(split *int32) {
	if split == nil {
		if w.count(func(p pod) bool { return p.ready(w.at) }) == 0 {
			w.broken("the user's Service has no ready pod")
		}
		if w.takenBack() && w.count(func(p pod) bool { return p.canary && p.ready(w.at) }) > 0 {
			w.broken("the user's Service reaches a canary that was rolled back")
		}
		return
	}
	if *split > 0 {
		w.lastShare = w.at
		lost := w.lostUntil.Add(-5 * time.Minute)
		noticing := w.at.Before(w.lostUntil) && w.at.Sub(lost) < reaction
		if w.canaryEndpointsNow() == 0 && !noticing {
			w.broken("%d %% go to a canary without ready pods", *split)
		}
	}
	if *split < 100 && w.stableEndpointsNow() == 0 {
		w.broken("%d %% go to a stable side without ready pods", 100-*split)
	}
}

// reaction is how long the controller may take to notice, and the gateway to
// follow, at the worst: after a crash, without events, with an old view.
const reaction = lease + 20*time.Second

// takenBack holds from a rollback on that did not have to go through the user's
// Service: it must not reach the canary again.
func (w *World) takenBack() bool {
	switch r := w.status.Rollback; w.status.Phase {
	case v1alpha1.PhaseRolledBack:
		return true
	case v1alpha1.PhaseRollingBack:
		return r != nil && r.Outcome == v1alpha1.OutcomeRolledBack && !r.Restore && w.split == nil
	default:
		return false
	}
}

// The gateway keeps the old endpoints until it has the new ones, so a changed
// selector by itself takes nothing away.
func (w *World) stableEndpointsNow() int32 {
	return w.count(func(p pod) bool { return !p.canary && hashOf(p.revision) == w.stableHash && p.ready(w.at) })
}

func (w *World) canaryEndpointsNow() int32 {
	return w.count(func(p pod) bool { return p.canary && p.revision == w.canarySelects && p.ready(w.at) })
}

// judgeRemoval: pods go only once no request can reach them, and none has for
// the drain time. Behind the user's Service they go like any other pod.
func (w *World) judgeRemoval() {
	if w.split == nil && len(w.inFlight) == 1 {
		return
	}
	if idle := w.at.Sub(w.lastShare); idle < w.spec.Traffic.Drain.Duration {
		w.broken("the canary goes %s after its last request could arrive, drain is %s", idle, w.spec.Traffic.Drain.Duration)
	}
}
