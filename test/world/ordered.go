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
		d.partition = v1alpha1.PartitionHold
		return
	}
	d.paused = true
}

// release lets what is declared roll.
func (d *deployment) release() { d.paused, d.partition = false, 0 }

// podName of an ordinal, which its pods share.
func podName(ordinal int) string { return "shop-" + strconv.Itoa(ordinal) }

// due is the template of which the StatefulSet controller would make the pod of an ordinal.
func (d *deployment) due(c *cluster, ordinal int) string {
	if int32(ordinal) < d.partition {
		if s := c.named(d.current); s != nil {
			return s.template
		}
	}
	return d.declared
}

// placed are the pods that are not terminating, the last ordinal first.
func (c *cluster) placed() []pod {
	var all []pod
	for _, p := range c.pods {
		if p.exists(c.at) && p.stays(c.at) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b pod) int { return b.ordinal - a.ordinal })
	return all
}

// misplaced are the pods that would be made again in another version, and that nobody replaces:
// those below the partition, and one that is not ready, for which OrderedReady waits.
func (v view) misplaced() []plan.Pod {
	c, d := v.sets, &v.deployment.deployment
	var unready, ready []plan.Pod
	for _, p := range c.placed() {
		is := plan.Pod{Name: podName(p.ordinal), Ready: p.ready(c.at)}
		switch stays := int32(p.ordinal) < d.partition; {
		case int32(p.ordinal) >= d.replicas || p.template == d.due(c, p.ordinal):
		case !is.Ready:
			unready = append(unready, is)
		case stays:
			ready = append(ready, is)
		}
	}
	return append(unready, ready...)
}

func planRevision(s *set, t tally, desired int32) plan.Set {
	return plan.Set{Name: s.name, Revision: s.template, Hash: s.hash, Image: imageOf(s.template), Desired: desired, Pods: t.pods, Ready: t.ready, Available: t.available}
}

// orderedWorkload is what observing the StatefulSet, its revisions and its pods gives.
func (v view) orderedWorkload() plan.Workload {
	d, status, c := &v.deployment.deployment, v.rollout.rollout.status, v.sets
	update := v.deployment.named(d.update)
	out := plan.Workload{
		Found: true, Declared: revision(d.declared), Replicas: d.replicas, Held: d.partition == v1alpha1.PartitionHold, MaxUnavailable: max(1, d.maxUnavailable),
		Observed:         d.observed >= d.generation && update != nil && update.template == d.declared,
		ProgressDeadline: progressDeadline, Marks: d.marks, PushedBy: d.pushedBy, Bypass: d.bypass,
		Paused: d.partition > 0 || releasedByBelay(status, d.declared),
	}
	if since := d.unavailableSince; !since.IsZero() {
		out.UnavailableSince = &since
	}
	for _, s := range c.byAge() {
		t := c.tally(s)
		if stable := status.Stable; stable != nil && s.template == stable.Revision {
			desired := d.replicas
			if status.Phase.InRun() {
				desired = min(d.partition, d.replicas)
			}
			out.Stable = planRevision(s, t, desired)
		}
		if t.pods > 0 {
			out.Active = append(out.Active, planRevision(s, t, t.pods))
		}
	}
	return out
}

// releasedByBelay is whether a partition of 0 is a decision of the run in progress.
func releasedByBelay(status *v1alpha1.RolloutStatus, declared string) bool {
	p := status.Promotion
	ours := status.Phase == v1alpha1.PhaseHandingOver || status.Phase == v1alpha1.PhaseRollingBack
	return ours && p != nil && p.Mode == v1alpha1.TakeOverHandOver && p.HandingSince != nil && status.Candidate.Revision == declared
}

// orderedCandidate is what observing the candidate's pods gives.
func (v view) orderedCandidate() plan.Canary {
	d, status, c := &v.deployment.deployment, v.rollout.rollout.status, v.sets
	if status.Candidate == nil || !status.Phase.InRun() {
		return plan.Canary{}
	}
	out := plan.Canary{Misplaced: v.misplaced()}
	tried := status.Candidate.Revision
	s := c.find(func(s *set) bool { return s.equals(tried) })
	if s == nil {
		return out
	}
	if d.declared == tried {
		out.Desired = max(0, d.replicas-d.partition)
	}
	t := c.tally(s)
	out.Set = planRevision(s, t, out.Desired)
	out.Exists = t.pods > 0 || out.Desired > 0
	out.Handed = d.current == s.name
	out.Left = t.pods
	return out
}

// orderedPods is what observing the pods gives in the place of a route.
func (v view) orderedPods() plan.Route {
	out, c, status := plan.Route{Acknowledged: true, PairCurrent: true}, v.sets, v.rollout.rollout.status
	for _, p := range c.placed() {
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

// setPartition leaves the candidate so many pods.
func (w *World) setPartition(v view, pods int32) error {
	seen, d := &v.deployment.deployment, &w.deployment
	partition := seen.replicas - pods
	if pods == 0 {
		partition = v1alpha1.PartitionHold
	}
	if d.uid != seen.uid || d.version != seen.version {
		return errConflict
	}
	if d.partition != partition {
		w.judgePartition(partition)
		w.specWrite(func() { d.partition = partition })
	}
	return nil
}

// replacePods deletes pods as they were seen, by UID, unless the StatefulSet has changed since.
func (w *World) replacePods(e plan.ReplacePods, v view) error {
	seen, d := &v.deployment.deployment, &w.deployment
	if d.uid != seen.uid || d.partition != seen.partition || d.declared != seen.declared || d.current != seen.current {
		return errConflict
	}
	var taken []*pod
	for _, was := range v.sets.placed() {
		if !slices.Contains(e.Names, podName(was.ordinal)) {
			continue
		}
		for i := range w.pods {
			if p := &w.pods[i]; p.uid == was.uid && p.stays(w.at) {
				taken = append(taken, p)
			}
		}
	}
	w.judgeReplacement(taken)
	for _, p := range taken {
		w.end(p, 0)
	}
	return nil
}
