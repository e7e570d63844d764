package invariants

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// weights: no write sends requests to a side without endpoints, and only what the
// step under test, or a promotion, allows is ever given.
func (c *check) weights() {
	to, ok := plan.EffectOf[plan.SetSplit](c.d)
	if !ok {
		return
	}
	observed := c.observed()
	c.extra(to)
	if to.Weight > 0 {
		c.require(c.in.Canary.Ready > 0 && c.in.Route.CanaryEndpoints > 0, "gives weight %d %% to a canary without ready pods", to.Weight)
	}
	if to.Weight < 100 && c.in.Workload.Replicas > 0 {
		c.require(c.in.Route.StableEndpoints > 0, "gives weight %d %% to stable, which has no endpoints", 100-to.Weight)
	}
	if to.Weight <= observed || to.Weight == 0 {
		return
	}
	limit := c.stepWeight()
	p := c.in.Status.Phase
	// In a handover before the owner changes a share that somebody took is given back.
	promotes := p == v1alpha1.PhasePromoting || p == v1alpha1.PhaseBaking || p == v1alpha1.PhaseHandingOver && byHandOver(c.in.Status.Promotion) && !c.in.Canary.Handed
	if promotes {
		limit = 100
	}
	need := c.need(to.Weight)
	c.require(c.in.Status.Phase == v1alpha1.PhaseStepping || promotes, "increases the weight in phase %s", c.in.Status.Phase)
	c.require(to.Weight <= limit, "increases the weight to %d %%, %d %% is allowed", to.Weight, limit)
	c.require(c.in.Canary.Ready >= need && c.in.Canary.Available >= need && c.in.Route.CanaryEndpoints >= need,
		"increases the weight with %d of %d pods", min(c.in.Canary.Available, c.in.Canary.Ready, c.in.Route.CanaryEndpoints), need)
	c.require(c.in.Route.Acknowledged, "increases a weight that the gateway has not acknowledged")
	c.require(c.in.Route.PairCurrent, "increases the weight through Services that do not select the two ReplicaSets")
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "increases the weight while a trigger fires")
	c.require(!c.paused(), "increases the weight while paused")
	c.require(!c.frozen(), "increases the weight while frozen")
	c.require(c.in.Deleting == nil, "increases the weight while being deleted")
	c.require(c.in.Workload.Paused || c.in.Workload.Replicas == 0, "increases the weight while the Deployment rolls by itself")
}

// extra: testers and copies reach a candidate that answers, and only while their step is under
// test, once everything that gives the candidate more allows it.
func (c *check) extra(to plan.SetSplit) {
	if to.Testers == nil && to.Mirror == 0 {
		return
	}
	what := sent(to.Testers, to.Mirror)
	c.require(c.in.Canary.Ready > 0 && c.in.Route.CanaryEndpoints > 0, "sends %s to a canary without ready pods", what)
	c.require(c.in.Status.Phase == v1alpha1.PhaseStepping && c.named(to.Testers, to.Mirror, 0), "sends %s that the step does not name", what)
	c.require(to.Mirror == 0 || to.Weight == 0, "sends %s beside a weight of %d %%", what, to.Weight)
	if equality.Semantic.DeepEqual(to.Testers, c.in.Route.Testers) && to.Mirror == c.in.Route.Mirror {
		return
	}
	pods := min(c.in.Canary.Ready, c.in.Canary.Available, c.in.Route.CanaryEndpoints)
	c.require(pods >= c.need(to.Mirror), "sends %s to %d of %d pods", what, pods, c.need(to.Mirror))
	c.require(c.in.Route.Acknowledged, "sends %s by a route that the gateway has not acknowledged", what)
	c.require(c.in.Route.PairCurrent, "sends %s to Services that do not select the two ReplicaSets", what)
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "sends %s while a trigger fires", what)
	c.require(!c.paused(), "sends %s while paused", what)
	c.require(c.in.Deleting == nil, "sends %s while being deleted", what)
	c.require(c.in.Workload.Paused || c.in.Workload.Replicas == 0, "sends %s while the Deployment rolls by itself", what)
}

