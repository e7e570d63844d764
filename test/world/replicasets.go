package world

import (
	"slices"
)

// createSet adds a ReplicaSet, younger than all others.
func (w *World) createSet(s set) *set {
	w.born++
	s.uid, s.created, s.version = w.born, w.born, 1
	w.sets = append(w.sets, s)
	return &w.sets[len(w.sets)-1]
}

// deleteSet removes a ReplicaSet; the garbage collector comes to its pods later.
func (w *World) deleteSet(uid int) {
	w.sets = slices.DeleteFunc(w.sets, func(s set) bool { return s.uid == uid })
	for i := range w.pods {
		if p := &w.pods[i]; p.set == uid && p.goes.IsZero() {
			w.end(p, 3)
		}
	}
}

// end lets a pod terminate within the given seconds.
func (w *World) end(p *pod, within float64) {
	p.goes = w.at.Add(w.delay(0, within))
	p.leaves = p.goes.Add(w.delay(0, 1))
	p.end = p.leaves.Add(w.delay(0.5, 30))
}

// collectGarbage deletes the sets of Deployments that are gone.
func (w *World) collectGarbage() {
	var orphans []int
	for i := range w.sets {
		if s := &w.sets[i]; s.owner != 0 && s.owner != w.deployment.uid {
			orphans = append(orphans, s.uid)
		}
	}
	for _, uid := range orphans {
		w.deleteSet(uid)
	}
}

// setsOff is whether some set has not the pods that it wants.
func (w *World) setsOff() bool {
	return slices.ContainsFunc(w.sets, func(s set) bool {
		have := w.podsOf(&s)
		return have > s.size || have < s.size && w.room() > 0
	})
}

// room is how many more pods the quota allows.
func (w *World) room() int32 {
	if w.quota == 0 {
		return 1 << 20
	}
	return w.quota - w.count(func(p pod) bool { return p.exists(w.at) })
}

// syncSets is the ReplicaSet controller: it makes missing pods, and ends those
// that are too many, the unready and the youngest first.
func (w *World) syncSets() {
	for i := range w.sets {
		s := &w.sets[i]
		for w.podsOf(s) < s.size && w.room() > 0 {
			w.createPod(s)
		}
		for w.podsOf(s) > s.size {
			w.end(w.dispensable(s), 0)
		}
	}
}

func (w *World) createPod(s *set) {
	ready := w.at.Add(w.delay(0.5, 12))
	if slices.Contains(w.neverReady, s.template) {
		ready = w.at.Add(2 * limitTime)
	}
	p := pod{set: s.uid, template: s.template, hash: s.hash, readyAt: ready, endpointAt: ready.Add(w.delay(0, 1))}
	if s.ownerRun != "" {
		p.run = s.ownerRun
	}
	w.pods = append(w.pods, p)
	w.judgeBirth(s)
}

func (w *World) dispensable(s *set) *pod {
	var worst *pod
	for i := range w.pods {
		p := &w.pods[i]
		if p.set == s.uid && p.stays(w.at) && (worst == nil || p.readyAt.After(worst.readyAt)) {
			worst = p
		}
	}
	return worst
}

// losePod takes one ready pod of a version away, as a node that fails does.
func (w *World) losePod(template string) {
	for i := range w.pods {
		if p := &w.pods[i]; p.template == template && p.ready(w.at) {
			w.disturb()
			w.end(p, 0)
			return
		}
	}
}

// loseCanary makes the canary's pods unready for a while.
func (w *World) loseCanary() {
	w.disturb()
	canary := w.canary(w.rollout.status.Run)
	for i := range w.pods {
		if p := &w.pods[i]; canary != nil && p.set == canary.uid {
			p.readyAt = w.at.Add(seconds(300))
			p.endpointAt = p.readyAt
		}
	}
}
