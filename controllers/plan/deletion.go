package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// deletionTable applies from the request to delete the Rollout until its finalizer
// is gone; its last row always matches. It comes first because deletion must
// work in every state: routes and Service go back to the user's own, and pods
// that serve stay.
var deletionTable = table{
	name:    "Deletion",
	about:   "The Rollout is being deleted. Your Service and Deployment keep serving, whatever the state.",
	applies: ofDeployment(deleting),
	rules: []rule{
		{"DeletingReleasesHanded", deletingHanded, giveBackForDeletion},
		{"ReleaseTimedOut", releaseTimedOut, releaseForDeletion},
		{"DeletingUnpauses", deletingReverted, unpauseStable},
		{"Released", released, leave},
		{"DeletingFences", handoverInFlight, fenceCanary},
		{"DeletingTakesTrafficBack", deletingCanaryWeighted, takeTrafficForDeletion},
		{"DeletingWidensService", narrowed, widenService},
		{"DeletingReleasesRoute", deletingWithRoute, releaseForDeletion},
		{"DeletingAtZero", deletingJustZero, noteZeroForDeletion},
		{"DeletingDrains", deletingDraining, drain},
		{"DeletingAwaitsWorkload", deletingOnlyCanaryServes, waitForOthers},
		{"DeletingRemovesCanary", deletingWithCanary, removeCanary},
		{"Deleting", always, waitForRelease},
	},
}

func releaseTimedOut(f *facts) bool { return f.in.ReleaseOverdue() && routesSplit(f) }

func releaseForDeletion(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonReleasing, "the Rollout is being deleted: pointing the routes back at Service "+f.traffic.Service, ReleaseRoute{})
	if handoverInFlight(f) {
		// Before the lock goes: it protects the template that a late handover would roll out.
		d.Effects = []Effect{FenceCanary{f.in.Status.Epoch}, ReleaseRoute{}}
	}
	f.besideTheRoutes(&d)
	return d
}

// deletingHanded holds once the Deployment owns the canary: then the user's Service
// reaches its pods, whatever else the deletion waits for.
func deletingHanded(f *facts) bool {
	return f.in.Canary.Handed && (routesReleasable(f) || releaseTimedOut(f) || narrowed(f) && !f.in.ReleaseOverdue() || unpausableOrLocked(f))
}

func giveBackForDeletion(f *facts) Decision { return f.giveBack("the Rollout is being deleted: ") }

// deletingReverted holds when the Deployment is paused at the stable version:
// nobody would unpause it once Belay is gone. It waits for the canary to go, and not for
// the routes, whose release may be refused.
func deletingReverted(f *facts) bool {
	reverted := f.in.Workload.Found && f.in.Workload.Paused && f.declared == f.stable && f.stable != ""
	drained := f.in.Route.Acknowledged && !canaryWeighted(f) && !canaryLeft(f)
	return (released(f) || drained) && reverted && !f.in.ReleaseOverdue() && !f.in.Canary.Handed
}

// released also holds when the route does not exist or does not refer to
// Belay's Services: a deletion must not wait for something that will not come
// back. Where pods are the weight those of the canary answer until they go.
func released(f *facts) bool {
	timedOut := f.in.ReleaseOverdue()
	routeDone := f.in.Route.Split == nil && (f.in.Route.Acknowledged || timedOut) && (f.in.Route.Narrowed == "" || timedOut)
	canaryDone := !f.in.Canary.Exists && !f.podsAnswer() || f.in.Canary.Handed || timedOut
	return routeDone && canaryDone
}

// leave is the last decision about a Rollout. A canary that is left after the
// timeout is deleted together with its run, which controls it.
func leave(f *facts) Decision {
	why := "the Rollout is deleted: your Service and Deployment serve without it"
	if f.replicaWeighted() {
		why = fmt.Sprintf("the Rollout is deleted: %s serves without it", f.workload())
	}
	if unacknowledged(f) {
		why += "; the gateway had not acknowledged the routes to Service " + f.traffic.Service + f.unacknowledgedBecause()
	}
	if f.in.Workload.Paused && f.declared != f.stable {
		why += fmt.Sprintf("; %s stays %s at %s, which was not promoted: put the template you want back, then %s; %s as it is, it rolls out without being judged", f.workload(), f.stopped(), imageOf(&f.in.Workload.Declared), f.letRoll(), f.let())
	}
	d := f.doing(v1alpha1.ReasonReleasing, why, Leave{})
	if f.runUnfinished() {
		f.endRunBy(&d, v1alpha1.OutcomeCancelled, "the Rollout was deleted")
	}
	return d
}