// sent names testers or copies in a message.
func sent(testers *v1alpha1.StepMatch, mirror int32) string {
	if mirror > 0 {
		return fmt.Sprintf("copies of %d %% of the requests", mirror)
	}
	return fmt.Sprintf("testers (%s)", testers)
}

// named is whether the step in progress, or the one so many steps before it, asks for these
// testers and copies.
func (c *check) named(testers *v1alpha1.StepMatch, mirror int32, before int) bool {
	step := c.stepAt(before)
	return equality.Semantic.DeepEqual(testers, step.Match) && mirror == step.Mirror
}

// stepAt is the step in progress, or one so many steps before it; empty where there is none.
func (c *check) stepAt(before int) v1alpha1.Step {
	at := -before
	if s := c.in.Status.Step; s != nil {
		at += int(s.Index)
	}
	if at < 0 || at >= len(c.in.Spec.Steps) {
		return v1alpha1.Step{}
	}
	return c.in.Spec.Steps[at]
}

// size: where pods are the weight no other share is written, and the canary never has
// more pods than the step allows, with two exceptions: pods are whole, so a weight is
// rounded up, to one pod at least; and while no stable pod is ready the canary keeps
// what serves. A stable side that loses pods raises the share of the others.
func (c *check) size() {
	if !c.byPods() {
		return
	}
	for _, e := range c.d.Effects {
		switch e.(type) {
		case plan.SetSplit, plan.ReleaseRoute, plan.NarrowService, plan.PointServices, plan.PointPreview, plan.RemovePreview:
			c.require(false, "%s, although no Service and no route is named", e)
		}
	}
	k, from := c.in.Canary, c.in.Status.Phase
	limit := int32(100)
	if c.d.Status.Phase == v1alpha1.PhaseStepping {
		// A decision that goes on to the next step may ask for its pods.
		limit = c.weightOf(c.d.Status.Step)
	}
	if e, ok := plan.EffectOf[plan.ScaleCanary](c.d); ok && e.Replicas > k.Desired && !c.ordered() {
		c.require(e.Replicas <= c.need(limit), "gives the canary %d pods, the step allows %d", e.Replicas, c.need(limit))
		c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "increases the weight while a trigger fires")
		c.require(!c.paused() || c.weightReached(), "increases the weight while paused")
		c.require(!c.frozen() || c.weightReached(), "increases the weight while frozen")
	}
	stays := from.Armed() && c.d.Status.Phase == from && len(c.d.Effects) == 0 && c.d.Progress == plan.Reconciling && !c.answers()
	if stays && k.Exists && c.in.Deleting == nil && c.in.Workload.Replicas > 0 && c.in.Route.StableEndpoints > 0 {
		c.require(k.Desired <= c.need(limit), "leaves the canary %d pods, the step allows %d", k.Desired, c.need(limit))
	}
}

