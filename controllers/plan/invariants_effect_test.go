package plan_test

import (
	"reflect"
	"slices"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// effect: each kind of effect has its own conditions, the first of which is that
// it changes what was observed: otherwise it would be repeated for ever.
func (c *checker) effect() {
	for _, e := range c.d.Effects {
		c.effectIs(e)
	}
}

func (c *checker) effectIs(effect plan.Effect) {
	in := c.in
	switch e := effect.(type) {
	case plan.AddFinalizer:
		c.require(in.FinalizerMissing, "the finalizer is there")
	case plan.CreateRun:
		c.require(c.d.Status.Run != "" && c.d.Status.Phase.InRun(), "creates a run that is not in progress")
		c.require(!c.d.Repeats || !in.Run.Exists, "creates a run again")
	case plan.MarkWorkload:
		c.marks(e.Marks)
	case plan.PointServices:
		c.require(!in.Route.PairCurrent || c.d.Status.Run != in.Status.Run, "points a pair that is current")
	case plan.PointPreview:
		c.previews(e.Hash)
	case plan.RemovePreview:
		c.require(in.Route.Preview != nil && (in.Spec.Traffic == nil || in.Spec.Traffic.Preview != v1alpha1.PreviewEnabled) && !c.trial(), "deletes a preview that is asked for")
	case plan.NarrowService:
		c.narrows(e.Hash)
	case plan.SetSplit:
		c.sets(e)
	case plan.ReleaseRoute:
		c.releases()
	case plan.ReplacePods:
		c.replaces(e.Names)
	case plan.ScaleCanary:
		if c.ordered() {
			c.places(e.Replicas)
			break
		}
		if c.byPods() {
			c.sizes(e.Replicas)
			break
		}
		c.scales(e.Replicas)
	case plan.RemoveCanary:
		c.removes()
	case plan.RemoveLeftover:
		c.require(in.Canary.Leftover == e.Name && !c.trial() && in.Route.Split == nil, "removes ReplicaSet %s", e.Name)
	case plan.HandOver:
		c.handsOver(e)
	case plan.FenceCanary:
		c.require((c.in1(v1alpha1.PhaseRollingBack) || c.in.Deleting != nil || c.beforeOwner() && c.paused()) && e.Epoch == in.Status.Epoch && in.Canary.Epoch != e.Epoch, "fences with epoch %d", e.Epoch)
	case plan.ResizeHanded:
		c.require(in.Canary.Handed && in.Workload.Recreate && in.Workload.Paused && e.Replicas == in.Workload.Replicas && in.Canary.Desired != e.Replicas, "resizes to %d", e.Replicas)
	case plan.Unlock:
		// A Deployment that has to stay paused while its routes are not given back.
		stays := in.Route.Split != nil || in.Route.Narrowed != ""
		c.require(in.Workload.Lock != "" && (!in.Canary.Handed || stays) || in.Workload.Lock != v1alpha1.RunLabel(in.Status.Run) || !c.in1(v1alpha1.PhaseHandingOver) || c.mode() == v1alpha1.TakeOverBypass || c.declared != c.candidate || in.Verdict.Outcome == v1alpha1.VerdictFail, "unlocks in the middle of a handover")
		c.require(in.Workload.Lock != "", "unlocks what is not locked")
	case plan.Unpause:
		c.unpauses(e.Revision)
	case plan.Pause:
		c.require(!in.Workload.Paused && c.byItself() && c.mode() == v1alpha1.TakeOverNative && in.Verdict.Outcome == v1alpha1.VerdictFail, "pauses")
	case plan.RaiseStable:
		c.require(in.Workload.Paused && e.Replicas == in.Workload.Replicas && in.Workload.Stable.Desired != e.Replicas && !c.in1(v1alpha1.PhaseHandingOver), "raises stable to %d", e.Replicas)
	case plan.TakeOut:
		c.takesOut(e)
	}
}

func (c *checker) marks(m plan.Marks) {
	c.require(m != c.in.Workload.Marks || c.in.Workload.StableUnmarked, "marks what is marked")
	c.require(m.Rollout == c.in.Name && !slices.ContainsFunc(c.in.Gates, func(g plan.Gate) bool { return g.Name == plan.GateClaim && g.Outcome != plan.Open }), "marks another's Deployment")
	c.require((m.Run != "") == (c.d.Status.Phase.InRun() && !c.byPods()), "names run %q in phase %s", m.Run, c.d.Status.Phase)
	held := c.d.Status.Phase == v1alpha1.PhaseRolledBack && c.d.Status.IsRejected(c.declared) != nil
	c.require(m.Rejected == "" || held && m.Rejected == c.declared, "calls %q rejected", m.Rejected)
	c.require(c.d.Status.Phase != v1alpha1.PhaseRollingBack, "labels before a rollback is over")
	c.require(m.Narrowed == "" || c.d.Status.Phase.InRun(), "names a narrowed Service outside of a run")
}

// previews: the candidate is in the preview in its steps alone, and nothing is written twice.
func (c *checker) previews(hash string) {
	p := c.in.Route.Preview
	c.require(p == nil || !p.Current || p.Hash != hash, "points a preview that selects %q already", hash)
	c.require(p == nil || p.Fault == "", "writes somebody else's Service")
	c.require(c.in.Spec.Traffic != nil && c.in.Spec.Traffic.Preview == v1alpha1.PreviewEnabled && c.in.Deleting == nil, "makes a preview that nobody asks for")
	c.require(hash == "" || c.in1(v1alpha1.PhaseStepping) && hash == c.in.Canary.Hash && c.in.Canary.Exists && c.in.Verdict.Outcome != v1alpha1.VerdictFail, "previews %q", hash)
}

func (c *checker) narrows(hash string) {
	r, p := c.in.Route, c.in.Status.Promotion
	c.require(r.Narrowed != hash, "narrows to %q again", hash)
	switch hash {
	case "":
	case c.in.Canary.Hash:
		c.require(c.in1(v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) && p != nil && p.FullAt != nil && c.has(100) && c.in.Canary.Ready > 0, "sends direct callers to the canary alone")
	default:
		c.require(hash == c.in.Workload.Stable.Hash && c.in.Workload.Stable.Ready > 0, "narrows to %s, which nobody serves", hash)
	}
}

// sets: no write sends requests to a side without endpoints, and only what the
// step allows is ever given.
func (c *checker) sets(e plan.SetSplit) {
	to, r, has := e.Weight, c.in.Route, c.observed()
	same := reflect.DeepEqual(e.Testers, r.Testers) && e.Mirror == r.Mirror
	c.require(r.Split == nil || r.Mixed || has != to || !same, "sets %d %% again", to)
	invites := (e.Testers != nil || e.Mirror > 0) && (!same || r.Split == nil)
	if to < has || r.Split == nil && to == 0 {
		c.require(r.StableEndpoints > 0 || c.in.Workload.Replicas == 0, "gives requests to no stable endpoint")
	}
	if to > 0 || e.Testers != nil || e.Mirror > 0 {
		c.require(c.in.Canary.Ready > 0 && r.CanaryEndpoints > 0, "gives %d %% to no ready pod", to)
	}
	if e.Testers != nil || e.Mirror > 0 {
		step := c.stepNow()
		c.require(same || c.in.Canary.Available >= c.need(e.Mirror), "copies to %d of %d pods", c.in.Canary.Available, c.need(e.Mirror))
		c.require(c.in1(v1alpha1.PhaseStepping) && reflect.DeepEqual(e.Testers, step.Match) && e.Mirror == step.Mirror, "invites testers or copies that the step does not name")
	}
	if !invites && (to == 0 || to < has || to == has && !same) {
		return
	}
	limit := c.stepWeight()
	if c.in1(v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) || c.beforeOwner() {
		limit = 100
	}
	c.require(c.trial() || c.beforeOwner(), "widens in phase %s", c.in.Status.Phase)
	c.require(to <= limit, "widens to %d %%, %d %% is allowed", to, limit)
	c.require(c.in.Canary.Available >= c.need(to) && r.CanaryEndpoints >= c.need(to), "widens with %d of %d pods", min(c.in.Canary.Available, r.CanaryEndpoints), c.need(to))
	c.require(r.Acknowledged, "widens a share the gateway has not acknowledged")
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "widens while a trigger fires")
	c.require(!c.paused() && r.Fault.Reason == "", "widens while paused, or by a route that cannot be used")
	c.require(c.declared == c.candidate && c.in.Workload.Paused, "widens what is not declared and held")
	c.require(c.in.Run.Exists && !c.in.Run.Former, "widens without a record")
	c.require(r.PairCurrent, "widens by Services that do not select the two sides")
	c.require(to == 100 || r.StableEndpoints > 0, "leaves %d %% to no stable endpoint", 100-to)
}

