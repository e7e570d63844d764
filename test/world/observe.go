package world

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
	"belay.dev/belay/controllers/workload"
)

// poll is how often the judge asks its source; samples need as long again after
// a change of the weight before they say anything.
const poll = 5 * time.Second

// progressDeadline is the Deployment's, Kubernetes' own default.
const progressDeadline = 10 * time.Minute

// rollout is the Rollout. status is replaced, never changed.
type rollout struct {
	version         int
	status          *v1alpha1.RolloutStatus
	action          *plan.Action
	deleting        *time.Time
	finalizer, gone bool
}

// view is what the controller's caches hold of each kind of object, and what its
// writes are tested against.
type view struct {
	deployment, sets, services, routes, rollout, history *cluster
	// read are the ReplicaSets as the controller reads them, oldest first, and runs
	// those of them that are runs'. run is the one that the status names, or nil.
	read []workload.Set
	runs workload.RunSets
	run  *v1alpha1.RolloutRun
}

// The parts of a view: the watch of each may lag by itself.
const (
	partDeployment = iota
	partSets
	partServices
	partRoute
	partRollout
	partRuns
	parts
)

// part is what a view has of one part.
func (v view) part(part int) *cluster {
	return [parts]*cluster{v.deployment, v.sets, v.services, v.routes, v.rollout, v.history}[part]
}

// frozen is what a watch that has stopped shows until it goes on.
type frozen struct {
	shows        *cluster
	since, until time.Time
}

func (w *World) view() view {
	v := view{
		deployment: w.look(partDeployment), sets: w.look(partSets), services: w.look(partServices),
		routes: w.look(partRoute), rollout: w.look(partRollout), history: w.look(partRuns),
	}
	status, cached := v.rollout.rollout.status, &v.deployment.deployment
	rolls := status.Stable != nil && !cached.held() && cached.declared != status.Stable.Revision
	if inHandover(status) || rolls || cached.uid == 0 {
		v.deployment = w.clone()
	}
	if inHandover(status) {
		v.sets = w.withLive(v.sets, status.Run)
	}
	v.read = v.sets.read()
	v.runs = workload.RunSetsOf(v.read, v.runOwner())
	if v.run = v.history.history.named(status.Run); v.run == nil && status.Phase.InRun() {
		// A run that the cache does not know is asked for.
		v.run = w.history.named(status.Run)
	}
	return v
}

// rolloutUID is that of the one Rollout.
const rolloutUID = "rollout"

func uidOf(n int) types.UID {
	if n == 0 {
		return ""
	}
	return types.UID(strconv.Itoa(n))
}

// read is what the controller reads of the ReplicaSets, oldest first.
func (c *cluster) read() []workload.Set {
	all := make([]workload.Set, 0, len(c.sets))
	for _, s := range c.byAge() {
		t := c.tally(s)
		r := workload.Set{
			Name: s.name, UID: uidOf(s.uid), Revision: s.template, Hash: s.hash, Image: imageOf(s.template),
			Desired: s.size, Pods: t.pods, Ready: t.ready, Available: t.available,
			Number: int64(s.number), Borrowed: s.borrowed, Run: s.run, Created: time.Unix(int64(s.created), 0),
		}
		if s.changed != "" || s.former {
			r.Revision += "-changed"
		}
		if s.run != "" || s.marked {
			r.Rollout = "shop"
		}
		switch {
		case s.former && s.ownerRun != "":
			r.ControllerKind, r.ControllerUID = "Rollout", rolloutUID
		case s.ownerRun != "":
			r.ControllerKind, r.ControllerName, r.ControllerUID = "RolloutRun", s.ownerRun, types.UID(s.ownerRun)
		case s.owner != 0:
			r.ControllerKind, r.ControllerName, r.ControllerUID = "Deployment", "shop", uidOf(s.owner)
		}
		all = append(all, r)
	}
	return all
}

func (v view) runOwner() workload.RunOwner {
	s := v.rollout.rollout.status
	o := workload.RunOwner{
		Rollout: "shop", RolloutUID: rolloutUID, Deployment: uidOf(v.deployment.deployment.uid),
		HandOverDecided: s.Promotion != nil && s.Promotion.HandedAt != nil,
		FenceOf:         func(set *workload.Set) int64 { return v.sets.named(set.Name).epoch },
	}
	if s.Phase.InRun() {
		o.Run = s.Run
	}
	if s.Phase == v1alpha1.PhaseRollingBack {
		o.FencedAt = s.Epoch
	}
	return o
}

