package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about requests that nobody answers, shares that no run explains, and
// versions that serve and must not.

func (f *facts) idle() bool {
	return f.inPhase(v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseRolledBack)
}

// leftover is a share without a run: of a Rollout that was removed by force, or of
// an old copy of the route that somebody applied.
func leftover(f *facts) bool {
	return (f.in.Route.Split != nil || f.in.Route.Marked) && !f.releaseBlocked() && f.idle()
}

func releaseLeftover(f *facts) Decision {
	return f.doing(v1alpha1.ReasonProgressing, "no run is in progress: the routes go back to Service "+f.in.Spec.Traffic.Service, ReleaseRoute{})
}

func leftoverNarrowed(f *facts) bool { return f.in.Route.Narrowed != "" && f.idle() }

// canaryLost holds while a share goes to a canary that has no endpoint left, and
// there are stable ones: every one of those requests fails. A handover, which
// this would end, waits for the repair of the pair.
func canaryLost(f *facts) bool {
	return f.revocable() && f.weightIsNot(0) && f.in.Route.Split != nil && f.in.Route.CanaryEndpoints == 0 &&
		f.in.Route.StableEndpoints > 0 && (f.in.Route.PairCurrent || f.onTrial())
}

// servicesBroken is a pair that somebody changed or deleted while routes name it,
// whatever else the run waits for.
func servicesBroken(f *facts) bool {
	shares := (f.in.Route.Split != nil || handoverShareOff(f)) && !f.in.Canary.Former && !f.in.Route.ServiceMissing && f.in.Workload.Stable.Name != ""
	return shares && !f.in.Route.PairCurrent && (f.revocable() || handed(f))
}

func takeFromLost(f *facts) Decision {
	d := f.setWeight(0, fmt.Sprintf("%s: the canary has %d %% and no ready endpoint: everything goes to stable until it has%s", f.where(), f.observedWeight(), f.because()))
	f.cancelHandover(&d)
	return d
}

// cancelHandover ends a handover whose canary cannot be handed over any more: the
// run is rolled back, and the version starts anew.
func (f *facts) cancelHandover(d *Decision) {
	if !handingOver(f) {
		return
	}
	d.Status.Phase = v1alpha1.PhaseRollingBack
	d.Status.Epoch++
	d.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeCancelled, Message: truncate(d.Why, 1024), StartedAt: f.now()}
}

// workloadMissingLost holds while a side without endpoints has a share, the
// Deployment is gone, and the user's Service reaches what is left.
func workloadMissingLost(f *facts) bool {
	r := f.in.Route
	lost := r.StableEndpoints == 0 && f.weightIsNot(100) || r.CanaryEndpoints == 0 && f.weightIsNot(0)
	return !f.in.Workload.Found && r.Split != nil && lost && r.ServiceEndpoints > 0 && !f.releaseBlocked()
}

func releaseForMissing(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("Deployment %q does not exist, and one side of the routes has no ready endpoint: they go to Service %s, which has %d", f.in.Spec.WorkloadRef.Name, f.in.Spec.Traffic.Service, f.in.Route.ServiceEndpoints), ReleaseRoute{})
	d.Standing.State = Stuck
	f.forgetShare(&d)
	return d
}

// forgetShare begins the hold, or the bake, anew: what was acknowledged stands no
// more.
func (f *facts) forgetShare(d *Decision) {
	if d.Status.Step != nil {
		d.Status.Step.AcknowledgedAt = nil
	}
	if d.Status.Promotion != nil {
		d.Status.Promotion.FullAt, d.Status.Promotion.Size, d.Status.Promotion.SizeSince = nil, nil, nil
	}
}

// stableLost is the reverse: stable's share reaches nobody, and the user's own
// Service still reaches somebody.
func stableLost(f *facts) bool {
	shares := f.onTrial() || rollingBack(f) && f.in.Canary.Exists && !f.in.Canary.Handed
	return shares && f.in.Route.Split != nil && f.weightIsNot(100) && f.in.Route.StableEndpoints == 0 &&
		f.in.Route.ServiceEndpoints > 0 && f.in.Route.PairCurrent && f.in.Workload.Replicas > 0
}

// stableLostNarrowed: the user's Service reaches nobody only because it is
// narrowed to the version that is lost.
func stableLostNarrowed(f *facts) bool {
	r := f.in.Route
	lost := f.onTrial() && r.Split != nil && f.weightIsNot(100) && r.StableEndpoints == 0
	return lost && r.Narrowed != "" && r.ServiceEndpoints == 0 && r.CanaryEndpoints > 0 && f.in.Workload.Replicas > 0
}