// releases: routes go back to a Service that answers, and give nobody who is on
// trial a larger weight, unless the other way is that nobody answers.
func (c *checker) releases() {
	r := c.in.Route
	c.require(r.Split != nil, "releases what is not shared")
	overdue := c.in.Deleting != nil && c.in.Now.Sub(*c.in.Deleting) > c.in.ReleaseTimeout
	if overdue {
		return
	}
	c.require(!r.ServiceMissing, "sends every request to a Service that does not exist")
	c.require(r.ServiceEndpoints > 0 || r.StableEndpoints == 0 && r.CanaryEndpoints == 0, "sends every request to a Service without endpoints")
	gone := !c.in.Canary.Exists && c.in.Canary.Left == 0
	lost := r.StableEndpoints == 0 && (!c.has(100) || r.CanaryEndpoints == 0)
	switch {
	case !c.in.Workload.Found && c.in.Deleting == nil:
		c.require(r.ServiceEndpoints > 0, "releases to nobody")
	case c.in.Deleting != nil:
		c.require(gone || c.in.Canary.Handed || c.in.Workload.Stable.Ready == 0 || r.StableEndpoints == 0, "releases a canary that may go first")
	case c.in1(v1alpha1.PhaseRollingBack):
		c.require(gone || lost, "releases while the canary is there")
	case c.trial():
		c.require(lost, "releases in a trial")
	case c.beforeOwner():
		c.require(r.Narrowed != "" && r.Narrowed == c.in.Canary.Hash && c.has(100), "releases before the handover")
	}
}

