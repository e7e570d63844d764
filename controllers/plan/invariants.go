package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// SelfCheck looks for states that no decision may leave behind. It returns what
// is wrong, or nothing. The planner's tests use the same checks.
func SelfCheck(in Input) string {
	if in.Route.Split == nil || !in.Workload.Found {
		return ""
	}
	weight := *in.Route.Split
	switch {
	case in.Status.Phase == v1alpha1.PhaseStepping && in.Status.Step != nil && weight > newFacts(in).stepWeight() && !in.Route.Mixed:
		return fmt.Sprintf("the canary has %d %% of the requests, more than the step under test allows", weight)
	case weight > 0 && in.Route.CanaryEndpoints == 0 && in.Route.StableEndpoints > 0 && in.Route.Acknowledged:
		return fmt.Sprintf("the canary has %d %% of the requests and no ready endpoint", weight)
	case weight < 100 && in.Route.StableEndpoints == 0 && in.Route.ServiceEndpoints > 0 && in.Route.Acknowledged && in.Workload.Replicas > 0:
		return fmt.Sprintf("stable has %d %% of the requests and no ready endpoint, although Service %s has %d", 100-weight, in.Spec.Traffic.Service, in.Route.ServiceEndpoints)
	case (in.Status.Phase == v1alpha1.PhaseStable || in.Status.Phase == v1alpha1.PhaseRolledBack) && weight > 0:
		return fmt.Sprintf("no run is in progress, but the canary has %d %% of the requests", weight)
	}
	return ""
}