// releases: the routes go back to a Service that answers, and not while it would
// reach a candidate that was rejected.
func (c *check) releases(effect plan.Effect) {
	switch e := effect.(type) {
	case plan.ReleaseRoute:
		overdue := c.in.Deleting != nil && c.in.Now.Sub(*c.in.Deleting) > c.in.ReleaseTimeout
		c.require(!c.in.Route.ServiceMissing || overdue, "sends every request to a Service that does not exist")
		answers := c.in.Route.ServiceEndpoints > 0 || c.in.Route.StableEndpoints == 0 && c.in.Route.CanaryEndpoints == 0
		native := c.in.Status.Phase == v1alpha1.PhaseHandingOver && !byHandOver(c.in.Status.Promotion)
		c.require(answers || overdue || native, "sends every request to a Service without endpoints")
		c.releasesRejected()
	case plan.NarrowService:
		selected := e.Hash == "" || e.Hash == c.in.Workload.Stable.Hash && c.in.Workload.Stable.Ready > 0 || e.Hash == c.in.Canary.Hash && c.in.Canary.Ready > 0
		c.require(selected, "narrows the Service to %s, which has no ready pod", e.Hash)
		c.require(e.Hash == "" || c.in.Spec.Traffic != nil && c.in.Spec.Traffic.DirectCallers == v1alpha1.DirectCallersStable, "narrows a Service that is to reach any version")
		c.require(e.Hash == "" || c.in.Status.Phase.InRun() && c.in.Deleting == nil, "narrows the Service without a run")
		full := c.in.Status.Phase == v1alpha1.PhaseBaking || c.in.Status.Phase == v1alpha1.PhasePromoting
		c.require(e.Hash == "" || e.Hash != c.in.Canary.Hash || full && c.observed() == 100 && c.in.Route.Acknowledged, "gives all direct callers to the candidate before its route is at 100 %%")
	case plan.PointPreview:
		c.previews(e.Hash)
	case plan.RemovePreview:
		c.require(!c.previewed() && c.in.Route.Preview != nil, "deletes a preview Service that is asked for, or is not there")
	case plan.PointServices:
		c.require(c.in.Workload.Stable.Name != "" || c.observed() == 100, "points the stable Service at no ReplicaSet")
		c.require(!c.in.Canary.Former, "points the Services of an older Belay's run at other pods")
	}
}

// previews: the preview Service leads to the candidate alone only in its steps, and to nothing
// that somebody else has made.
func (c *check) previews(hash string) {
	p := c.in.Route.Preview
	c.require(c.previewed(), "makes a preview Service that nobody asks for")
	c.require(p == nil || p.Fault == "", "writes a Service that is not Belay's")
	c.require(c.in.Deleting == nil, "makes a preview Service while being deleted")
	if hash == "" {
		return
	}
	c.require(c.in.Status.Phase == v1alpha1.PhaseStepping && c.d.Status.Phase == v1alpha1.PhaseStepping, "previews a candidate in phase %s", c.in.Status.Phase)
	c.require(c.in.Canary.Exists && hash == c.in.Canary.Hash, "previews pods with hash %s, which are not the canary's", hash)
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "previews a candidate while a trigger fires")
}

func (c *check) previewed() bool {
	return c.in.Spec.Traffic != nil && c.in.Spec.Traffic.Preview == v1alpha1.PreviewEnabled
}

func (c *check) releasesRejected() {
	r := c.in.Status.Rollback
	back := c.in.Status.Phase == v1alpha1.PhaseRollingBack && r != nil && r.Outcome == v1alpha1.OutcomeRolledBack
	lost := c.in.Route.StableEndpoints == 0
	c.require(!back || lost || c.in.Canary.Left == 0 && !c.in.Canary.Exists, "the routes go to a Service that still reaches %d pods of the rejected canary", c.in.Canary.Left)
}

// canary: it grows in waves, shrinks only with the Deployment or to what is ready,
// and goes when the gateway acknowledged that it gets nothing and its connections
// had the time to finish.
func (c *check) canary(effect plan.Effect) {
	switch e := effect.(type) {
	case plan.ScaleCanary:
		if c.ordered() {
			c.places(e.Replicas)
			break
		}
		c.scales(e.Replicas)
	case plan.ReplacePods:
		c.replaces(e.Names)
	case plan.RemoveCanary:
		c.removes(e.Reject)
	case plan.RemoveLeftover:
		c.require(e.Name != "" && e.Name != c.in.Workload.Stable.Name, "removes %q, the ReplicaSet that serves", e.Name)
		c.require(e.Name != c.in.Canary.Name || !c.in.Status.Phase.InRun(), "removes the canary of the run in progress")
		c.require(c.in.Route.Split == nil, "removes a ReplicaSet that the routes may name")
	}
}

