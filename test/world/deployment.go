package world

import (
	"math"
	"slices"
)

// The Deployment controller of Kubernetes 1.37.2, pkg/controller/deployment: the
// functions bear the names of those they follow, and do in one look what those do
// in one sync.

// syncWorkload is one look of the controller of the workload's kind.
func (w *World) syncWorkload() {
	switch d := &w.deployment; {
	case d.uid == 0:
	case d.ordered:
		w.syncStatefulSet()
	default:
		w.syncDeployment()
	}
}

// adoptOrphans makes the workload the owner of sets that nobody controls.
func (w *World) adoptOrphans() {
	for i := range w.sets {
		if s := &w.sets[i]; s.owner == 0 && s.ownerRun == "" {
			s.owner = w.deployment.uid
			s.version++
		}
	}
}

// syncDeployment is deployment_controller.go.
func (w *World) syncDeployment() {
	d := &w.deployment
	w.adoptOrphans()
	current, others := w.sides()
	w.getNewReplicaSet(current, others)
	switch {
	case d.paused:
		w.scale(current, others)
		w.cleanupDeployment(others)
	case w.isScalingEvent():
		w.scale(current, others)
	case d.recreate:
		w.rolloutRecreate(current, others)
	default:
		w.rolloutRolling(current, others)
	}
	d.observed = d.generation
}

// getNewReplicaSet writes the revision on the set of the declared template: one
// more than any other's.
func (w *World) getNewReplicaSet(current *set, others []*set) {
	if current == nil {
		return
	}
	highest := 0
	for _, s := range others {
		highest = max(highest, s.number)
	}
	if current.number < highest+1 {
		current.number = highest + 1
		current.version++
	}
}

// isScalingEvent: some active set does not know the Deployment's size.
func (w *World) isScalingEvent() bool {
	return slices.ContainsFunc(w.sets, func(s set) bool {
		return w.own(&s) && s.size > 0 && s.desired >= 0 && s.desired != w.deployment.replicas
	})
}

// scale is sync.go.
func (w *World) scale(current *set, others []*set) {
	d := &w.deployment
	active := activeOf(current, others)
	switch {
	case len(active) == 0:
		if latest := latestOf(current, others); latest != nil {
			w.scaleReplicaSet(latest, d.replicas, false)
		}
	case len(active) == 1:
		w.scaleReplicaSet(active[0], d.replicas, false)
	case w.isSaturated(current):
		for _, s := range others {
			w.scaleReplicaSet(s, 0, false)
		}
	case !d.recreate:
		w.scaleProportionally(active)
	}
}

func activeOf(current *set, others []*set) []*set {
	var active []*set
	for _, s := range append(slices.Clone(others), current) {
		if s != nil && s.size > 0 {
			active = append(active, s)
		}
	}
	return active
}

func latestOf(current *set, others []*set) *set {
	if current != nil || len(others) == 0 {
		return current
	}
	return others[len(others)-1]
}

func (w *World) isSaturated(s *set) bool {
	n := w.deployment.replicas
	return s != nil && s.size == n && s.desired == n && w.availableOf(s) == n
}

// scaleProportionally spreads what is to be added or removed by size, and gives
// the rest to the largest set.
func (w *World) scaleProportionally(active []*set) {
	d := &w.deployment
	allowed := int32(0)
	if d.replicas > 0 {
		allowed = d.replicas + w.maxSurge()
	}
	add := allowed
	for _, s := range active {
		add -= s.size
	}
	slices.SortStableFunc(active, func(a, b *set) int {
		switch {
		case a.size != b.size:
			return int(b.size - a.size)
		case add > 0:
			return b.created - a.created
		default:
			return a.created - b.created
		}
	})
	sizes, added := make([]int32, len(active)), int32(0)
	for i, s := range active {
		proportion := w.proportion(s, add, added)
		sizes[i] = s.size + proportion
		added += proportion
	}
	sizes[0] = max(0, sizes[0]+add-added)
	for i, s := range active {
		w.scaleReplicaSet(s, sizes[i], true)
	}
}

// proportion is GetReplicaSetProportion and getReplicaSetFraction.
func (w *World) proportion(s *set, add, added int32) int32 {
	d := &w.deployment
	if s.size == 0 || add == 0 || add == added {
		return 0
	}
	fraction := -s.size
	if d.replicas > 0 {
		before := s.limit
		if before <= 0 {
			before = w.count(func(p pod) bool { return w.ownsPod(p) && p.stays(w.at) })
		}
		if before == 0 {
			return 0
		}
		fraction = int32(math.Round(float64(s.size*(d.replicas+w.maxSurge()))/float64(before))) - s.size
	}
	if add > 0 {
		return min(fraction, add-added)
	}
	return max(fraction, add-added)
}

func (w *World) ownsPod(p pod) bool {
	return slices.ContainsFunc(w.sets, func(s set) bool { return s.uid == p.set && w.own(&s) })
}

