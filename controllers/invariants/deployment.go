package invariants

import (
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// deployment: it rolls only to what was judged, bypassed or let through, or back.
func (c *check) deployment(effect plan.Effect) {
	switch e := effect.(type) {
	case plan.Unpause:
		c.unpauses(e.Revision)
	case plan.Pause:
		c.require(c.before().Mode == v1alpha1.TakeOverNative && c.in.Verdict.Outcome == v1alpha1.VerdictFail, "pauses a Deployment that rolls as it should")
	case plan.Unlock:
		c.require(c.in.Workload.Lock != "", "unlocks a Deployment that is not locked")
	case plan.MarkWorkload:
		c.require(e.Marks.Rollout == c.in.Name || c.in.Deleting != nil, "takes the label that guards the Deployment away")
		c.require(e.Marks.Rejected == "" || e.Marks.Rejected == c.declared() && c.d.Status.IsRejected(c.declared()) != nil, "calls %q rejected", e.Marks.Rejected)
		c.require(e.Marks.Run == "" || c.d.Status.Phase.InRun(), "names a run that is not in progress")
	}
}

func (c *check) unpauses(revision string) {
	c.require(revision == c.declared(), "unpauses another template than is declared")
	if revision == c.stable() {
		c.require(c.in.Route.Split == nil || c.observed() == 0 && !c.extraSent() || c.in.Canary.Handed, "unpauses at stable while the canary takes requests")
		back := c.in.Status.Phase == v1alpha1.PhaseRollingBack
		c.require(!c.byPods() || !back || c.in.Canary.Ready == 0 || c.in.Canary.Handed, "unpauses at stable while %d canary pods take requests", c.in.Canary.Ready)
		return
	}
	c.require(revision == c.tried(), "unpauses %s, which is not the candidate", revision)
	used := c.in.Route.Split != nil || c.in.Route.Narrowed != ""
	c.require(!c.in.Canary.Handed || c.in.Canary.Recognised || !used, "unpauses a Deployment that does not use ReplicaSet %s, which the routes or the user's Service name", c.in.Canary.Name)
	if c.in.Deleting != nil {
		c.require(c.in.Canary.Handed, "unpauses a candidate while being deleted")
		return
	}
	c.require(c.in.Status.Phase == v1alpha1.PhaseHandingOver, "unpauses the candidate in phase %s", c.in.Status.Phase)
	if !byHandOver(c.in.Status.Promotion) {
		c.require(c.in.Route.Split == nil, "unpauses while the routes are still split")
		c.require(c.in.Route.Narrowed == "", "unpauses while the user's Service selects one version")
		return
	}
	c.require(c.in.Canary.Handed, "unpauses before the Deployment owns the canary's ReplicaSet: every pod would be replaced")
	c.keepsStableInUse()
}

// keepsStableInUse: a Deployment that owns the canary goes on while routes and Service
// are not the user's own yet, because the write that gives them back may be refused: a
// lock for as long as that would refuse the push that mends it. With pods left to roll it
// takes those of stable away, so nothing may name them.
func (c *check) keepsStableInUse() {
	r, k := c.in.Route, c.in.Canary
	blocked := r.Split != nil && (r.ServiceMissing || r.ServiceEndpoints == 0)
	if k.Desired == c.in.Workload.Replicas || blocked {
		return
	}
	c.require(r.Split == nil || c.observed() == 100 && !r.Mixed, "unpauses with pods left to roll while the routes give stable requests")
	c.require(r.Narrowed == "" || r.Narrowed == k.Hash, "unpauses with pods left to roll while the user's Service selects stable")
}

// handover: it replaces no pod, so everything stands still, at one size, and the
// Deployment would take this very set.
func (c *check) handover() {
	e, ok := plan.EffectOf[plan.HandOver](c.d)
	if !ok {
		return
	}
	w, k := c.in.Workload, c.in.Canary
	c.require(c.d.Status.Phase == v1alpha1.PhaseHandingOver && c.in.Deleting == nil, "hands over in phase %s", c.d.Status.Phase)
	c.require(w.Paused && c.declared() == c.tried(), "hands over to a Deployment that is not held at the candidate")
	c.require(k.Exists && !k.Handed && !k.Former && k.Changed == "" && w.Chosen == k.Name, "hands over a ReplicaSet that the Deployment would not choose")
	c.require(c.d.Status.Promotion != nil && c.d.Status.Promotion.HandedAt != nil, "hands over without a record of when")
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail, "hands over while a trigger fires")
	c.require(!c.paused() || e.Native, "hands over while paused")
	if e.Native {
		c.require(c.before().Mode == v1alpha1.TakeOverNative, "hands over natively in mode %s", c.before().Mode)
		c.require(c.in.Route.Split == nil && c.in.Route.Acknowledged && c.in.Route.Narrowed == "", "hands over natively while the routes are split")
		return
	}
	n := w.Replicas
	whole := func(s plan.Set) bool { return s.Desired == n && s.Pods == n && s.Available == n }
	c.require(n > 0 && e.Replicas == n && whole(w.Stable) && whole(k.Set), "hands over at %d: stable has %d, canary %d of %d", e.Replicas, w.Stable.Available, k.Available, n)
	c.require(len(w.Active) == 1 && w.Active[0].Name == w.Stable.Name && w.Observed, "hands over while another ReplicaSet has pods")
	p := c.before()
	c.require(p.Size != nil && *p.Size == n && c.elapsed(p.SizeSince, c.in.SteadyFor), "hands over before the sizes have stayed the same for %s", c.in.SteadyFor)
	c.require(c.in.Route.Acknowledged, "hands over before the gateway acknowledged where the requests go")
	// Where pods are the weight the stable pods leave as in a rolling update.
	alone := c.byPods() || c.in.Route.Split != nil && c.observed() == 100 || c.in.Route.Split == nil && c.in.Route.Narrowed == k.Hash
	c.require(alone, "hands over while the stable pods take requests")
}

