package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// countedByService reports why the trigger's indicator by Service says nothing, as the judge
// does: it reads a gateway's counters, which name the Service that a request was sent to. In a
// handover the user's Service counts for the candidate.
func (w *World) countedByService(status *v1alpha1.RolloutStatus, judged time.Time) (reason, message string) {
	_, canary := v1alpha1.PairNames("shop")
	n := &w.network
	sends := n.sends()
	if !n.acknowledged(judged) {
		for _, may := range n.inFlight {
			sends = sends || may.sends()
		}
	}
	switch {
	case w.spec.Traffic == nil:
		return "NotRouted", "the indicator counts by Service, and the Rollout has no spec.traffic, so it has no stable and canary Service: set spec.traffic, or count by Pod"
	case !sends && status.Phase != v1alpha1.PhaseHandingOver:
		return "NoTraffic", "the gateway has sent nothing to Service " + canary
	default:
		return "", ""
	}
}

// byServices are stories whose trigger is judged by a gateway's counters.
func byServices() []Story {
	promote := story("gateway", second, promoted, script())
	fail := (*World).fail
	held := script(event{atStep(0), func(*World) {}}, soon(10*time.Minute, commands(v1alpha1.ActionAbort)))
	all := []Story{
		promote, promote.named("gateway-native").with(native),
		rejection("gateway-rollback-in-step", script(event{atStep(1), fail})),
		rejection("gateway-rollback-in-bake", script(event{baking, fail})),
		// Where a gateway sends the canary nothing, and without spec.traffic, nothing can be
		// counted: the run holds until somebody ends it.
		rejection("gateway-weight-0", held).with(func(w *World) { w.spec.Steps[0].Weight = 0 }),
		rejection("gateway-not-routed", held).with(replicaWeighted),
	}
	for i := range all {
		all[i] = all[i].with(func(w *World) { w.byService = true })
	}
	return all
}