func (c *check) scales(size int32) {
	n, k := c.in.Workload.Replicas, c.in.Canary
	if c.byPods() && size < k.Desired {
		c.shrinks(size)
		return
	}
	c.require(c.in.Deleting == nil, "scales a canary while being deleted")
	_, begins := plan.EffectOf[plan.CreateRun](c.d)
	begins = begins && c.d.Status.Phase.Armed() && c.byPods() && !k.Exists
	c.require(begins || c.in.Status.Phase.Armed() || c.in.Status.Phase == v1alpha1.PhaseHandingOver, "scales the canary in phase %s", c.in.Status.Phase)
	c.require(!k.Handed, "scales a ReplicaSet that the Deployment controls")
	if size > k.Desired {
		c.require(size <= n, "scales the canary to %d of %d", size, n)
		c.require(size <= min(k.Ready, k.Desired)+max(1, n/4), "starts %d pods at once with %d ready", size-k.Ready, k.Ready)
		alone := c.in.Route.Narrowed != "" && c.in.Route.Narrowed == k.Hash || c.in.Status.Phase == v1alpha1.PhaseHandingOver
		c.require(c.in.Route.Split != nil || alone || c.byPods(), "makes canary pods that the user's Service alone reaches by the route")
		c.require(c.in.Workload.Paused && c.declared() == c.tried(), "grows a canary of another template than is held")
	}
	if size < k.Desired {
		c.require(size >= c.need(c.observed()) || size >= n, "scales the canary to %d, %d %% need %d", size, c.observed(), c.need(c.observed()))
		c.require(size >= k.Ready || size >= n, "scales the canary to %d, below the %d pods that are ready", size, k.Ready)
	}
}

// shrinks: where pods are the weight the canary shrinks to what the step allows or
// to what is ready, and in a rollback to 0 where others serve.
func (c *check) shrinks(size int32) {
	k := c.in.Canary
	c.require(!k.Handed, "scales a ReplicaSet that the Deployment controls")
	if c.in.Status.Phase == v1alpha1.PhaseRollingBack {
		served := c.in.Route.StableEndpoints > 0 || k.Ready == 0 || c.in.Workload.Replicas == 0
		c.require(size == 0 && served, "scales the canary to %d, and stable has %d endpoints", size, c.in.Route.StableEndpoints)
		return
	}
	limit := int32(100)
	if c.in.Status.Phase == v1alpha1.PhaseStepping {
		limit = c.stepWeight()
	}
	c.require(size >= c.need(limit) || size >= k.Ready, "scales the canary to %d, below the %d pods that are ready and the %d of its step", size, k.Ready, c.need(limit))
}

func (c *check) removes(reject bool) {
	r := c.in.Status.Rollback
	c.require(!c.in.Canary.Handed, "removes a ReplicaSet that the Deployment controls")
	c.require(!reject || r != nil && r.Outcome == v1alpha1.OutcomeRolledBack, "rejects a canary that was not")
	c.require(c.in.Route.Acknowledged || c.zeroSince() != nil || c.in.Canary.Ready == 0, "removes a canary before its release is acknowledged")
	others := c.in.Workload.Stable.Ready
	for _, s := range c.in.Workload.Active {
		if s.Name != c.in.Workload.Stable.Name {
			others += s.Ready
		}
	}
	c.require(others > 0 || c.in.Canary.Ready == 0 || c.in.Workload.Replicas == 0, "removes the pods that may be all that serves")
	if c.in.Route.Split == nil {
		return
	}
	c.require(c.observed() == 0, "removes a canary that has %d %%", c.observed())
	c.require(!c.extraSent(), "removes a canary that %s reach", sent(c.in.Route.Testers, c.in.Route.Mirror))
	zero := c.zeroSince()
	c.require(zero != nil, "removes a canary whose weight 0 was never acknowledged")
	if zero != nil {
		c.require(c.in.Now.Sub(zero.Time) >= c.drain(), "removes a canary before its drain is over")
	}
}

// extraSent is whether the routes send testers or copies to the canary.
func (c *check) extraSent() bool { return c.in.Route.Testers != nil || c.in.Route.Mirror > 0 }

func (c *check) zeroSince() *metav1.Time {
	if r := c.in.Status.Rollback; r != nil {
		return r.ZeroAt
	}
	return nil
}