// emergencies: what is taken out is not what serves by right.
func (c *check) emergencies(effect plan.Effect) {
	w := c.in.Workload
	switch e := effect.(type) {
	case plan.TakeOut:
		c.require(e.Name != "" && (e.Name != w.Stable.Name || c.in.Status.Phase == v1alpha1.PhaseHandingOver), "removes the stable ReplicaSet")
		c.require(w.Paused, "scales a ReplicaSet of a Deployment that is not paused to 0")
		wrong := false
		for _, s := range w.Active {
			bad := s.Revision != c.stable() && (s.Revision == c.declared() || c.in.Status.IsRejected(s.Revision) != nil)
			wrong = wrong || s.Name == e.Name && bad
		}
		c.require(wrong || c.othersReady(e.Name) || w.Replicas == 0, "removes the only ready pods")
		c.require(!e.Delete || e.Name != w.Stable.Name, "deletes the stable ReplicaSet")
	case plan.RaiseStable:
		c.require(w.Paused && e.Replicas == w.Replicas, "scales stable to %d of %d replicas", e.Replicas, w.Replicas)
		c.require(c.in.Status.Phase != v1alpha1.PhaseHandingOver, "scales stable up while the Deployment rolls to another version")
	case plan.ResizeHanded:
		c.require(c.in.Canary.Handed && w.Paused && e.Replicas == w.Replicas, "scales a ReplicaSet that was not handed over to %d", e.Replicas)
	case plan.FenceCanary:
		c.require(e.Epoch > c.in.Canary.Epoch && !c.in.Canary.Handed, "writes epoch %d after epoch %d", e.Epoch, c.in.Canary.Epoch)
	}
}

// othersReady is whether any other set than this has a ready pod.
func (c *check) othersReady(name string) bool {
	ready := c.in.Canary.Name != name && c.in.Canary.Ready > 0
	for _, s := range c.in.Workload.Active {
		ready = ready || s.Name != name && s.Ready > 0
	}
	return ready
}