func (c *checker) scales(to int32) {
	canary, n := c.in.Canary, c.in.Workload.Replicas
	c.require(!canary.Exists || canary.Desired != to, "scales to %d again", to)
	c.require(c.in.Deleting == nil && (c.trial() || c.beforeOwner()), "scales a canary that is on its way out")
	c.require(!canary.Handed, "scales a set of the Deployment's")
	if to < canary.Desired {
		ready := to >= canary.Ready && canary.Ready > 0 && to >= c.need(c.observed())
		w := c.d.Status.Step
		withdraws := c.trial() && ready && w != nil && w.Wave != nil && w.Wave.WithdrawnAt != nil && c.elapsed(&w.Wave.AskedAt, c.in.Workload.ProgressDeadline)
		c.require(withdraws || n == 0 && to == 0 || to == n && (c.has(100) && !c.in1(v1alpha1.PhaseStepping) || c.beforeOwner()), "scales the canary down from %d to %d", canary.Desired, to)
		return
	}
	c.require(to <= n, "scales the canary to %d of %d", to, n)
	alone := c.in.Route.Narrowed != "" && c.in.Route.Narrowed == canary.Hash
	c.require(!c.paused() || to <= c.need(c.observed()) || alone || c.beforeOwner(), "grows the canary beyond its weight while paused")
	c.require(to-min(canary.Ready, canary.Available) <= max(1, n/4), "has %d pods unready at once", to-min(canary.Ready, canary.Available))
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail, "grows the canary while a trigger fires")
}

// removes: pods go only when they get nothing, their connections had the time to
// finish, and somebody else serves.
func (c *checker) removes() {
	canary, r := c.in.Canary, c.in.Route
	overdue := c.in.Deleting != nil && c.in.Now.Sub(*c.in.Deleting) > c.in.ReleaseTimeout
	c.require(canary.Exists && !canary.Handed, "removes no canary")
	c.require(c.in.Deleting != nil || c.in1(v1alpha1.PhaseRollingBack) || c.byItself(), "removes the canary in phase %s", c.in.Status.Phase)
	c.require(!r.Mixed && c.observed() == 0 && r.Testers == nil && r.Mirror == 0, "removes a canary that has %d %%, testers or copies", c.observed())
	zero := c.in.Status.Rollback
	drained := zero != nil && c.elapsed(zero.ZeroAt, c.drain())
	if p := c.in.Status.Promotion; c.byItself() && p != nil {
		drained = drained || r.Acknowledged && c.elapsed(p.SettledAt, c.drain())
	}
	c.require(drained || overdue || r.Split == nil && c.in.Deleting != nil && r.Acknowledged, "removes a canary that is not drained")
	if c.in.Workload.Replicas == 0 || overdue || canary.Ready == 0 {
		return
	}
	c.require(c.othersReady() > 0, "removes the pods that are all that serves")
	if r.Split == nil && r.Narrowed == "" {
		c.require(r.ServiceEndpoints == 0 || r.ServiceEndpoints > r.CanaryShare || c.byItself(), "removes the only endpoints of the Service")
	}
}

