package invariants

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// states are the invariants of what was observed. Between a change of the world and
// the decision that answers it they may not hold for a moment.
var states = []struct {
	name string
	// broken says what is wrong; empty when it holds.
	broken func(*check) string
}{
	{"SideHasEndpoints", (*check).sideWithoutEndpoints},
	{"WeightWithinStep", (*check).weightBeyondStep},
	{"RejectedNeverServes", (*check).rejectedServes},
	{"RoutesAtRest", (*check).routesAtRest},
	{"OnlyStableIsActive", (*check).otherActive},
}

// Observed returns what is wrong with the state that was observed, or nothing.
func Observed(in plan.Input) []Violation {
	if !in.Workload.Found || in.Status.Stable == nil {
		return nil
	}
	c := &check{in: in}
	for _, i := range states {
		if message := i.broken(c); message != "" {
			c.out = append(c.out, Violation{i.name, message})
		}
	}
	return c.out
}

// sideWithoutEndpoints: no side that takes requests is without endpoints while
// another way to serve exists. Until the gateway has acknowledged the routes, and
// while the Deployment wants no pods, nobody can say.
func (c *check) sideWithoutEndpoints() string {
	r := c.in.Route
	if r.Split == nil || !r.Acknowledged {
		return ""
	}
	weight := *r.Split
	switch {
	case c.extraSent() && r.CanaryEndpoints == 0 && r.StableEndpoints > 0:
		return fmt.Sprintf("%s reach the canary, which has no ready endpoint, stable has %d", sent(r.Testers, r.Mirror), r.StableEndpoints)
	case weight > 0 && r.CanaryEndpoints == 0 && r.StableEndpoints > 0:
		return fmt.Sprintf("the canary has %d %% of the requests and no ready endpoint, stable has %d", weight, r.StableEndpoints)
	case weight < 100 && r.StableEndpoints == 0 && r.ServiceEndpoints > 0 && c.in.Workload.Replicas > 0:
		return fmt.Sprintf("stable has %d %% of the requests and no ready endpoint, although Service %s has %d", 100-weight, c.service(), r.ServiceEndpoints)
	}
	return ""
}

// weightBeyondStep: the canary never has more than the step allows. Routes that
// disagree are a state of their own. Where pods are the weight an autoscaler's change
// of the Deployment moves it: there the decision that answers is held to it.
func (c *check) weightBeyondStep() string {
	r := c.in.Route
	if c.in.Status.Phase != v1alpha1.PhaseStepping || c.in.Status.Step == nil || r.Split == nil || r.Mixed {
		return ""
	}
	// What the step before asked for goes with the change to the weight of this one.
	if c.extraSent() && !c.named(r.Testers, r.Mirror, 0) && !c.named(r.Testers, r.Mirror, 1) {
		return fmt.Sprintf("%s reach the canary, which neither the step names nor the one before", sent(r.Testers, r.Mirror))
	}
	if *r.Split <= c.stepWeight() {
		return ""
	}
	return fmt.Sprintf("the canary has %d %% of the requests, the step allows %d %%", *r.Split, c.stepWeight())
}

// rejectedServes: a rejected revision never serves. A bypass lets it serve, and is
// seen as a Deployment that is not paused or a handover in mode Bypass. A StatefulSet that
// was scaled to 0 starts what it declares, which nothing holds.
func (c *check) rejectedServes() string {
	if !c.in.Workload.Paused || c.in.Status.Phase == v1alpha1.PhaseHandingOver || c.forgotten() {
		return ""
	}
	for _, s := range c.in.Workload.Active {
		if s.Ready > 0 && s.Revision != c.stable() && c.in.Status.IsRejected(s.Revision) != nil {
			return fmt.Sprintf("%d ready pods of ReplicaSet %s run the rejected revision %s", s.Ready, s.Name, s.Revision)
		}
	}
	return ""
}

// routesAtRest: the routes and the user's Service are as they were when no run is
// in progress. A Service that somebody else made unusable is that one's.
func (c *check) routesAtRest() string {
	p, r := c.in.Status.Phase, c.in.Route
	rest := p == v1alpha1.PhaseStable || p == v1alpha1.PhaseGating || p == v1alpha1.PhaseRolledBack
	switch {
	case !rest || c.in.Deleting != nil || r.Fault.Reason != "":
		return ""
	case r.Split != nil:
		return fmt.Sprintf("no run is in progress, and the routes give the canary %d %% of the requests", *r.Split)
	case r.Narrowed != "":
		return fmt.Sprintf("no run is in progress, and Service %s selects pods with hash %s alone", c.service(), r.Narrowed)
	}
	return ""
}

// otherActive: the Deployment runs stable and nothing else outside of a handover.
// One that is not paused rolls to what its declared template says, by a bypass or
// back to stable; a canary that the Deployment owns is a handover that was faster
// than a rollback, or goes back to its run.
func (c *check) otherActive() string {
	if c.in.Status.Phase == v1alpha1.PhaseHandingOver || !c.in.Workload.Paused || c.in.Canary.Handed || c.in.Canary.Adopted != "" || c.forgotten() {
		return ""
	}
	for _, s := range c.in.Workload.Active {
		if s.Revision != c.stable() {
			return fmt.Sprintf("ReplicaSet %s has %d pods of revision %s, stable is %s", s.Name, s.Desired, s.Revision, c.stable())
		}
	}
	return ""
}