func releaseFromLost(f *facts) Decision {
	d := f.doing(f.phaseReason(), fmt.Sprintf("%s: stable has %d %% and no ready endpoint: the routes go to Service %s, whatever it reaches, until it has", f.where(), 100-f.observedWeight(), f.in.Spec.Traffic.Service), ReleaseRoute{})
	f.forgetShare(&d)
	return d
}

// wrong is a set of the Deployment's that has a size while the Deployment is held
// at stable, and is not stable's. Until a handover is decided that holds in
// HandingOver too.
func (f *facts) wrong() *Set {
	decided := handingOver(f) && !(handoverDue(f) && f.promotion().HandedAt == nil)
	if !f.in.Workload.Paused || decided || f.in.Canary.Handed || f.declared == f.stable {
		return nil
	}
	for i := range f.in.Workload.Active {
		if s := &f.in.Workload.Active[i]; s.Revision != f.stable {
			return s
		}
	}
	return nil
}

// wrongVersion: a held Deployment that comes back from zero gets the pods of its
// newest ReplicaSet, and one that is paused in the middle of a roll keeps two.
// Stable is raised first, and of the others only one that may never serve goes
// before stable does.
func wrongVersion(f *facts) bool {
	s := f.wrong()
	return s != nil && (f.mayNotServe(s) || f.in.Workload.Stable.Ready > 0)
}

func (f *facts) mayNotServe(s *Set) bool {
	return s.Revision == f.declared || f.rejection(s.Revision) != nil
}

// adopted: the canary has lost its owner, the run, and the Deployment controller
// has adopted it, as any set without an owner that the selector matches. Requests
// may still reach it, and go to stable before it is taken out.
func (f *facts) adopted() *Set {
	s := f.wrong()
	if s == nil || s.Revision != f.tried || f.in.Canary.Exists {
		return nil
	}
	return s
}

func adoptedShared(f *facts) bool {
	return f.adopted() != nil && f.in.Route.Split != nil && f.in.Route.CanaryEndpoints > 0 && f.in.Route.StableEndpoints > 0
}

func adoptedShare(f *facts) bool { return adoptedShared(f) && f.weightIsNot(0) }

func takeShareFromAdopted(f *facts) Decision {
	return f.takeFromAdopted(f.setWeight(0, fmt.Sprintf("%d %% of the requests go to stable", f.observedWeight())))
}

func adoptedUnacknowledged(f *facts) bool { return adoptedShared(f) && !f.in.Route.Acknowledged }

// adoptedNarrowed: callers of the user's Service reach only the adopted set.
func adoptedNarrowed(f *facts) bool {
	s := f.adopted()
	return s != nil && f.in.Route.Narrowed != "" && f.in.Route.Narrowed == s.Hash && f.in.Workload.Stable.Ready > 0
}

func narrowFromAdopted(f *facts) Decision { return f.takeFromAdopted(narrowBack(f)) }

func (f *facts) takeFromAdopted(d Decision) Decision {
	s := f.adopted()
	d.Why = fmt.Sprintf("%s: ReplicaSet %s, with %d pods of %s, lost its owner, the run, and the Deployment adopted it: %s, then the set is deleted and the trial starts anew; find out who removed its owner",
		f.where(), s.Name, s.Desired, s.Image, d.Why)
	d.Standing = Standing{Stuck, v1alpha1.ReasonWrongVersionServes}
	f.cancelHandover(&d)
	return d
}

func takeOutWrongVersion(f *facts) Decision {
	s := f.wrong()
	d := f.doing(v1alpha1.ReasonWrongVersionServes, fmt.Sprintf("ReplicaSet %s has %d pods of %s, although the Deployment is held at %s: taking it out", s.Name, s.Desired, s.Image, imageOf(f.in.Status.Stable)),
		TakeOut{Name: s.Name, Delete: f.mayNotServe(s)})
	d.Standing.State = Stuck
	d.Recheck = 1
	return d
}

// stableMissing holds while the Deployment is held and nothing runs stable, or
// another set was scaled up in its place.
func stableMissing(f *facts) bool {
	w := f.in.Workload
	if !w.Paused || w.Replicas == 0 || handingOver(f) || f.in.Canary.Handed || !w.Observed || f.in.Status.Stable == nil {
		return false
	}
	if w.Stable.Name == "" {
		return f.in.Run.StablePinned
	}
	return w.Stable.Desired == 0 && f.wrong() != nil
}

func raiseStable(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonWrongVersionServes, fmt.Sprintf("the Deployment is held, and %s has no pods: scaling it up", imageOf(f.in.Status.Stable)), RaiseStable{f.in.Workload.Replicas})
	d.Standing.State = Stuck
	d.Recheck = 1
	return d
}
