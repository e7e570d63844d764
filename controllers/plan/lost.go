package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// unansweredTable applies always; each row says in which phases it can happen. It
// comes before everything that waits: a lock without a handover, versions that
// must not serve, requests that go to a side without endpoints, and weights and
// Services that somebody changed.
var unansweredTable = table{
	name:    "Requests without an answer, versions that must not serve",
	about:   "In every phase, also while paused: a lock that nobody needs, a version that must not serve, requests that reach no endpoint.",
	applies: ofDeployment(always),
	rules: []rule{
		{"UnlocksDeployment", lockedWithoutHandover, unlock},
		{"HandoverUnlocks", lockedBeforeReady, unlockForNow},
		{"WrongVersionServes", wrongVersionServes, takeOutWrongVersion},
		{"RaisesStable", stableWithoutPods, raiseStable},
		{"CanaryLost", canaryLost, takeWeightFromLostCanary},
		{"CanaryLostWidens", canaryLostNarrowed, widenForLostCanary},
		{"CanaryLostNarrows", canaryLostOnTrial, narrowForLostCanary},
		{"StableLostWidens", stableLostNarrowed, widenService},
		{"StableLost", stableLost, releaseFromLostStable},
		{"LowersWeight", weightTooHigh, lowerWeight},
		{"RepairsServices", namedPairOutdated, pointServices},
	},
}

// lockedWithoutHandover is a lock that an interrupted handover left, or that
// came back with an old copy of the Deployment.
func lockedWithoutHandover(f *facts) bool {
	if f.in.Workload.Lock == "" {
		return false
	}
	ours := handingOver(f) && f.takeOver() != v1alpha1.TakeOverBypass && f.declared == f.candidate
	return !ours || f.in.Workload.Lock != v1alpha1.RunLabel(f.in.Status.Run)
}

func unlock(f *facts) Decision {
	return f.doing(f.phaseReason(), "no handover is in progress: unlocking the Deployment's template", Unlock{})
}

// lockedBeforeReady is a locked Deployment whose handover has to wait after
// all.
func lockedBeforeReady(f *facts) bool {
	waits := handoverImpossible(f) || sizesUnsteady(f) || canarySizeBehind(f) || undecided(f) || paused(f) || routeUnusable(f)
	return handoverDue(f) && f.in.Workload.Lock != "" && waits
}

func unlockForNow(f *facts) Decision {
	return f.doing(v1alpha1.ReasonHandingOver, "the handover waits: unlocking the Deployment's template meanwhile", Unlock{})
}

// wrongSet is a ReplicaSet of the Deployment's that has pods although the
// Deployment is paused at stable and this is another version.
func (f *facts) wrongSet() *Set {
	if !f.in.Workload.Paused || handingOver(f) || f.in.Canary.Handed || f.declared == f.stable {
		return nil
	}
	for i := range f.in.Workload.Active {
		if s := &f.in.Workload.Active[i]; s.Revision != f.stable && (s.Name != f.in.Canary.Adopted || !adoptable(f)) {
			return s
		}
	}
	return nil
}

// wrongVersionServes happens when a paused Deployment is scaled up from 0,
// which scales its newest ReplicaSet, or is paused in the middle of a roll.
// Stable is scaled up first; before stable is ready only a version goes that
// may never serve.
func wrongVersionServes(f *facts) bool {
	s := f.wrongSet()
	return s != nil && (f.mayNotServe(s) || f.in.Workload.Stable.Ready > 0)
}

func (f *facts) mayNotServe(s *Set) bool {
	return s.Revision == f.declared || f.rejection(s.Revision) != nil
}

func takeOutWrongVersion(f *facts) Decision {
	s := f.wrongSet()
	effect, does := TakeOut{Name: s.Name, Delete: f.mayNotServe(s)}, "scaling it to 0"
	if effect.Delete {
		does = "deleting it"
	}
	d := f.doing(v1alpha1.ReasonWrongVersionServes, fmt.Sprintf("ReplicaSet %s has %s of %s, although the Deployment is held at %s: %s", s.Name, count(s.Desired, "pod"), s.Image, imageOf(f.in.Status.Stable), does), effect)
	d.Progress = Stalled
	d.Recheck = 1
	return d
}

// stableWithoutPods holds while the Deployment is paused and stable has no
// ReplicaSet, or an empty one beside one that must not serve.
func stableWithoutPods(f *facts) bool {
	w := f.in.Workload
	if !w.Paused || w.Replicas == 0 || handingOver(f) || f.in.Canary.Handed || !w.Observed || f.in.Status.Stable == nil {
		return false
	}
	if w.Stable.Name == "" {
		return f.in.Run.StablePinned
	}
	return w.Stable.Desired == 0 && f.wrongSet() != nil
}

func raiseStable(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonWrongVersionServes, fmt.Sprintf("the Deployment is held at %s, which has no pods: scaling it to %d", imageOf(f.in.Status.Stable), f.in.Workload.Replicas), RaiseStable{f.in.Workload.Replicas})
	d.Progress = Stalled
	d.Recheck = 1
	return d
}

// canaryLost holds while requests go to a canary without an endpoint although
// stable has some: each of them fails. In a handover, which this would end, the
// pair of Services is repaired first.
func canaryLost(f *facts) bool {
	return revocable(f) && canaryWeighted(f) && f.in.Route.CanaryEndpoints == 0 &&
		f.in.Route.StableEndpoints > 0 && (f.in.Route.PairCurrent || onTrial(f))
}