func deletingCanaryWeighted(f *facts) bool { return f.stableServes() && canaryWeighted(f) }

func takeTrafficForDeletion(f *facts) Decision {
	d := f.takeRequests(v1alpha1.ReasonReleasing, SetSplit{Weight: 0}, "the Rollout is being deleted: "+f.takingAll())
	f.besideTheRoutes(&d)
	return d
}

// stableServes reports whether stable pods can take all requests.
func (f *facts) stableServes() bool {
	return !f.in.Canary.Handed && f.in.Workload.Stable.Ready > 0 && f.in.Route.StableEndpoints > 0
}

func deletingWithRoute(f *facts) bool {
	if !routesSplit(f) || f.releaseBlocked() && !f.in.ReleaseOverdue() {
		return false
	}
	// While stable serves the canary is removed first: the user's Service would send
	// it requests again.
	return !f.stableServes() || f.in.Route.Acknowledged && !f.in.Canary.Exists && f.in.Canary.Left == 0
}

func deletingJustZero(f *facts) bool {
	return routesSplit(f) && !canaryWeighted(f) && f.in.Canary.Exists && f.in.Route.Acknowledged && f.rollback().ZeroAt == nil
}

// noteZeroForDeletion keeps the start of the drain in the same field as a
// rollback.
func noteZeroForDeletion(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonReleasing, "the gateway acknowledged weight 0 %")
	if d.Status.Rollback == nil {
		d.Status.Rollback = &v1alpha1.RollbackStatus{
			Outcome: v1alpha1.OutcomeCancelled, Message: "the Rollout is being deleted", StartedAt: f.now(),
		}
	}
	now := f.now()
	d.Status.Rollback.ZeroAt = &now
	d.Recheck = max(1, f.traffic.Drain.Duration)
	return d
}

func deletingDraining(f *facts) bool {
	return routesSplit(f) && f.rollback().ZeroAt != nil && canaryDraining(f)
}

// deletingOnlyCanaryServes holds while the canary serves and the Deployment's
// own pods cannot replace it.
func deletingOnlyCanaryServes(f *facts) bool {
	return deletingWithCanary(f) && f.in.Canary.Ready > 0 && (!f.deploymentCarries() || f.canaryAlone())
}

// canaryAlone reports whether the routes point at the user's Service and it
// reaches canary pods only.
func (f *facts) canaryAlone() bool {
	r := f.in.Route
	return r.Split == nil && r.Narrowed == "" && r.ServiceEndpoints > 0 && r.CanaryShare >= r.ServiceEndpoints
}

func waitForOthers(f *facts) Decision {
	switch {
	case f.deploymentCarries() && f.replicaWeighted():
		return f.waiting(v1alpha1.ReasonReleasing, v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("the canary stays until other pods are ready: only canary pods are (%d)", f.in.Route.CanaryShare))
	case f.deploymentCarries():
		return f.waiting(v1alpha1.ReasonReleasing, v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("the canary stays until other pods are reachable: Service %s reaches only canary pods (%d)", f.traffic.Service, f.in.Route.CanaryShare))
	}
	return f.waiting(v1alpha1.ReasonReleasing, v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("waiting for the Deployment's pods before the canary is removed: %d of %d ready", f.deploymentReady(), f.in.Workload.Replicas))
}

// deploymentReady counts the ready pods of the Deployment's own sets.
func (f *facts) deploymentReady() int32 {
	var ready int32
	for _, s := range f.in.Workload.Active {
		ready += s.Ready
	}
	return ready
}

// deploymentCarries reports whether three quarters of the Deployment's pods are
// ready, of whatever version: the share that its default maxUnavailable keeps.
func (f *facts) deploymentCarries() bool {
	return f.deploymentReady()*4 >= f.in.Workload.Replicas*3
}

func deletingWithCanary(f *facts) bool {
	return f.in.Route.Acknowledged && !canaryWeighted(f) && canaryLeft(f)
}

func waitForRelease(f *facts) Decision {
	if f.in.Route.Split != nil && f.releaseBlocked() {
		return waitForService(f)
	}
	what := "the routes to Service " + f.traffic.Service
	if f.in.Route.Split != nil {
		what = fmt.Sprintf("weight %d %%", f.observedWeight())
	}
	return f.waiting(f.phaseReason(), v1alpha1.ReasonNotAcknowledged, "waiting for the gateway to acknowledge "+what+f.unacknowledgedBecause())
}
