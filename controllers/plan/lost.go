package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about requests that nobody answers, and shares that no run explains.

// leftover is a share without a run: of a Rollout that was removed by force, or of
// an old copy of the route that somebody applied.
func leftover(f *facts) bool {
	return f.in.Route.Split != nil && !f.in.Route.ServiceMissing && f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseRolledBack)
}

func releaseLeftover(f *facts) Decision {
	return f.doing(v1alpha1.ReasonProgressing, "no run is in progress: the routes go back to Service "+f.in.Spec.Traffic.Service, ReleaseRoute{})
}

// canaryLost holds while a share goes to a canary that has no endpoint left, and
// there are stable ones: every one of those requests fails.
func canaryLost(f *facts) bool {
	taking := stepping(f) || promoting(f) && !f.mayRoll()
	return taking && f.observedWeight() > 0 && f.in.Route.CanaryEndpoints == 0 &&
		f.in.Route.StableEndpoints > 0 && f.in.Route.StableHash == f.stableHash()
}

func takeFromLost(f *facts) Decision {
	d := f.setWeight(0, fmt.Sprintf("%s: the canary has %d %% and no ready endpoint: everything goes to stable until it has", f.whereStage(), f.observedWeight()))
	if d.Status.Promotion != nil {
		d.Status.Promotion.FullAt = nil
	}
	return d
}

// canaryLostWhileRolling is the same while the Deployment replaces its pods: the
// user's Service reaches every one of them that is ready.
func canaryLostWhileRolling(f *facts) bool {
	return f.mayRoll() && f.observedWeight() > 0 && f.in.Route.CanaryEndpoints == 0 &&
		f.in.Workload.Ready > 0 && !f.in.Route.ServiceMissing && f.in.Route.StableHash == f.stableHash()
}

func releaseFromLost(f *facts) Decision {
	return f.doing(v1alpha1.ReasonPromoting, "promotion: the canary has no ready endpoint left: the routes go to Service "+f.in.Spec.Traffic.Service, ReleaseRoute{})
}