func (w *World) scaleReplicaSet(s *set, size int32, force bool) bool {
	n := w.deployment.replicas
	if !force && s.size == size {
		return false
	}
	limit := n + w.maxSurge()
	if s.size == size && s.desired == n && s.limit == limit {
		return false
	}
	scaled := s.size != size
	s.size, s.desired, s.limit = size, n, limit
	s.version++
	return scaled
}

// fenceposts are 25 % each, as Kubernetes' own defaults.
func (w *World) maxSurge() int32 {
	if w.deployment.recreate {
		return 0
	}
	return (w.deployment.replicas + 3) / 4
}

func (w *World) maxUnavailable() int32 {
	switch {
	case w.deployment.recreate:
		return 0
	case w.deployment.ordered:
		return max(1, w.deployment.maxUnavailable)
	}
	return w.deployment.replicas / 4
}

// cleanupDeployment deletes idle sets beyond revisionHistoryLimit, the lowest
// revisions first.
func (w *World) cleanupDeployment(others []*set) {
	excess := len(others) - int(w.deployment.history)
	if excess <= 0 {
		return
	}
	byRevision := slices.Clone(others)
	slices.SortStableFunc(byRevision, func(a, b *set) int { return a.number - b.number })
	var idle []int
	for _, s := range byRevision[:excess] {
		if s.size == 0 && w.podsOf(s) == 0 {
			idle = append(idle, s.uid)
		}
	}
	for _, uid := range idle {
		w.deleteSet(uid)
	}
}

// rolloutRolling is rolling.go.
func (w *World) rolloutRolling(current *set, others []*set) {
	n := w.deployment.replicas
	if current == nil {
		w.createNewSet(others)
		return
	}
	switch {
	case current.size > n && w.scaleReplicaSet(current, n, false):
		return
	case current.size < n && w.scaleReplicaSet(current, w.newReplicas(current, others), false):
		return
	}
	if w.reconcileOldReplicaSets(current, others) {
		return
	}
	if w.complete(current) {
		w.cleanupDeployment(others)
	}
}

func sum(sets []*set) int32 {
	var n int32
	for _, s := range sets {
		n += s.size
	}
	return n
}

func (w *World) newReplicas(current *set, others []*set) int32 {
	n := w.deployment.replicas
	if w.deployment.recreate {
		return n
	}
	room := n + w.maxSurge() - sum(others) - current.size
	if room <= 0 {
		return current.size
	}
	return current.size + min(room, n-current.size)
}

func (w *World) createNewSet(others []*set) {
	highest := 0
	for _, s := range others {
		highest = max(highest, s.number)
	}
	declared := w.deployment.declared
	s := set{
		name: "shop-hash-" + declared, template: declared, hash: "hash-" + declared,
		owner: w.deployment.uid, number: highest + 1, desired: w.deployment.replicas, limit: w.deployment.replicas + w.maxSurge(),
	}
	s.size = w.newReplicas(&s, others)
	w.createSet(s)
}

func (w *World) reconcileOldReplicaSets(current *set, others []*set) bool {
	n := w.deployment.replicas
	if sum(others) == 0 {
		return false
	}
	spare := sum(others) + current.size - (n - w.maxUnavailable()) - (current.size - w.availableOf(current))
	if spare <= 0 {
		return false
	}
	down, ok := w.cleanupUnhealthyReplicas(others, spare)
	if !ok {
		return false
	}
	available := w.availableOf(current)
	for _, s := range others {
		available += w.availableOf(s)
	}
	room := available - (n - w.maxUnavailable())
	for _, s := range others {
		take := min(s.size, room)
		if take <= 0 {
			continue
		}
		w.scaleReplicaSet(s, s.size-take, false)
		room -= take
		down += take
	}
	return down > 0
}

// cleanupUnhealthyReplicas reports false for an older set that has more available pods
// than it still wants: the sync ends there, and another follows the set's status.
func (w *World) cleanupUnhealthyReplicas(others []*set, most int32) (int32, bool) {
	down := int32(0)
	for _, s := range others {
		if down >= most {
			break
		}
		unhealthy := min(most-down, s.size-w.availableOf(s))
		switch {
		case s.size == 0 || unhealthy == 0:
			continue
		case unhealthy < 0:
			return 0, false
		}
		w.scaleReplicaSet(s, s.size-unhealthy, false)
		down += unhealthy
	}
	return down, true
}

// complete is DeploymentComplete.
func (w *World) complete(current *set) bool {
	n := w.deployment.replicas
	all := w.count(func(p pod) bool { return w.ownsPod(p) && p.stays(w.at) })
	return w.podsOf(current) == n && all == n && w.availableOf(current) == n
}

// rolloutRecreate is recreate.go: the old pods are gone before the new set is made.
func (w *World) rolloutRecreate(current *set, others []*set) {
	scaled := false
	for _, s := range others {
		scaled = w.scaleReplicaSet(s, 0, false) || scaled
	}
	if scaled {
		return
	}
	for _, s := range others {
		if w.count(func(p pod) bool { return p.set == s.uid }) > 0 {
			return
		}
	}
	if current == nil {
		w.createNewSet(others)
		return
	}
	w.scaleReplicaSet(current, w.deployment.replicas, false)
	if w.complete(current) {
		w.cleanupDeployment(others)
	}
}
