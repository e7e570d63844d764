package world

import (
	"slices"
	"strconv"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Rollouts of a StatefulSet: what the controller reads of it, and writes.

// asStatefulSet makes the workload one.
func asStatefulSet(w *World) {
	w.deployment.ordered = true
	w.spec.WorkloadRef.Kind = v1alpha1.KindStatefulSet
	w.spec.Traffic = nil
	w.spec.Steps = []v1alpha1.Step{{Weight: 25, Hold: duration(time.Minute)}, {Weight: 50, Hold: duration(time.Minute)}}
}

// held is whether the declared template waits: a Deployment is paused, or a StatefulSet's
// partition is above all ordinals.
func (d *deployment) held() bool {
	return d.paused || d.ordered && d.partition == v1alpha1.PartitionHold
}

// hold is what the guard does to a template that is pushed.
func (d *deployment) hold() {
	if d.ordered {
		d.partition, d.partitionByOther = v1alpha1.PartitionHold, true
		return
	}
	d.paused = true
}

// release is what a person does to let roll what is declared.
func (d *deployment) release() { d.paused, d.partition, d.partitionByOther = false, 0, true }

// podName of an ordinal, which its pods share.
func podName(ordinal int) string { return "shop-" + strconv.Itoa(ordinal) }

// due is the revision of which the StatefulSet controller would make the pod of an ordinal.
func (d *deployment) due(ordinal int) string {
	if int32(ordinal) < d.partition {
		return d.current
	}
	return d.update
}

// placed are a StatefulSet's pods that are neither terminating nor beyond its size, the last
// ordinal first.
func (c *cluster) placed(replicas int32) []pod {
	var all []pod
	for _, p := range c.pods {
		if p.exists(c.at) && p.stays(c.at) && int32(p.ordinal) < replicas {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b pod) int { return b.ordinal - a.ordinal })
	return all
}

// misplaced are the pods that would be made again in another version and that nobody replaces:
// those below the partition and, where asked for, those that are not ready, for which
// OrderedReady waits. Those that are not ready come first.
func (c *cluster) misplaced(d *deployment, blocked bool) []pod {
	var unready, ready []pod
	for _, p := range c.placed(d.replicas) {
		below := int32(p.ordinal) < d.partition
		switch isReady := p.ready(c.at); {
		case p.hash == d.due(p.ordinal) || !below && (!blocked || isReady):
		case isReady:
			ready = append(ready, p)
		default:
			unready = append(unready, p)
		}
	}
	return append(unready, ready...)
}

// rollsByItself is a run that the StatefulSet's own strategy carries out.
func rollsByItself(status *v1alpha1.RolloutStatus) bool {
	p := status.Promotion
	return status.Phase == v1alpha1.PhaseHandingOver && p != nil && p.Mode != "" && p.Mode != v1alpha1.TakeOverHandOver
}

// heldBack is whether a StatefulSet does not roll by itself to what it declares: its partition
// keeps some pods, or Belay itself has lowered that for the candidate that is declared.
func heldBack(d *deployment, status *v1alpha1.RolloutStatus) bool {
	if d.partition > 0 || status.Candidate == nil || status.Candidate.Revision != d.declared {
		return d.partition > 0
	}
	takesLast := status.Phase == v1alpha1.PhaseHandingOver && !rollsByItself(status)
	return (status.Phase.Armed() || takesLast || status.Phase == v1alpha1.PhaseRollingBack) && !d.partitionByOther
}

// version is what the controller sees of a ControllerRevision and its pods.
func (v view) version(s *set) plan.Set {
	d, c := &v.deployment.deployment, v.sets
	out := plan.Set{Name: s.name, Revision: s.template, Hash: s.hash, Image: imageOf(s.template)}
	for _, p := range c.placed(d.replicas) {
		if p.set != s.uid {
			continue
		}
		out.Pods++
		out.Ready += int32(truth(p.ready(c.at)))
		out.Available += int32(truth(!c.at.Before(p.readyAt.Add(d.minReady))))
	}
	out.Desired = out.Pods
	return out
}

// orderedWorkload is what observing the StatefulSet, its revisions and its pods gives.
func (v view) orderedWorkload() plan.Workload {
	d, status, c := &v.deployment.deployment, v.rollout.rollout.status, v.sets
	update := c.named(d.update)
	out := plan.Workload{
		Found: true, Declared: revision(d.declared), Replicas: d.replicas, Held: d.partition == v1alpha1.PartitionHold, MaxUnavailable: max(1, d.maxUnavailable),
		Observed:         d.observed >= d.generation && update != nil && update.template == d.declared,
		ProgressDeadline: progressDeadline, Marks: d.marks, PushedBy: d.pushedBy, Bypass: d.bypass, Paused: heldBack(d, status),
	}
	if since := d.unavailableSince; !since.IsZero() {
		out.UnavailableSince = &since
	}
	candidate := v.orderedCandidate()
	var toCome *plan.Set
	for _, s := range c.byAge() {
		is := v.version(s)
		if stable := status.Stable; stable != nil && s.template == stable.Revision {
			out.Stable = is
			out.Stable.Desired = d.replicas
			if status.Phase.InRun() {
				out.Stable.Desired = min(d.partition, d.replicas)
			}
		}
		onTrial := candidate.Name == s.name && !candidate.Handed
		if is.Pods > 0 && !onTrial {
			out.Active = append(out.Active, is)
		}
		if s.name == d.due(0) && d.replicas > 0 && !onTrial {
			is.Desired = d.replicas
			toCome = &is
		}
	}
	if len(out.Active) == 0 && toCome != nil {
		out.Active = []plan.Set{*toCome}
	}
	return out
}

// orderedCandidate is what observing the candidate's pods gives.
func (v view) orderedCandidate() plan.Canary {
	d, status, c := &v.deployment.deployment, v.rollout.rollout.status, v.sets
	if d.uid == 0 || status.Candidate == nil || !status.Phase.InRun() {
		return plan.Canary{}
	}
	var out plan.Canary
	current := c.named(d.current)
	isStable := current != nil && status.Stable != nil && current.template == status.Stable.Revision
	mayComeBack := isStable || current != nil && rollsByItself(status) && current.template == status.Candidate.Revision
	for _, p := range c.misplaced(d, rollsByItself(status)) {
		if int32(p.ordinal) < d.partition && !mayComeBack {
			continue
		}
		out.Misplaced = append(out.Misplaced, plan.Pod{Name: podName(p.ordinal), Ready: p.ready(c.at)})
	}
	tried := status.Candidate.Revision
	out.Revision = tried
	s := c.find(func(s *set) bool { return s.equals(tried) && c.own(s) })
	if s == nil {
		return out
	}
	out.Set = v.version(s)
	out.Desired = 0
	if d.declared == tried {
		out.Desired = max(0, d.replicas-d.partition)
	}
	out.Left, out.Exists = out.Pods, out.Desired > 0 || out.Pods > 0
	out.Handed = rollsByItself(status) || current != nil && !isStable
	return out
}

// orderedPods is what observing the pods gives in the place of a route.
func (v view) orderedPods() plan.Route {
	out, c, status := plan.Route{Acknowledged: true, PairCurrent: true}, v.sets, v.rollout.rollout.status
	for _, p := range c.placed(v.deployment.deployment.replicas) {
		if !p.ready(c.at) {
			continue
		}
		out.ServiceEndpoints++
		switch {
		case status.Stable != nil && p.template == status.Stable.Revision:
			out.StableEndpoints++
		case status.Candidate != nil && p.template == status.Candidate.Revision:
			out.CanaryEndpoints++
		}
	}
	out.CanaryShare = out.CanaryEndpoints
	return out
}

// setPartition leaves the candidate so many pods. What it rests on must not have changed; one
// that holds every pod back rests on nothing.
func (w *World) setPartition(v view, partition int32, status *v1alpha1.RolloutStatus) error {
	seen, d := &v.deployment.deployment, &w.deployment
	same := d.partition == seen.partition && d.replicas == seen.replicas && d.declared == seen.declared
	if d.uid != seen.uid || partition != v1alpha1.PartitionHold && (!same || !w.stillDecided(status)) {
		return errConflict
	}
	if seen.partition != partition {
		w.judgePartition(partition)
		w.specWrite(func() { d.partition, d.partitionByOther = partition, false })
	}
	return nil
}

// partitionFor leaves the candidate so many pods, and with none holds also those that come.
func partitionFor(replicas, pods int32) int32 {
	if pods == 0 {
		return v1alpha1.PartitionHold
	}
	return max(0, replicas-pods)
}

// replacePods deletes pods as they were seen, if they would still be made again in another
// version and as many serve as may be missing.
func (w *World) replacePods(e plan.ReplacePods, v view, status *v1alpha1.RolloutStatus) error {
	seen, d := &v.deployment.deployment, &w.deployment
	if d.uid != seen.uid || d.current != seen.current {
		return errConflict
	}
	blocked := rollsByItself(status)
	now := w.misplaced(d, blocked)
	var going []pod
	for _, was := range v.sets.misplaced(seen, rollsByItself(v.rollout.rollout.status)) {
		same := func(p pod) bool { return p.uid == was.uid }
		switch {
		case !slices.Contains(e.Names, podName(was.ordinal)) || !slices.ContainsFunc(w.placed(d.replicas), same):
		case !slices.ContainsFunc(now, same):
			return errConflict
		default:
			going = append(going, was)
		}
	}
	taken, serving := int32(0), int32(0)
	for _, p := range w.placed(d.replicas) {
		serves := p.ready(w.at)
		serving += int32(truth(serves))
		taken += int32(truth(serves && slices.ContainsFunc(going, func(g pod) bool { return g.uid == p.uid })))
	}
	if taken > 0 && d.replicas-serving+taken > w.maxUnavailable() {
		return errConflict
	}
	w.judgeReplacement(going)
	for i := range w.pods {
		if p := &w.pods[i]; slices.ContainsFunc(going, func(g pod) bool { return g.uid == p.uid }) {
			w.end(p, 0)
		}
	}
	return nil
}

// raisePartition is a person's, who lets what rolled roll on, by a bypass, two minutes later.
func (w *World) raisePartition() {
	rolled := !w.deployment.held()
	w.specWrite(w.deployment.hold)
	w.later(2*time.Minute, func(w *World) {
		if rolled && w.deployment.held() && rollsByItself(w.rollout.status) {
			w.bypass(w.deployment.declared)
		}
	})
}

// lowerPartition is a person's whom no guard has kept from it: one more pod gets what is declared.
func (w *World) lowerPartition() {
	d := &w.deployment
	if d.partition > 0 {
		w.specWrite(func() { d.partition, d.partitionByOther = max(1, min(d.partition, d.replicas)-1), true })
	}
}
