package invariants

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// ordered is whether the workload is a StatefulSet, whose pods are replaced in place.
func (c *check) ordered() bool { return c.in.Spec.WorkloadRef.Kind == v1alpha1.KindStatefulSet }

// places: a StatefulSet's partition leaves the candidate no more pods than its stage allows,
// and not all of them before the bake has passed: from then on nothing leads back.
func (c *check) places(pods int32) {
	k, n := c.in.Canary, c.in.Workload.Replicas
	if pods == 0 {
		c.require(!c.in.Workload.Held, "raises a partition that holds every pod")
		c.require(c.in.Status.Phase == v1alpha1.PhaseRollingBack || c.in.Deleting != nil || c.declared() != c.stable(), "holds back the stable version")
		return
	}
	limit := c.need(100)
	switch c.d.Status.Phase {
	case v1alpha1.PhaseStepping:
		limit = c.need(c.weightOf(c.d.Status.Step))
	case v1alpha1.PhaseHandingOver:
		limit = n
		c.require(c.elapsed(c.before().FullAt, c.in.Spec.Promotion.Bake.Duration), "gives the last pod to a version whose bake has not passed")
		c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass, "gives the last pod to a version on verdict %q", c.in.Verdict.Outcome)
	}
	c.require(pods <= limit, "leaves the candidate %d pods, its stage allows %d", pods, limit)
	c.require(c.in.Deleting == nil && c.in.Status.Phase != v1alpha1.PhaseRollingBack, "leaves pods to a candidate that is on its way out")
	c.require(c.in.Workload.Paused && c.declared() == c.tried(), "leaves pods to another template than is held")
	if pods > k.Desired {
		c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "increases the weight while a trigger fires")
		c.require(!c.paused(), "increases the weight while paused")
		c.require(!c.frozen(), "increases the weight while frozen")
	}
}

// replaces: a pod goes only where it comes back in another version, and no more that serve than
// the StatefulSet's own strategy allows.
func (c *check) replaces(names []string) {
	c.require(c.ordered(), "deletes pods of a Deployment")
	var serving int32
	for _, name := range names {
		at := slices.IndexFunc(c.in.Canary.Misplaced, func(p plan.Pod) bool { return p.Name == name })
		c.require(at >= 0, "deletes pod %s, which runs what it should", name)
		if at >= 0 && c.in.Canary.Misplaced[at].Ready {
			serving++
		}
	}
	missing := max(0, c.in.Workload.Replicas-c.in.Route.ServiceEndpoints)
	c.require(serving == 0 || missing+serving <= max(1, c.in.Workload.MaxUnavailable), "deletes %d ready pods while %d are missing", serving, missing)
}

// forgotten is a StatefulSet whose controller makes every pod in the declared version without a
// decision: at 0 replicas it takes that for current, and no partition leads back.
func (c *check) forgotten() bool {
	w := c.in.Workload
	alone := len(w.Active) == 1 && w.Active[0].Revision == c.declared() && c.declared() != c.stable()
	return c.ordered() && (c.in.Canary.Handed || alone)
}