// handsOver: the owner changes only of what is at rest, passed, chosen, and has
// all requests.
func (c *checker) handsOver(e plan.HandOver) {
	w, canary, r, p := c.in.Workload, c.in.Canary, c.in.Route, c.in.Status.Promotion
	c.require(c.d.Status.Phase == v1alpha1.PhaseHandingOver && canary.Exists && !canary.Handed && !canary.Former, "hands over in phase %s", c.d.Status.Phase)
	c.require(w.Paused && c.declared == c.candidate, "hands over what is not held")
	c.require(canary.Changed == "" && w.Chosen == canary.Name, "hands over what the Deployment would not choose")
	c.require(c.in.Deleting == nil && (c.in.Run.Exists || e.Native), "hands over without a record")
	c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail, "hands over while a trigger fires")
	c.require(c.d.Status.Promotion != nil && c.d.Status.Promotion.HandedAt != nil, "does not note the time")
	if e.Native {
		c.require(c.mode() == v1alpha1.TakeOverNative && e.Replicas == canary.Desired, "hands over natively in mode %s", c.mode())
		c.require(r.Split == nil && r.Acknowledged && r.Narrowed == "", "hands over before the routes reach all pods")
		return
	}
	n := w.Replicas
	full := func(s plan.Set) bool { return s.Desired == n && s.Pods == n && s.Available == n }
	c.require(c.mode() == v1alpha1.TakeOverHandOver && n > 0 && e.Replicas == n && full(w.Stable) && full(canary.Set), "hands over at unequal sizes")
	c.require(w.Observed && len(w.Active) == 1 && w.Active[0].Name == w.Stable.Name, "hands over beside another set")
	c.require(p != nil && p.Size != nil && *p.Size == n && c.elapsed(p.SizeSince, c.in.SteadyFor), "hands over what is not at rest")
	c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass && !c.in.Verdict.BlindRollback, "hands over on verdict %q", c.in.Verdict.Outcome)
	behind := r.Split == nil && r.Narrowed != "" && r.Narrowed == canary.Hash
	c.require(r.Acknowledged && (behind || c.has(100)), "hands over while stable has a share")
	c.require(!c.paused() && r.Fault.Reason == "", "hands over while paused, or by a route that cannot be used")
}

// unpauses: a Deployment rolls only to what was judged, or back.
func (c *checker) unpauses(to string) {
	w, r := c.in.Workload, c.in.Route
	c.require(to == c.declared, "unpauses another template than is declared")
	c.require(w.Paused || w.Lock != "", "unpauses what is not paused")
	unshared := !r.Mixed && c.observed() == 0
	if to == c.stable && c.in.Deleting != nil {
		gone := !c.in.Canary.Exists || c.ordered() && c.in.Canary.Handed
		c.require(unshared && gone, "unpauses stable in a deletion before the canary is gone")
		return
	}
	if to == c.stable {
		c.require(!c.trial() && !c.beforeOwner(), "unpauses stable in a trial")
		gone := !c.in.Canary.Exists || c.ordered() && c.in.Canary.Handed
		c.require(!c.in1(v1alpha1.PhaseRollingBack) || unshared && gone, "unpauses before the canary is gone")
		return
	}
	late := c.in.Deleting != nil && c.in1(v1alpha1.PhaseRollingBack) && c.in.Canary.Handed
	c.require(to == c.candidate && (c.in1(v1alpha1.PhaseHandingOver) || late), "unpauses an unjudged revision in phase %s", c.in.Status.Phase)
	switch c.mode() {
	case v1alpha1.TakeOverHandOver:
		c.require(c.in.Canary.Handed, "unpauses before the owner changed")
		blocked := r.ServiceMissing || r.ServiceEndpoints == 0
		// A write that gives routes or Service back may be refused.
		rolls := c.in.Canary.Desired != w.Replicas
		c.require(r.Split == nil || blocked || c.has(100) || !rolls, "takes the pods of stable away, which has a share")
		c.require(r.Narrowed == "" || r.Narrowed == c.in.Canary.Hash || !rolls || blocked && r.Split != nil, "takes the pods of stable away, which direct callers use")
	case v1alpha1.TakeOverNative:
		c.require(c.in.Deleting != nil || r.Split == nil && r.Narrowed == "", "rolls by itself behind shared routes")
		c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail, "rolls on while a trigger fires")
	case v1alpha1.TakeOverBypass:
		c.require(!w.Paused, "unpauses what a person has paused")
	case v1alpha1.TakeOverUnserved:
		c.require(c.in.Deleting != nil || r.Split == nil && r.Narrowed == "", "rolls by itself behind shared routes")
	}
}

