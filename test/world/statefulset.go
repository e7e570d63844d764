package world

import "slices"

// The StatefulSet controller of Kubernetes 1.37.2, pkg/controller/statefulset, with the
// feature MaxUnavailableStatefulSet, which is on by default there: the functions bear the
// names of those they follow, and do in one look what those do in one sync. Its
// ControllerRevisions are the world's sets: each has a template and a number, and no size.

// statefulSet is what a StatefulSet has that a Deployment has not.
type statefulSet struct {
	// ordered is false for a Deployment.
	ordered   bool
	partition int32
	// partitionByOther is set when somebody else than Belay wrote the partition last.
	partitionByOther bool
	// parallel is its podManagementPolicy.
	parallel       bool
	maxUnavailable int32
	// current and update are the names of the revisions in its status.
	current, update string
}

// syncStatefulSet is UpdateStatefulSet.
func (w *World) syncStatefulSet() {
	d := &w.deployment
	w.adoptOrphans()
	current, update := w.getStatefulSetRevisions()
	status := w.computeReplicaStatus(update)
	w.updateStatefulSet(current, update)
	d.current, d.update = current.name, update.name
	if status == (replicaStatus{replicas: d.replicas, ready: d.replicas, updated: d.replicas}) {
		// completeUpdate: whatever the partition says.
		d.current = update.name
	}
	d.observed = d.generation
	w.truncateHistory(current.name, update.name)
}

// getStatefulSetRevisions finds the revision of the declared template, or makes it, and gives
// it the highest number. What is current is what the status says, if that is still there.
func (w *World) getStatefulSetRevisions() (current, update set) {
	d := &w.deployment
	highest := 0
	for i := range w.sets {
		if s := &w.sets[i]; w.own(s) {
			highest = max(highest, s.number)
		}
	}
	declared := w.find(func(s *set) bool { return w.own(s) && s.equals(d.declared) })
	switch {
	case declared == nil:
		made := revisionOf(d.declared)
		made.owner, made.number = d.uid, highest+1
		declared = w.createSet(made)
	case declared.number < highest:
		declared.number = highest + 1
		declared.version++
	}
	current, update = *declared, *declared
	if s := w.named(d.current); s != nil && w.own(s) {
		current = *s
	}
	return current, update
}

// revisionOf is the ControllerRevision of a template, whose name its pods carry as a label.
func revisionOf(template string) set {
	name := "shop-" + template
	return set{name: name, template: template, hash: name, desired: -1, limit: -1}
}

// replicaStatus counts a StatefulSet's pods as its status does: those that are ready include
// those that terminate, and those of the update revision do not.
type replicaStatus struct{ replicas, ready, updated int32 }

func (w *World) computeReplicaStatus(update set) replicaStatus {
	var s replicaStatus
	for i := range w.pods {
		p := &w.pods[i]
		if !w.ownsPod(*p) || !p.exists(w.at) {
			continue
		}
		s.replicas++
		if !w.at.Before(p.readyAt) {
			s.ready++
		}
		if p.stays(w.at) && p.template == update.template {
			s.updated++
		}
	}
	return s
}

// ordinals are the places of a StatefulSet's pods in the world's list: of each ordinal that it
// should have, -1 for one that has none, and of those beyond, the last first.
func (w *World) ordinals() (replicas, condemned []int) {
	replicas = slices.Repeat([]int{-1}, int(w.deployment.replicas))
	for i := range w.pods {
		switch p := &w.pods[i]; {
		case !w.ownsPod(*p) || !p.exists(w.at):
		case p.ordinal < len(replicas):
			replicas[p.ordinal] = i
		default:
			condemned = append(condemned, i)
		}
	}
	slices.SortFunc(condemned, func(a, b int) int { return w.pods[b].ordinal - w.pods[a].ordinal })
	return replicas, condemned
}

// isUnavailable also holds for a pod that is not there, or terminates.
func (w *World) isUnavailable(at int) bool {
	if at < 0 {
		return true
	}
	p := &w.pods[at]
	return !p.stays(w.at) || w.at.Before(p.readyAt.Add(w.deployment.minReady))
}

