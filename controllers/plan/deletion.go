package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about deletion: the user's Service and Deployment keep serving.

func deleting(f *facts) bool { return f.in.Deleting != nil }

func releaseTimedOut(f *facts) bool {
	return f.in.ReleaseOverdue() && f.in.Route.Split != nil
}

func forceRelease(f *facts) Decision {
	return f.doing(v1alpha1.ReasonReleasing, "an orderly release took longer than "+f.in.ReleaseTimeout.String(), ReleaseRoute{})
}

// released also holds when the route is gone or refers to nothing of ours: a
// deletion must not wait for what nobody will bring back.
func released(f *facts) bool {
	if !deleting(f) {
		return false
	}
	timedOut := f.in.ReleaseOverdue()
	routeDone := f.in.Route.Split == nil && (f.in.Route.Acknowledged || timedOut)
	canaryDone := !f.in.Canary.Exists || timedOut
	return routeDone && canaryDone
}

func dropFinalizer(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonReleasing, "the user's own Service and Deployment serve alone", RemoveFinalizer{})
	if f.runUnfinished() {
		f.endRun(&d, v1alpha1.OutcomeCancelled, "", "the Rollout was deleted")
	}
	return d
}

// stableServes says whether taking the canary out of the route leaves pods that
// serve: not while the Deployment replaces them or has replaced them.
func (f *facts) stableServes() bool {
	return f.in.Status.Promotion == nil && f.in.Workload.StableReady > 0 && f.in.Route.StableHash == f.stableHash()
}

func deletingWithSplit(f *facts) bool {
	return deleting(f) && f.stableServes() && f.in.Route.Split != nil && *f.in.Route.Split != 0
}

func takeTrafficForDeletion(f *facts) Decision {
	return f.takeBack(v1alpha1.ReasonReleasing, "the Rollout is being deleted: taking the canary's traffic back")
}

func deletingWithRoute(f *facts) bool {
	if !deleting(f) || f.in.Route.Split == nil {
		return false
	}
	// With stable pods serving, the canary goes first: the user's Service would
	// give it a share again.
	return !f.stableServes() || f.in.Route.Acknowledged && !f.in.Canary.Exists && f.in.Canary.Pods == 0
}

func releaseForDeletion(f *facts) Decision {
	return f.doing(v1alpha1.ReasonReleasing, "the Rollout is being deleted: the routes go back to Service "+f.in.Spec.Traffic.Service, ReleaseRoute{})
}

func deletingJustZero(f *facts) bool {
	return deleting(f) && f.in.Route.Split != nil && f.in.Canary.Exists && f.in.Route.Acknowledged && f.rollback().ZeroAt == nil
}

// noteZeroForDeletion keeps the start of the drain where a rollback keeps it.
func noteZeroForDeletion(f *facts) Decision {
	d := f.working(v1alpha1.ReasonReleasing, "the gateway acknowledged weight 0 %")
	if d.Status.Rollback == nil {
		d.Status.Rollback = &v1alpha1.RollbackStatus{
			Outcome: v1alpha1.OutcomeCancelled, Message: "the Rollout is being deleted", StartedAt: f.now(),
		}
	}
	now := f.now()
	d.Status.Rollback.ZeroAt = &now
	d.Recheck = f.in.Spec.Traffic.Drain.Duration
	return d
}

func deletingDraining(f *facts) bool {
	return deleting(f) && f.in.Route.Split != nil && f.in.Canary.Exists && f.rollback().ZeroAt != nil && !f.drained()
}

// deletingWithoutOthers keeps the canary while it may be all that serves: the
// Deployment is replacing its pods, and too few of them are ready.
func deletingWithoutOthers(f *facts) bool {
	return deletingWithCanary(f) && f.in.Route.Split == nil && f.in.Canary.Ready > 0 && !f.deploymentCarries()
}

func waitForOthers(f *facts) Decision {
	return f.working(v1alpha1.ReasonReleasing, fmt.Sprintf("waiting for the Deployment's pods before the canary goes: %d of %d ready", f.in.Workload.Ready, f.in.Workload.Replicas))
}

// deploymentCarries says whether three quarters of the Deployment's pods are
// ready, whatever they run: what its own default maxUnavailable keeps.
func (f *facts) deploymentCarries() bool {
	return f.in.Workload.Ready*4 >= f.in.Workload.Replicas*3
}

func deletingWithCanary(f *facts) bool {
	return deleting(f) && f.in.Route.Acknowledged && (f.in.Canary.Exists || f.in.Canary.Pods > 0)
}

func waitForRelease(f *facts) Decision {
	return f.working(f.phaseReason(), "waiting for the gateway to acknowledge the release")
}