// takesOut: what serves goes only when another set does, or when it must never
// serve.
func (c *checker) takesOut(e plan.TakeOut) {
	sets := c.in.Workload.Active
	at := slices.IndexFunc(sets, func(s plan.Set) bool { return s.Name == e.Name })
	c.require(at >= 0 && c.in.Workload.Paused, "takes ReplicaSet %s out", e.Name)
	if at < 0 {
		return
	}
	out := sets[at]
	if e.Delete {
		bad := out.Revision != c.stable && (out.Revision == c.declared || c.in.Status.IsRejected(out.Revision) != nil)
		c.require(bad && !c.in1(v1alpha1.PhaseHandingOver), "deletes ReplicaSet %s", e.Name)
		return
	}
	c.require(c.in1(v1alpha1.PhaseHandingOver) || out.Revision != c.stable, "takes stable out")
	others := c.othersReady() - out.Ready
	if c.in.Canary.Handed && c.in.Canary.Name == out.Name {
		others = c.othersReady()
	} else if c.in.Canary.Handed {
		others += c.in.Canary.Ready
	}
	c.require(out.Ready == 0 || others > 0, "takes out the pods that are all that serves")
}

// places holds what a decision does to a partition.
func (c *checker) places(to int32) {
	canary, n := c.in.Canary, c.in.Workload.Replicas
	if to == 0 {
		c.require(!c.in.Workload.Held, "raises a partition that holds all")
		undoes := c.in1(v1alpha1.PhaseRollingBack) || c.in.Deleting != nil
		unjudged := !c.in.Status.Phase.InRun() || c.declared != c.candidate
		c.require(undoes || unjudged && c.declared != c.stable && c.in.Workload.Paused, "takes all pods from the candidate in phase %s", c.in.Status.Phase)
		return
	}
	c.require(canary.Desired != to, "places %d pods again", to)
	gone := canary.Handed && c.in.Workload.Stable.Pods == 0
	c.require(c.in.Deleting == nil && !gone && n > 0, "places pods of what goes, or went already")
	_, creates := plan.EffectOf[plan.CreateRun](c.d)
	c.require(c.declared == c.candidate && c.in.Workload.Paused && (c.in.Run.Exists || creates || to < canary.Desired), "places pods of what is not declared, held and recorded")
	limit := c.need(100)
	switch c.d.Status.Phase {
	case v1alpha1.PhaseStepping:
		limit = c.need(c.weightOf(c.d.Status.Step))
	case v1alpha1.PhaseHandingOver:
		limit = n
		baked := c.in.Status.Promotion
		c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass && baked != nil && c.elapsed(baked.FullAt, c.in.Spec.Promotion.Bake.Duration), "gives up the way back before the bake has passed")
	}
	c.require(to <= limit, "places %d pods, its stage allows %d", to, limit)
	if to > canary.Desired {
		c.require(c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "places more pods while a trigger fires")
		c.require(!c.paused() && !c.frozen(), "places more pods while paused or frozen")
	}
}

// replaces: only pods that come back in another version go, and no more that serve than the
// StatefulSet's own strategy allows.
func (c *checker) replaces(names []string) {
	c.require(c.ordered() && len(names) > 0, "replaces pods of a Deployment, or none")
	taken := int32(0)
	for _, name := range names {
		at := slices.IndexFunc(c.in.Canary.Misplaced, func(p plan.Pod) bool { return p.Name == name })
		c.require(at >= 0, "replaces pod %s, which runs what it should", name)
		if at >= 0 && c.in.Canary.Misplaced[at].Ready {
			taken++
		}
	}
	missing := max(0, c.in.Workload.Replicas-c.in.Route.ServiceEndpoints)
	c.require(taken == 0 || missing+taken <= c.in.Workload.MaxUnavailable, "takes %d ready pods while %d are missing", taken, missing)
	c.require(c.in.Status.Phase.InRun() || c.in.Deleting != nil, "replaces pods in phase %s", c.in.Status.Phase)
}
