package world

import (
	"errors"
	"fmt"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

var (
	// errConflict is a write that was decided on what has changed since.
	errConflict = errors.New("the object has been modified")
	// errRefused is a write that the API server does not take, whoever repeats it.
	errRefused = errors.New("exceeded quota")
	// errCrashed ends an effect between two of its writes.
	errCrashed = errors.New("the controller stopped")
)

// act carries out an effect on the cluster as it is now. What was decided on an
// older version of the object it writes is refused.
func (w *World) act(effect plan.Effect, v view, status *v1alpha1.RolloutStatus) error {
	if w.traffic() == nil && writesRoutes(effect) {
		w.broken("%s, and no route is named", effect)
	}
	switch e := effect.(type) {
	case plan.AddFinalizer:
		return w.writeRollout(v, func(r *rollout) { r.finalizer = true })
	case plan.Leave:
		return w.leave(v)
	case plan.CreateRun:
		w.createRun(w.trafficOf(v.run, v.rollout.rollout.status), v.sets.stable(status.Stable.Revision), status)
	case plan.PointServices:
		return w.onPair(v, func() { w.point(v.sides(status)) })
	case plan.NarrowService:
		return w.onService(v, func() { w.narrow(e.Hash, "") })
	case plan.PointPreview:
		return w.onPreview(v, func() { w.pointPreview(e.Hash) })
	case plan.RemovePreview:
		return w.onPreview(v, w.removePreview)
	case plan.SetSplit:
		if w.network.routeGone {
			return errRefused
		}
		return w.onRoute(v, func() { w.setRoute(distribution{&e.Weight, e.Testers, e.Mirror}, status.Epoch) })
	case plan.ReleaseRoute:
		if w.network.routeGone {
			return nil
		}
		return w.onRoute(v, func() { w.setRoute(distribution{}, status.Epoch) })
	case plan.ReplacePods:
		return w.replacePods(e, v, status)
	case plan.ScaleCanary, plan.RemoveCanary, plan.RemoveLeftover, plan.FenceCanary, plan.TakeBack:
		return w.actOnCanary(effect, v, status)
	default:
		return w.actOnDeployment(effect, v, status)
	}
	return nil
}

// leave removes what Belay has made and marked, the finalizer last.
func (w *World) leave(v view) error {
	n, d := &w.network, &w.deployment
	n.before, n.declared = pair{}, pair{}
	n.pairVersion++
	if n.preview.exists && !n.preview.foreign {
		w.removePreview()
	}
	if w.interrupted("removed the pair") {
		return errCrashed
	}
	if d.uid != 0 {
		d.marks, d.lock = plan.Marks{}, ""
		d.version++
	}
	return w.writeRollout(v, func(r *rollout) { r.finalizer, r.gone = false, r.deleting != nil })
}

func (w *World) writeRollout(v view, write func(*rollout)) error {
	if v.rollout.rollout.version != w.rollout.version {
		return errConflict
	}
	write(&w.rollout)
	w.rollout.version++
	return nil
}

func (w *World) onPair(v view, write func()) error {
	if v.services.network.pairVersion != w.network.pairVersion {
		return errConflict
	}
	write()
	return nil
}

func (w *World) onService(v view, write func()) error {
	if v.services.network.serviceVersion != w.network.serviceVersion {
		return errConflict
	}
	write()
	return nil
}

func (w *World) onRoute(v view, write func()) error {
	if w.routesRefused {
		return errRefused
	}
	if v.routes.network.routeVersion != w.network.routeVersion {
		return errConflict
	}
	write()
	return nil
}

// seenSet returns a set as it is now, when it is still as it was seen.
func (w *World) seenSet(seen *set) (*set, error) {
	now := w.find(func(s *set) bool { return s.uid == seen.uid })
	if now == nil || now.version != seen.version {
		return nil, errConflict
	}
	return now, nil
}

func (w *World) actOnCanary(effect plan.Effect, v view, status *v1alpha1.RolloutStatus) error {
	if e, ok := effect.(plan.TakeBack); ok {
		return w.takeBack(e.Name, v, status)
	}
	if e, ok := effect.(plan.RemoveLeftover); ok {
		if seen := v.sets.named(e.Name); seen != nil {
			w.judgeRemoval(seen)
			return w.removeSet(seen)
		}
		return nil
	}
	seen := v.canary()
	if e, ok := effect.(plan.ScaleCanary); ok && w.deployment.ordered {
		return w.setPartition(v, partitionFor(v.deployment.deployment.replicas, e.Replicas), status)
	}
	if e, ok := effect.(plan.ScaleCanary); ok {
		return w.scaleCanary(e.Replicas, seen, v, status)
	}
	if seen == nil {
		return nil
	}
	now := w.find(func(s *set) bool { return s.uid == seen.uid })
	if now == nil {
		return nil
	}
	switch e := effect.(type) {
	case plan.FenceCanary:
		now.epoch = e.Epoch
		now.version++
	case plan.RemoveCanary:
		w.judgeRemoval(now)
		return w.removeCanary(now, seen, e.Reject)
	}
	return nil
}

// takeBack makes a run the owner of its set again.
func (w *World) takeBack(name string, v view, status *v1alpha1.RolloutStatus) error {
	seen := v.sets.named(name)
	if seen == nil || v.run == nil {
		return nil
	}
	if !w.stillDecided(status) || w.history.named(status.Run) == nil || !w.deployment.paused {
		return errConflict
	}
	now, err := w.seenSet(seen)
	if err != nil {
		return err
	}
	now.owner, now.ownerRun, now.run = 0, status.Run, status.Run
	now.version++
	return nil
}

// stillDecided: a create carries no version, so what was decided is asked for anew.
func (w *World) stillDecided(status *v1alpha1.RolloutStatus) bool {
	live := w.rollout.status
	return !w.rollout.gone && live.Run == status.Run && live.Epoch == status.Epoch && live.Phase == status.Phase
}

// removeSet deletes by uid.
func (w *World) removeSet(seen *set) error {
	w.deleteSet(seen.uid)
	return nil
}

// removeCanary gives a borrowed set back once it is empty.
func (w *World) removeCanary(s, seen *set, reject bool) error {
	switch {
	case !s.borrowed || reject:
		w.deleteSet(s.uid)
		return nil
	case seen.size > 0:
		return w.sizeSet(seen, 0)
	case w.podsOf(s) > 0:
		return nil
	case s.version != seen.version:
		return errConflict
	default:
		s.owner, s.ownerRun, s.run, s.borrowed = w.deployment.uid, "", "", false
	}
	s.version++
	return nil
}

// sizeSet tests the set's owner and its size.
func (w *World) sizeSet(seen *set, size int32) error {
	now := w.find(func(s *set) bool { return s.uid == seen.uid })
	if now == nil || now.size != seen.size || now.owner != seen.owner || now.ownerRun != seen.ownerRun {
		return errConflict
	}
	if now.size != size {
		now.size = size
		now.version++
	}
	return nil
}

// scaleCanary borrows the Deployment's idle set of the same template, or makes
// one, where the run has none.
func (w *World) scaleCanary(replicas int32, seen *set, v view, status *v1alpha1.RolloutStatus) error {
	if seen != nil {
		return w.sizeSet(seen, replicas)
	}
	tried := status.Candidate.Revision
	if v.deployment.deployment.declared != tried || w.canary(status.Run) != nil {
		return errConflict
	}
	idle := v.sets.find(func(s *set) bool { return v.sets.own(s) && s.equals(tried) && s.size == 0 })
	if idle != nil {
		now, err := w.seenSet(idle)
		if err != nil {
			return err
		}
		now.owner, now.ownerRun, now.run, now.borrowed = 0, status.Run, status.Run, true
		now.version++
		return nil
	}
	if w.setsRefused {
		return errRefused
	}
	if !w.stillDecided(status) {
		return errConflict
	}
	s := set{name: "shop-" + tried, template: tried, hash: tried, ownerRun: status.Run, run: status.Run, size: replicas, desired: -1, limit: -1}
	if w.named(s.name) != nil {
		return errConflict
	}
	if w.admission {
		s.changed = `spec.containers[0].resources.limits.cpu: "1" -> "2"`
	}
	w.createSet(s)
	return nil
}

// interrupted runs what happens between two writes of an effect, and says whether
// the controller stops there.
func (w *World) interrupted(at string) bool {
	if hook := w.hooks[at]; hook != nil {
		delete(w.hooks, at)
		hook(w)
	}
	return w.strikeAll(within) != nil
}

func (w *World) actOnDeployment(effect plan.Effect, v view, status *v1alpha1.RolloutStatus) error {
	seen, d := &v.deployment.deployment, &w.deployment
	if d.uid == 0 || d.uid != seen.uid {
		return errConflict
	}
	switch e := effect.(type) {
	case plan.MarkWorkload:
		if err := w.onDeployment(seen, func() { d.marks = e.Marks }); err != nil {
			return err
		}
		if w.interrupted("marked") {
			return errCrashed
		}
		if s := w.stable(status.Stable.Revision); s != nil {
			s.marked = true
			s.version++
		}
	case plan.HandOver:
		return w.handOver(e, v, status)
	case plan.Unlock:
		if d.lock != seen.lock {
			return errConflict
		}
		d.lock = ""
		d.version++
	case plan.Unpause:
		if seen.declared != e.Revision || d.declared != e.Revision {
			return errConflict
		}
		w.judgeUnpause(e.Revision)
		if d.ordered {
			return w.setPartition(v, 0, status)
		}
		if d.paused || d.lock != "" {
			w.specWrite(func() {
				d.paused, d.lock = false, ""
				if e.Unmark {
					d.marks.Run, d.marks.Narrowed = "", ""
				}
			})
		}
	case plan.Pause:
		if seen.declared != d.declared {
			return errConflict
		}
		w.specWrite(d.hold)
	case plan.RaiseStable:
		return w.raiseStable(e.Replicas, v, status)
	case plan.ResizeHanded:
		return w.resizeHanded(v)
	case plan.TakeOut:
		return w.takeOut(e, v)
	default:
		return fmt.Errorf("unknown effect %T", effect)
	}
	return nil
}

func (w *World) onDeployment(seen *deployment, write func()) error {
	if seen.version != w.deployment.version {
		return errConflict
	}
	write()
	w.deployment.version++
	return nil
}

// specWrite changes what the Deployment controller has to look at.
func (w *World) specWrite(write func()) {
	write()
	w.deployment.version++
	w.deployment.generation++
}

// handOver locks the Deployment, and makes it the owner of the canary.
func (w *World) handOver(e plan.HandOver, v view, status *v1alpha1.RolloutStatus) error {
	d, run := &w.deployment, v1alpha1.RunLabel(status.Run)
	switch {
	case d.lock == run:
	case d.lock != "":
		return errRefused
	default:
		if err := w.onDeployment(&v.deployment.deployment, func() { d.lock = run }); err != nil {
			return err
		}
	}
	answer := *d
	if w.interrupted("locked") {
		return errCrashed
	}
	seen := v.canary()
	if seen == nil || seen.size != e.Replicas || answer.replicas != e.Replicas && !e.Native || answer.declared != status.Candidate.Revision {
		return errConflict
	}
	now, err := w.seenSet(seen)
	if err != nil || now.ownerRun != status.Run || answer.uid != w.deployment.uid {
		return errConflict
	}
	w.judgeHandOver(now, e)
	now.owner, now.ownerRun, now.run, now.borrowed, now.marked = answer.uid, "", status.Run, false, true
	now.desired, now.limit = answer.replicas, answer.replicas+w.maxSurge()
	now.version++
	if w.interrupted("handed") {
		return errCrashed
	}
	return nil
}

func (w *World) raiseStable(replicas int32, v view, status *v1alpha1.RolloutStatus) error {
	if seen := v.sets.stable(status.Stable.Revision); seen != nil {
		return w.sizeSet(seen, replicas)
	}
	if w.stable(status.Stable.Revision) != nil {
		return errConflict
	}
	w.createSet(set{
		name: "shop-" + status.Stable.Revision, template: status.Stable.Revision, hash: status.Stable.Revision,
		owner: w.deployment.uid, size: replicas, desired: -1, limit: -1,
	})
	return nil
}

func (w *World) resizeHanded(v view) error {
	seen := v.canary()
	if seen == nil {
		return errConflict
	}
	now, err := w.seenSet(seen)
	if err != nil {
		return err
	}
	n := v.deployment.deployment.replicas
	now.size, now.desired, now.limit = n, n, n+w.maxSurge()
	now.version++
	return nil
}

func (w *World) takeOut(e plan.TakeOut, v view) error {
	seen := v.sets.named(e.Name)
	if seen == nil {
		return nil
	}
	if !w.deployment.paused {
		return errConflict
	}
	w.disturbedRun = w.rollout.status.Run
	if e.Delete {
		return w.removeSet(seen)
	}
	return w.sizeSet(seen, 0)
}