// updateStatefulSet makes what is missing, takes what is too many, and then replaces pods
// from the partition on.
func (w *World) updateStatefulSet(current, update set) {
	replicas, condemned := w.ordinals()
	if w.processReplicas(replicas, current, update) || w.processCondemned(replicas, condemned) {
		return
	}
	w.updateAfterInvariantEstablished(replicas, update)
}

// processReplicas makes missing pods: those below the partition of the current revision. With
// OrderedReady each pod must be available before anything is done about the next; it reports
// whether the look ends there.
func (w *World) processReplicas(replicas []int, current, update set) bool {
	d := &w.deployment
	for ordinal, at := range replicas {
		if at < 0 {
			if w.room() <= 0 {
				return true
			}
			of := update
			if int32(ordinal) < d.partition {
				of = current
			}
			w.createOrdinal(of, ordinal)
		}
		if !d.parallel && w.isUnavailable(at) {
			return true
		}
	}
	return false
}

// processCondemned ends pods beyond the size, the last first. With OrderedReady it takes one
// at a time, and one that is not available only as the first of those.
func (w *World) processCondemned(replicas, condemned []int) bool {
	d := &w.deployment
	first := slices.IndexFunc(replicas, w.isUnavailable)
	for i, at := range condemned {
		switch p := &w.pods[at]; {
		case !p.stays(w.at) && d.parallel:
			continue
		case !p.stays(w.at):
			return true
		case d.parallel:
			w.end(p, 0)
		default:
			firstUnhealthy := first < 0 && !slices.ContainsFunc(condemned[i+1:], w.isUnavailable)
			if !w.isUnavailable(at) || firstUnhealthy {
				w.end(p, 0)
			}
			return true
		}
	}
	return false
}

// updateAfterInvariantEstablished replaces pods of other revisions than the update's, the last
// ordinal first, as long as fewer than maxUnavailable of all pods are not available.
func (w *World) updateAfterInvariantEstablished(replicas []int, update set) {
	d := &w.deployment
	other := func(at int) bool {
		return at >= 0 && w.pods[at].template != update.template && w.pods[at].stays(w.at)
	}
	var unavailable, hopeless int32
	for _, at := range replicas {
		if w.isUnavailable(at) {
			unavailable++
			hopeless += int32(truth(d.parallel && other(at)))
		}
	}
	budget := max(1, d.maxUnavailable) - unavailable
	if budget <= 0 && hopeless == 0 {
		return
	}
	from := replicas[min(int(d.partition), len(replicas)):]
	last := slices.Clone(from)
	slices.Reverse(last)
	if d.parallel {
		// Those of the old version that serve nobody cost nothing.
		for _, at := range last {
			if other(at) && w.isUnavailable(at) {
				w.end(&w.pods[at], 0)
			}
		}
	}
	for _, at := range last {
		if budget > 0 && other(at) {
			w.end(&w.pods[at], 0)
			budget--
		}
	}
}

// truncateHistory deletes revisions beyond revisionHistoryLimit, the lowest numbers first, but
// none that is in the status or that a pod runs.
func (w *World) truncateHistory(current, update string) {
	var idle []set
	for _, s := range w.sets {
		runs := slices.ContainsFunc(w.pods, func(p pod) bool { return p.set == s.uid && p.exists(w.at) })
		if w.own(&s) && s.name != current && s.name != update && !runs {
			idle = append(idle, s)
		}
	}
	slices.SortFunc(idle, func(a, b set) int { return a.number - b.number })
	for _, s := range idle[:max(0, len(idle)-int(w.deployment.history))] {
		w.deleteSet(s.uid)
	}
}

// createOrdinal makes the pod of an ordinal, which has the name of the one before it and a UID
// of its own.
func (w *World) createOrdinal(of set, ordinal int) {
	w.createPod(&of)
	w.born++
	p := &w.pods[len(w.pods)-1]
	p.ordinal, p.uid = ordinal, w.born
}
