package world

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// poll is how often the judge asks its source; samples need as long again after
// a change of the weight before they say anything.
const poll = 5 * time.Second

// progressDeadline is the Deployment's, Kubernetes' own default.
const progressDeadline = 10 * time.Minute

// rollout is the Rollout and its runs. status is replaced, never changed.
type rollout struct {
	version         int
	status          *v1alpha1.RolloutStatus
	action          *plan.Action
	deleting        *time.Time
	finalizer, gone bool
	runs            []string
}

// view is what the controller's caches hold of each kind of object, and what its
// writes are tested against.
type view struct {
	deployment, sets, network, rollout *cluster
}

func (w *World) view() view {
	v := view{w.look(0), w.look(1), w.look(2), w.look(3)}
	status, cached := v.rollout.rollout.status, &v.deployment.deployment
	rolls := status.Stable != nil && !cached.paused && cached.declared != status.Stable.Revision
	if inHandover(status) || rolls || cached.uid == 0 {
		v.deployment = w.clone()
	}
	if inHandover(status) {
		v.sets = w.withLive(v.sets, status.Run)
	}
	return v
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
		Now: w.at, ReleaseTimeout: releaseTimeout, Watchdog: 10 * time.Second, Calm: 15 * time.Second, Name: "shop",
		Spec: w.spec, Status: *status, FinalizerMissing: !v.rollout.rollout.finalizer,
		Workload: v.workload(), Canary: v.candidate(), Route: v.route(),
		Run:    plan.Run{Next: status.Runs, StablePinned: true},
		Gates:  []plan.Gate{{Name: plan.GateGuard, Outcome: plan.Open, Reason: v1alpha1.ReasonGuardProven}},
		Action: v.rollout.rollout.action, Deleting: v.rollout.rollout.deleting,
	}
	if w.spec.ReplicaWeighted() {
		in.Route = v.pods()
	}
	in.Run.Exists = slices.Contains(v.rollout.rollout.runs, status.Run)
	in.Run.Former = in.Run.Exists && status.Run == w.formerRun
	if in.Run.Exists {
		in.Verdict = w.verdict(status)
	}
	return in
}

func revision(name string) v1alpha1.Revision {
	return v1alpha1.Revision{Revision: name, Image: "shop:" + name[:1]}
}

func (c *cluster) describe(s *set) plan.Set {
	return plan.Set{
		Name: s.name, Revision: s.template, Hash: s.hash, Image: "shop:" + s.template[:1],
		Desired: s.size, Pods: c.podsOf(s), Ready: c.readyOf(s), Available: c.availableOf(s),
	}
}

// workload is what observing the Deployment and its sets gives the planner.
func (v view) workload() plan.Workload {
	d, c, status := &v.deployment.deployment, v.sets, v.rollout.rollout.status
	if d.uid == 0 {
		return plan.Workload{}
	}
	out := plan.Workload{
		Found: true, Declared: revision(d.declared), Paused: d.paused, Replicas: d.replicas, Recreate: d.recreate,
		Observed: d.observed >= d.generation, ProgressDeadline: progressDeadline, Marks: d.marks, Lock: d.lock, PushedBy: d.pushedBy, Bypass: d.bypass,
	}
	if since := d.unavailableSince; !since.IsZero() {
		out.UnavailableSince = &since
	}
	if status.Stable != nil {
		if s := c.stable(status.Stable.Revision); s != nil {
			out.Stable, out.StableUnmarked = c.describe(s), !s.marked
		}
	}
	if canary := v.canary(); canary != nil {
		chosen := c.find(func(s *set) bool { return s.equals(d.declared) && (c.own(s) || s.uid == canary.uid) })
		if chosen != nil {
			out.Chosen = chosen.name
		}
	}
	for _, s := range c.byAge() {
		if c.own(s) && s.size > 0 {
			out.Active = append(out.Active, c.describe(s))
		}
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

// canary is the set of the run in progress, whoever controls it: the Deployment
// only when its handover was decided.
func (v view) canary() *set {
	status := v.rollout.rollout.status
	if !status.Phase.InRun() {
		return nil
	}
	s := v.sets.canary(status.Run)
	decided := status.Promotion != nil && status.Promotion.HandedAt != nil
	if s != nil && v.sets.own(s) && !decided {
		return nil
	}
	return s
}

// candidate is what observing the run's set and its pods gives the planner.
func (v view) candidate() plan.Canary {
	c, status := v.sets, v.rollout.rollout.status
	var out plan.Canary
	found := v.canary()
	if found != nil {
		out = plan.Canary{
			Set: c.describe(found), Exists: true, Handed: c.own(found), Recognised: c.recognised(found),
			Borrowed: found.borrowed, Former: found.former, Changed: found.changed, Epoch: found.epoch,
		}
	}
	if status.Phase.InRun() && !out.Handed {
		out.Left = c.count(func(p pod) bool { return p.run == status.Run && p.exists(c.at) && (p.stays(c.at) || p.endpoint(c.at)) })
	}
	for _, s := range c.byAge() {
		if s.ownerRun != "" && (found == nil || s.uid != found.uid) {
			out.Leftover = s.name
		}
	}
	return out
}

// recognised: the Deployment controller has given the set the highest number.
func (c *cluster) recognised(s *set) bool {
	higher := c.find(func(other *set) bool { return other.uid != s.uid && c.own(other) && other.number >= s.number })
	return s.number > 0 && c.own(s) && higher == nil
}

// route is what observing the Services, their endpoints and the route gives.
func (v view) route() plan.Route {
	n, sides := &v.network.network, v.sides()
	c, now := v.network, n.pairNow(v.network.at)
	out := plan.Route{
		Acknowledged: n.acknowledged(c.at), Epoch: n.routeEpoch, Narrowed: n.narrowed, NarrowedBy: n.narrowedBy,
		ServiceEndpoints: c.behindService(),
	}
	if !out.Acknowledged {
		out.Unacknowledged = `Gateway "web" has not reported Accepted for the newest generation`
	}
	if n.split != nil {
		weight := *n.split
		out.Split = &weight
	}
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

// sides are the hashes that the pair of Services should select: the stable set's,
// and the canary's, or that of the set which would become it.
func (v view) sides() pair {
	c, status := v.sets, v.rollout.rollout.status
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

// verdict is what the analysis loop has written by now, summed up as the Rollout
// loop does.
func (w *World) verdict(status *v1alpha1.RolloutStatus) plan.Verdict {
	from := status.StageStart(w.at)
	at := metav1.NewMicroTime(w.at.Truncate(poll))
	samples := metav1.NewMicroTime(from)
	t := &v1alpha1.TriggerAnalysis{Outcome: v1alpha1.VerdictPass, Reason: "Healthy", EvaluatedAt: &at, SamplesFrom: &samples}
	switch {
	case w.failing == status.Run:
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictFail, "BurnRate", "5.0 % errors"
	case w.at.Before(w.blindUntil):
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictError, "Unreachable", "connection refused"
	case at.Sub(from) < 2*poll:
		t.Outcome, t.Reason, t.Message = v1alpha1.VerdictInconclusive, "TooFewSamples", "100 of 200 requests"
	}
	armed := []plan.Armed{{Guardrail: "shop", Trigger: "errors", SilentAfter: 6 * poll, Verdict: t}}
	return plan.Sum(armed, from, w.at)
}
