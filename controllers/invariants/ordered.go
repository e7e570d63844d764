package invariants

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// What is different of a StatefulSet, whose partition says how many of its own pods run the
// candidate.

func (c *check) ordered() bool { return c.in.Spec.WorkloadRef.Ordered() }

// orderedNeed is the number of pods a weight asks for: ceil(weight × N), at least one, and
// never all: the last one keeps the way back.
func (c *check) orderedNeed(weight int32) int32 {
	n := c.in.Workload.Replicas
	if n == 0 || weight == 0 {
		return 0
	}
	return max(1, min((weight*n+99)/100, n-1))
}

// partition: it gives the candidate what its step allows, all only once the bake has passed,
// and nothing at any time.
func (c *check) partition(size int32) {
	k, w := c.in.Canary, c.in.Workload
	if size == 0 {
		return
	}
	_, begins := plan.EffectOf[plan.CreateRun](c.d)
	c.require(c.in.Deleting == nil, "gives the candidate %d pods while being deleted", size)
	c.require(begins || c.in.Status.Phase.Armed() || c.lastPod() && byHandOver(c.d.Status.Promotion), "gives the candidate %d pods in phase %s", size, c.in.Status.Phase)
	c.require(w.Paused && c.declared() == c.tried(), "gives pods to another template than is held")
	c.require(!k.Handed, "gives pods to a candidate that runs alone")
	limit := c.need(100)
	switch {
	case c.lastPod():
		limit = w.Replicas
		c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "gives the candidate the last pod while a trigger fires")
		c.require(!c.paused(), "gives the candidate the last pod while paused")
	case c.d.Status.Phase == v1alpha1.PhaseStepping:
		limit = c.need(c.weightOf(c.d.Status.Step))
	}
	c.require(size <= limit, "gives the candidate %d of %d pods, %d are allowed", size, w.Replicas, limit)
	c.require(size >= k.Desired || size >= limit, "takes the candidate back to %d pods, its step gives it %d", size, limit)
}

// lastPod is whether the bake has passed, so that no pod has to keep the way back.
func (c *check) lastPod() bool {
	return c.ordered() && c.d.Status.Phase == v1alpha1.PhaseHandingOver
}

// replacement: pods go that run another version than they would be made in, and no more of
// those that serve at once than the StatefulSet's own strategy takes.
func (c *check) replacement(effect plan.Effect) {
	e, ok := effect.(plan.ReplacePods)
	if !ok {
		return
	}
	c.require(c.ordered() && len(e.Names) > 0, "deletes pods that no StatefulSet makes again: %q", e.Names)
	serving, known := int32(0), 0
	for _, p := range c.in.Canary.Misplaced {
		if slices.Contains(e.Names, p.Name) {
			known++
			if p.Ready {
				serving++
			}
		}
	}
	c.require(known == len(e.Names), "deletes %q, of which %d run the wrong version", e.Names, known)
	missing := max(0, c.in.Workload.Replicas-c.in.Route.ServiceEndpoints)
	c.require(serving == 0 || missing+serving <= max(1, c.in.Workload.MaxUnavailable), "deletes %d pods that serve while %d are missing", serving, missing)
}

// takenAtZero is whether all pods run what is declared without a decision: at 0 replicas
// Kubernetes takes it for the version that a StatefulSet runs.
func (c *check) takenAtZero() bool {
	a := c.in.Workload.Active
	return c.ordered() && (c.in.Canary.Handed || len(a) == 1 && a[0].Revision == c.declared())
}

// ofRun is whether a version's pods belong to the run in progress: a StatefulSet has no others.
func (c *check) ofRun(revision string) bool {
	return c.ordered() && c.in.Status.Phase.InRun() && revision == c.tried()
}