// inHandover holds from the decision about the first handover to its end: then
// the Deployment and the canary are read past the cache.
func inHandover(s *v1alpha1.RolloutStatus) bool {
	return s.Phase == v1alpha1.PhaseHandingOver || s.Phase == v1alpha1.PhaseRollingBack && s.Promotion != nil && s.Promotion.HandedAt != nil
}

// withLive is a look at the ReplicaSets with the canary and its pods as they are.
func (w *World) withLive(cached *cluster, run string) *cluster {
	c, live := cached.clone(), w.canary(run)
	if live == nil {
		return c
	}
	c.at = w.at
	other := func(uid int) bool { return uid != live.uid }
	c.sets = slices.DeleteFunc(c.sets, func(s set) bool { return !other(s.uid) })
	c.pods = slices.DeleteFunc(c.pods, func(p pod) bool { return !other(p.set) })
	c.sets = append(c.sets, *live)
	for _, p := range w.pods {
		if !other(p.set) {
			c.pods = append(c.pods, p)
		}
	}
	return c
}

// look is a part of the cluster as the controller's cache has it: never older
// than what it saw before, as a watch delivers in order.
func (w *World) look(part int) *cluster {
	if f := w.frozen[part]; w.at.Before(f.until) {
		return f.shows
	}
	for i := len(w.seen) - 1; i > 0; i-- {
		if w.at.Sub(w.seen[i].at) >= w.lags[part] {
			return w.seen[i]
		}
	}
	return w.seen[0]
}

func (w *World) observe(v view) plan.Input {
	status := v.rollout.rollout.status
	in := plan.Input{
		Now: w.at, ReleaseTimeout: releaseTimeout, Watchdog: 10 * time.Second, SteadyFor: w.steadyFor, Name: "shop",
		Spec: w.spec, Status: *status, FinalizerMissing: !v.rollout.rollout.finalizer,
		Workload: v.workload(), Canary: v.candidate(), Route: v.route(),
		Gates:  []plan.Gate{{Name: plan.GateGuard, Outcome: plan.Open, Reason: v1alpha1.ReasonGuardProven}},
		Action: v.rollout.rollout.action, Deleting: v.rollout.rollout.deleting,
	}
	in.Gates = append(in.Gates, w.freeze()...)
	in.Workload.Declared.BaseRevision = w.baseOf(in.Workload.Declared.Revision)
	in.Workload.Stable.BaseRevision = w.baseOf(in.Workload.Stable.Revision)
	w.takeRun(v, &in)
	v.preview(in.Spec.Traffic, &in.Route)
	if in.Spec.ReplicaWeighted() {
		in.Route = v.pods()
	}
	if w.deployment.ordered {
		in.Route = v.orderedPods()
	}
	return in
}

func revision(name string) v1alpha1.Revision {
	return v1alpha1.Revision{Revision: name, Image: imageOf(name)}
}

// baseOf is the revision of a template without the annotations that a restart changes.
func (w *World) baseOf(template string) string {
	if len(w.spec.RestartAnnotations) == 0 || template == "" {
		return ""
	}
	return strings.Repeat(template[:1], 10)
}

func imageOf(template string) string { return "shop:" + template[:1] }

func planSet(s workload.Set) plan.Set {
	return plan.Set{
		Name: s.Name, Revision: s.Revision, Hash: s.Hash, Image: s.Image,
		Desired: s.Desired, Pods: s.Pods, Ready: s.Ready, Available: s.Available,
	}
}

// workload is what observing the Deployment and its sets gives the planner.
func (v view) workload() plan.Workload {
	d, status := &v.deployment.deployment, v.rollout.rollout.status
	if d.uid == 0 {
		return plan.Workload{}
	}
	if d.ordered {
		return v.orderedWorkload()
	}
	out := plan.Workload{
		Found: true, Declared: revision(d.declared), Paused: d.paused, Replicas: d.replicas, Recreate: d.recreate,
		Observed: d.observed >= d.generation, ProgressDeadline: progressDeadline, Marks: d.marks, Lock: d.lock, PushedBy: d.pushedBy, Bypass: d.bypass,
	}
	if since := d.unavailableSince; !since.IsZero() {
		out.UnavailableSince = &since
	}
	if status.Stable != nil {
		if s, ok := workload.Stable(v.read, uidOf(d.uid), status.Stable.Revision); ok {
			out.Stable, out.StableUnmarked = planSet(s), !v.sets.named(s.Name).marked
		}
	}
	if canary := v.runs.Canary; canary != nil {
		if chosen, ok := workload.Chosen(v.read, uidOf(d.uid), *canary, d.declared); ok {
			out.Chosen = chosen.Name
		}
	}
	for _, s := range workload.Active(v.read, uidOf(d.uid)) {
		out.Active = append(out.Active, planSet(s))
	}
	return out
}

