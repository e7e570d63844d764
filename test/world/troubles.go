package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// lateTroubles come at the end of a run: 0 replicas just before the owner changes, and an
// API server that takes no write of the routes any more.
func lateTroubles() []Story {
	toZero := story("handover-to-zero-and-back", second, promoted, stage{at: beforeOwner}.inStage(resizes(0), soon(3*time.Minute, resizes(4)))).with(mayBeDown)
	narrowedToCanary := func(w *World) bool { return baking(w) && w.network.narrowed == second }
	return []Story{
		toZero, toZero.named("handover-to-zero-and-back-direct-callers").with(directCallers), toZero.named("pods-handover-to-zero-and-back").with(replicaWeighted),
		story("routes-refused-in-handover", second, promoted, script(event{afterOwner, refuseRoutes}, soon(5*time.Minute, takeRoutes))).
			stalling(v1alpha1.ReasonRefused).silent(),
		rejection("routes-refused-in-rollback", script(event{narrowedToCanary, func(w *World) {
			w.fail()
			refuseRoutes(w)
		}}, event{func(w *World) bool { return w.network.narrowed == "hash-"+first }, nothing}, soon(5*time.Minute, takeRoutes))).
			with(directCallers).stalling(v1alpha1.ReasonRefused).silent(),
	}
}

func refuseRoutes(w *World) { w.routesRefused = true }

func takeRoutes(w *World) {
	w.routesRefused = false
	w.excuse(reaction)
}
