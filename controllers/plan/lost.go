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
	if handingOver(f) {
		d.Status.Phase = v1alpha1.PhaseRollingBack
		d.Status.Epoch++
		d.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeCancelled, Message: truncate(d.Why, 1024), StartedAt: f.now()}
	}
	return d
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

// adoptable holds while a canary that lost its owner, the run, is not the
// Deployment's by any decision. The Deployment controller adopts such a set at
// once, takes it for the declared version, and may scale stable to 0 although it is
// paused: when the canary has the Deployment's size, as in a bake.
func adoptable(f *facts) bool {
	before := f.onTrial() || rollingBack(f) || handoverDue(f)
	return before && f.in.Canary.Adopted != "" && !f.in.Canary.Exists && f.promotion().HandedAt == nil && f.in.Workload.Paused
}

func adopted(f *facts) bool { return adoptable(f) && f.in.Run.Exists }

// takeCanaryBack leaves its pods and its share as they are: it is what may be all
// that serves. Without it the Deployment controller keeps stable at its size again.
func takeCanaryBack(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonWrongVersionServes, fmt.Sprintf("%s: ReplicaSet %s lost its owner, run %s, and the Deployment adopts it, unjudged: taking it back, so that stable keeps its %d pods; find out who removed the owner",
		f.where(), f.in.Canary.Adopted, f.in.Status.Run, f.in.Workload.Replicas), TakeBack{f.in.Canary.Adopted})
	d.Standing.State = Stuck
	d.Recheck = 1
	return d
}

// wrong is a set of the Deployment's that has a size while the Deployment is held
// at stable, and is not stable's.
func (f *facts) wrong() *Set {
	if !f.in.Workload.Paused || handingOver(f) || f.in.Canary.Handed || f.declared == f.stable {
		return nil
	}
	for i := range f.in.Workload.Active {
		if s := &f.in.Workload.Active[i]; s.Revision != f.stable && !(adoptable(f) && s.Name == f.in.Canary.Adopted) {
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