func (c *cluster) byAge() []*set {
	var all []*set
	for i := range c.sets {
		all = append(all, &c.sets[i])
	}
	slices.SortFunc(all, func(a, b *set) int { return a.created - b.created })
	return all
}

// canary is the set of the run in progress, whoever controls it.
func (v view) canary() *set {
	if v.runs.Canary == nil {
		return nil
	}
	return v.sets.named(v.runs.Canary.Name)
}

// candidate is what observing the run's set and its pods gives the planner.
func (v view) candidate() plan.Canary {
	if v.deployment.deployment.ordered {
		return v.orderedCandidate()
	}
	c, status, uid := v.sets, v.rollout.rollout.status, uidOf(v.deployment.deployment.uid)
	out := plan.Canary{Handed: v.runs.Handed, Former: v.runs.Former, Adopted: v.runs.Adopted, Leftover: v.runs.Leftover}
	if found := v.runs.Canary; found != nil {
		s := v.canary()
		out.Set, out.Exists, out.Borrowed = planSet(*found), true, found.Borrowed
		out.Recognised = workload.Recognised(*found, v.read, uid)
		out.Changed, out.Epoch = s.changed, s.epoch
	}
	if status.Phase.InRun() && !out.Handed {
		// Pods of a set that the Deployment controls are its own, whatever was tried.
		out.Left = c.count(func(p pod) bool {
			own := c.find(func(s *set) bool { return s.uid == p.set && c.own(s) }) != nil
			return p.run == status.Run && !own && p.exists(c.at) && (p.stays(c.at) || p.endpoint(c.at))
		})
	}
	return out
}

// route is what observing the Services, their endpoints and the route gives.
func (v view) route() plan.Route {
	c, sides := v.services, v.sides(v.rollout.rollout.status)
	n, now := &c.network, c.network.pairNow(c.at)
	out := plan.Route{ServiceMissing: n.serviceGone, ServiceEndpoints: c.behindService(), Narrowed: n.narrowed, NarrowedBy: n.narrowedBy}
	v.weights(&out)
	if sides.stable != "" && now.stable == sides.stable {
		out.StableEndpoints = c.side(now.stable)
	}
	if sides.canary != "" && now.canary == sides.canary {
		out.CanaryEndpoints = c.side(now.canary)
	}
	if wide := n.narrowedAt(c.at); sides.canary != "" && (wide == "" || wide == sides.canary) {
		out.CanaryShare = c.endpoints(sides.canary)
	}
	canary := v.canary()
	out.PairCurrent = sides.stable != "" && n.declared.stable == sides.stable && n.declared.canary != "" &&
		(canary == nil || n.declared.canary == sides.canary)
	return out
}

// weights is what the route says, and what the gateway has acknowledged of it.
func (v view) weights(out *plan.Route) {
	n := &v.routes.network
	switch {
	case n.routeGone:
		out.Acknowledged = true
		out.Fault = plan.Fault{Reason: v1alpha1.ReasonRouteNotFound, Message: `HTTPRoute "web" does not exist`}
	case out.ServiceMissing:
		out.Fault = plan.Fault{Reason: v1alpha1.ReasonServiceNotFound, Message: `Service "shop" does not exist`}
	}
	if n.routeGone {
		return
	}
	out.Acknowledged, out.Epoch = n.acknowledged(v.routes.at), n.routeEpoch
	if !out.Acknowledged {
		out.Unacknowledged = `Gateway "web" has not reported Accepted for the newest generation`
	}
	if n.split != nil {
		weight := *n.split
		out.Split, out.Testers, out.Mirror = &weight, n.testers, n.mirror
	}
}

// sides are the hashes that the pair of Services should select: the stable set's,
// and the canary's, or that of the set which would become it.
func (v view) sides(status *v1alpha1.RolloutStatus) pair {
	c := v.sets
	var p pair
	if v.deployment.deployment.uid == 0 {
		return p
	}
	if status.Stable != nil {
		if s := c.stable(status.Stable.Revision); s != nil {
			p.stable = s.hash
		}
	}
	if status.Candidate == nil || !status.Phase.InRun() {
		return p
	}
	tried := status.Candidate.Revision
	p.canary = tried
	if s := c.find(func(s *set) bool { return c.own(s) && s.equals(tried) && s.size == 0 }); s != nil {
		p.canary = s.hash
	}
	if s := v.canary(); s != nil {
		p.canary = s.hash
	}
	return p
}