func takeWeightFromLostCanary(f *facts) Decision {
	d := f.setSplit(SetSplit{}, fmt.Sprintf("%s: the canary has weight %d %%%s and no ready endpoint%s; setting its weight to 0 %% until it has one", f.stage(), f.observedWeight(), f.extraNow(), f.canaryProblem()))
	f.besideTheRoutes(&d)
	if handingOver(f) {
		f.cancelHandover(&d)
	}
	return d
}

func (f *facts) cancelHandover(d *Decision) {
	d.Status.Phase = v1alpha1.PhaseRollingBack
	d.Status.Epoch++
	d.Status.Rollback = &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeCancelled, Message: v1alpha1.Bounded(d.Why, 1024), StartedAt: f.now()}
}

// canaryLostNarrowed holds just before the owner changes, when the routes have gone
// back to the user's Service, which is narrowed to a canary without an endpoint.
func canaryLostNarrowed(f *facts) bool {
	return handoverDue(f) && routesUnsplit(f) && narrowed(f) && f.in.Route.ServiceEndpoints == 0 && f.in.Workload.Stable.Ready > 0
}

func widenForLostCanary(f *facts) Decision {
	d := widenService(f)
	d.Why = fmt.Sprintf("%s: Service %s selects only the canary, which has no ready endpoint%s; letting it select all of its pods again, and cancelling the run", f.stage(), f.in.Spec.Traffic.Service, f.canaryProblem())
	f.cancelHandover(&d)
	return d
}

// canaryLostOnTrial holds before the handover when the user's Service is still narrowed
// to a canary without an endpoint: a handover began anew at 0 replicas, or the second
// write of CanaryLost was refused. What holds a run back must not hold this back.
func canaryLostOnTrial(f *facts) bool {
	r, stable := f.in.Route, f.in.Workload.Stable
	unanswered := narrowed(f) && r.Narrowed != stable.Hash && r.ServiceEndpoints == 0 && r.CanaryEndpoints == 0
	return onTrial(f) && unanswered && stable.Ready > 0
}

func narrowForLostCanary(f *facts) Decision {
	hash, does := f.in.Workload.Stable.Hash, "limiting it to the stable pods"
	if !f.narrows() {
		hash, does = "", "letting it select all of its pods again"
	}
	return f.doing(f.phaseReason(), fmt.Sprintf("%s: Service %s selects only the canary, which has no ready endpoint%s: %s", f.stage(), f.traffic.Service, f.canaryProblem(), does), NarrowService{hash})
}

// stableLostNarrowed holds when stable has a weight and no endpoint, and the
// user's Service has none either because it is narrowed to stable.
func stableLostNarrowed(f *facts) bool {
	return onTrial(f) && stableWithoutEndpoint(f) && narrowed(f) && f.in.Route.ServiceEndpoints == 0 && f.in.Route.CanaryEndpoints > 0
}

// stableWithoutEndpoint holds while stable has a weight and no endpoint.
func stableWithoutEndpoint(f *facts) bool {
	return routesSplit(f) && f.weightIsNot(100) && f.in.Route.StableEndpoints == 0 && f.in.Workload.Replicas > 0
}

// stableLost holds while stable has a weight and no endpoint, and the user's
// Service has some.
func stableLost(f *facts) bool {
	shares := onTrial(f) || rollingBack(f) && f.in.Canary.Exists && !f.in.Canary.Handed
	return shares && stableWithoutEndpoint(f) && f.in.Route.ServiceEndpoints > 0 && f.in.Route.PairCurrent
}

func releaseFromLostStable(f *facts) Decision {
	d := f.doing(f.phaseReason(), fmt.Sprintf("%s: stable has weight %d %% and no ready endpoint: pointing the routes at Service %s, which has ready pods, until stable has one", f.stage(), 100-f.observedWeight(), f.traffic.Service), ReleaseRoute{})
	f.restartHold(&d)
	return d
}

func weightTooHigh(f *facts) bool {
	high := f.in.Route.Mixed || f.observedWeight() > f.targetWeight() || f.extraForeign()
	return onTrial(f) && routesSplit(f) && high && f.in.Route.StableEndpoints > 0
}

// lowerWeight does not wait for canary pods: less weight than somebody set is
// always right.
func lowerWeight(f *facts) Decision {
	to := SetSplit{Weight: min(f.targetWeight(), f.observedWeight())}
	if !f.extraWrong() {
		to.Testers, to.Mirror = f.in.Route.Testers, f.in.Route.Mirror
	}
	if f.in.Canary.Ready == 0 || f.in.Route.CanaryEndpoints == 0 || f.in.Route.Mixed {
		to = SetSplit{}
	}
	why := fmt.Sprintf("%s: the canary has weight %d %%%s, %d %%%s is allowed: setting it to %d %%%s", f.stage(), f.observedWeight(), f.extraNow(),
		f.targetWeight(), f.targetExtra(), to.Weight, to.extra())
	if f.in.Route.Mixed {
		changed := "rules for testers"
		if f.targetExtra().mirror > 0 || f.in.Route.Mirror > 0 {
			changed = "filters that copy requests to it"
		}
		why = fmt.Sprintf("%s: the routes have different weights for the canary, or %s that somebody has changed: setting it to 0 %% on all of them", f.stage(), changed)
	}
	return f.setSplit(to, why)
}

// namedPairOutdated holds when routes name the pair of Services and somebody
// has changed or deleted it.
func namedPairOutdated(f *facts) bool {
	named := routesSplit(f) || handoverDue(f) && canaryLacksWeight(f)
	usable := !f.in.Canary.Former && !f.in.Route.ServiceMissing && f.in.Workload.Stable.Name != ""
	return (revocable(f) || handed(f)) && named && usable && !f.in.Route.PairCurrent
}
