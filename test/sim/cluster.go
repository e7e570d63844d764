// Package sim runs the planner against a simulated world: a Deployment, its
// controller and pods, a canary, a pair of Services, a route and the gateway
// that follows it, all in virtual time. No Kubernetes, no goroutine, no clock:
// a seed decides every delay, so that a failure repeats.
package sim

import (
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// pod of the Deployment or the canary. goes is when it begins to terminate, and
// end when it is gone; both are zero for one that stays.
type pod struct {
	canary    bool
	revision  string
	readyAt   time.Time
	goes, end time.Time
}

func (p pod) stays(at time.Time) bool  { return p.goes.IsZero() || at.Before(p.goes) }
func (p pod) ready(at time.Time) bool  { return p.stays(at) && !at.Before(p.readyAt) }
func (p pod) exists(at time.Time) bool { return p.end.IsZero() || at.Before(p.end) }

// cluster is everything outside of the Rollout. Each part has a version that
// rises with every write, as a stale writer's must fail.
type cluster struct {
	at time.Time

	declared string
	paused   bool
	replicas int32
	// rollsAt is when the Deployment controller acts on the newest declaration.
	rollsAt           time.Time
	deploymentVersion int
	// sets are the revisions that the Deployment has a ReplicaSet of.
	sets []string
	pods []pod

	canaryRevision string
	canaryReplicas int32
	canaryVersion  int

	// stableHash and canarySelects are what the pair of Services selects, from
	// selectsAt on also in their endpoints; empty when there is no such Service.
	stableHash, canarySelects string
	selectsAt                 time.Time

	// split is the route's; nil when it names the user's Service. Until
	// acknowledgedAt the gateway may follow any of inFlight.
	split          *int32
	inFlight       []*int32
	acknowledgedAt time.Time
	routeVersion   int
}

func (c *cluster) clone() *cluster {
	d := *c
	d.sets, d.pods, d.inFlight = slices.Clone(c.sets), slices.Clone(c.pods), slices.Clone(c.inFlight)
	return &d
}

func hashOf(revision string) string { return "hash-" + revision }

func (c *cluster) count(match func(pod) bool) int32 {
	var n int32
	for _, p := range c.pods {
		if match(p) {
			n++
		}
	}
	return n
}

func (c *cluster) readyOf(revision string) int32 {
	return c.count(func(p pod) bool { return !p.canary && p.revision == revision && p.ready(c.at) })
}

func (c *cluster) canaryReady() int32 {
	return c.count(func(p pod) bool { return p.canary && p.ready(c.at) })
}

// stableEndpoints counts what the stable Service reaches: pods of the Deployment
// and of the canary share its hash only when they run the same ReplicaSet.
func (c *cluster) stableEndpoints() int32 {
	if c.stableHash == "" || c.at.Before(c.selectsAt) {
		return 0
	}
	return c.count(func(p pod) bool { return !p.canary && hashOf(p.revision) == c.stableHash && p.ready(c.at) })
}

func (c *cluster) canaryEndpoints() int32 {
	if c.canarySelects == "" || c.at.Before(c.selectsAt) {
		return 0
	}
	return c.count(func(p pod) bool { return p.canary && p.revision == c.canarySelects && p.ready(c.at) })
}

// settled is workload.Settled as the Deployment's status would say it.
func (c *cluster) settled() bool {
	alive := c.count(func(p pod) bool { return !p.canary && p.stays(c.at) })
	return !c.at.Before(c.rollsAt) && c.readyOf(c.declared) == c.replicas && alive == c.replicas
}

// revision describes one version; its hash is known once a ReplicaSet runs it.
func (c *cluster) revision(name string) v1alpha1.Revision {
	r := v1alpha1.Revision{Revision: name, Image: "shop:" + name[:1]}
	if slices.Contains(c.sets, name) {
		r.PodTemplateHash, r.ReplicaSet = hashOf(name), "shop-"+hashOf(name)
	}
	return r
}

// workload is what observing the Deployment gives the planner.
func (c *cluster) workload(status *v1alpha1.RolloutStatus) plan.Workload {
	w := plan.Workload{Found: true, Declared: c.revision(c.declared), Paused: c.paused, Replicas: c.replicas, Settled: c.settled()}
	w.DeclaredHash, w.DeclaredReplicaSet = w.Declared.PodTemplateHash, w.Declared.ReplicaSet
	w.Declared.PodTemplateHash, w.Declared.ReplicaSet = "", ""
	w.DeclaredReady = c.readyOf(c.declared)
	w.Ready = c.count(func(p pod) bool { return !p.canary && p.ready(c.at) })
	active := 0
	for _, name := range c.sets {
		r, ready := c.revision(name), c.readyOf(name)
		if status.Stable != nil && status.Stable.PodTemplateHash == r.PodTemplateHash {
			w.StableReady = ready
		}
		if status.Candidate != nil && status.Candidate.Revision == name {
			w.CandidateHash, w.CandidateReplicaSet = r.PodTemplateHash, r.ReplicaSet
		}
		if ready > 0 {
			active++
			w.Active = &r
		}
	}
	if active != 1 {
		w.Active = nil
	}
	return w
}

func (c *cluster) canary(status *v1alpha1.RolloutStatus) plan.Canary {
	if status.Candidate == nil || status.Candidate.Revision != c.canaryRevision && c.canaryRevision != "" {
		return plan.Canary{}
	}
	own := func(p pod) bool { return p.canary && p.revision == status.Candidate.Revision && p.stays(c.at) }
	out := plan.Canary{Exists: c.canaryRevision != "", Desired: c.canaryReplicas, Pods: c.count(own)}
	if out.Exists {
		out.Ready = c.canaryReady()
	}
	return out
}

func (c *cluster) route() plan.Route {
	r := plan.Route{
		Acknowledged: !c.at.Before(c.acknowledgedAt), StableHash: c.stableHash, CanaryRevision: c.canarySelects,
		StableEndpoints: c.stableEndpoints(), CanaryEndpoints: c.canaryEndpoints(),
	}
	if c.split != nil {
		weight := *c.split
		r.Split = &weight
	}
	return r
}
