package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// adoptionTable applies always; a Rollout that has adopted its Deployment passes it.
// It comes right after deletion: without the Deployment there is nothing to
// protect or promote, and before adoption there is no stable version to go back
// to.
var adoptionTable = table{
	name:    "Adoption",
	about:   "In every phase: without the Deployment, the finalizer and a stable version nothing else is decided.",
	applies: always,
	rules: []rule{
		{"WorkloadMissingReleases", workloadMissingLost, releaseForMissing},
		{"WorkloadMissing", workloadMissing, stuckOnWorkload},
		{"FinalizerMissing", finalizerMissing, addFinalizer},
		{"Adopting", unadopted, adopt},
	},
}

// workloadMissingLost holds while the Deployment is gone, some requests go to a
// side without endpoints, and the user's Service still has some.
func workloadMissingLost(f *facts) bool {
	r := f.in.Route
	lost := r.StableEndpoints == 0 && f.weightIsNot(100) || r.CanaryEndpoints == 0 && canaryWeighted(f)
	return workloadMissing(f) && routesReleasable(f) && lost && r.ServiceEndpoints > 0
}

func releaseForMissing(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("Deployment %q does not exist, and stable or canary has no ready endpoint: pointing the routes at Service %s, which has some (%d); create the Deployment, or delete this Rollout", f.in.Spec.WorkloadRef.Name, f.traffic.Service, f.in.Route.ServiceEndpoints), ReleaseRoute{})
	d.Progress = Stalled
	f.restartHold(&d)
	return d
}

func workloadMissing(f *facts) bool { return !f.in.Workload.Found }

func stuckOnWorkload(f *facts) Decision {
	return f.stalled(v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("%s %q does not exist: create it, or delete this Rollout", f.kind(), f.in.Spec.WorkloadRef.Name))
}

func finalizerMissing(f *facts) bool { return f.in.FinalizerMissing }

func addFinalizer(f *facts) Decision {
	return f.doing(v1alpha1.ReasonProgressing, "adding the finalizer, so that a deletion first undoes what a run has changed", AddFinalizer{})
}

func unadopted(f *facts) bool { return f.in.Status.Phase == "" || f.in.Status.Stable == nil }

// adopt takes the version that runs as stable. The Deployment may already
// declare another one, for example when a Rollout is created again while its
// rejected version is still declared. Before adoption the Deployment has no
// label of Belay's, so the guard does not hold back a fix.
func adopt(f *facts) Decision {
	active, claim := f.in.Workload.Active, f.claimed()
	switch {
	case claim != nil:
		return f.stalled(claim.Reason, claim.Message)
	case workloadUnusable(f):
		return stuckOnStrategy(f)
	case len(active) > 1:
		return f.stalled(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("%s %q is in the middle of an update and runs %d versions: Belay adopts it when only one is left; until then new versions are not held%s", f.kind(), f.in.Spec.WorkloadRef.Name, len(active), f.untilOneVersion()))
	case f.ordered() && !f.in.Workload.Observed:
		// Below a partition Kubernetes would make pods of the version before.
		return f.reconciling(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("StatefulSet %q has not finished its last update: Belay adopts it when all of its pods are ready; until then new versions are not held", f.in.Spec.WorkloadRef.Name))
	case len(active) == 0 || active[0].Ready == 0:
		return f.awaitFirstPod()
	}
	d := f.reconciling(v1alpha1.ReasonProgressing, "")
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Stable = revisionOf(active[0])
	d.Why = fmt.Sprintf("adopted %s: %s is the stable version, and the next version starts a run", f.workload(), imageOf(d.Status.Stable))
	d.Status.Runs = f.in.Run.Next
	// What an earlier Rollout of this name rejected stays rejected.
	d.Status.Rejected = f.in.Run.Rejected
	f.handleBypass(&d)
	d.Recheck = 1
	return d
}

// untilOneVersion says what ends the update of a StatefulSet whose partition keeps it from
// going on.
func (f *facts) untilOneVersion() string {
	if !f.ordered() || !f.in.Workload.Paused {
		return ""
	}
	return fmt.Sprintf("; its partition keeps it so: let it roll out (%s), or delete the pods of the version that should go", f.letRoll())
}

// awaitFirstPod gives a new Deployment the time that it gives itself before it needs a
// person: what waits for the Rollout of a new application must not take its start as a
// failure.
func (f *facts) awaitFirstPod() Decision {
	w := f.in.Workload
	why := fmt.Sprintf("%s %q has no ready pod: Belay adopts it when one is ready; until then new versions are not held", f.kind(), f.in.Spec.WorkloadRef.Name)
	left := w.ProgressDeadline
	if w.UnavailableSince != nil {
		left = w.UnavailableSince.Add(w.ProgressDeadline).Sub(f.in.Now)
	}
	if w.Replicas == 0 || left <= 0 {
		return f.stalled(v1alpha1.ReasonWorkloadNotReady, why)
	}
	d := f.reconciling(v1alpha1.ReasonWorkloadNotReady, why)
	d.Recheck = min(left, f.in.Watchdog)
	return d
}

func revisionOf(s Set) *v1alpha1.Revision {
	return &v1alpha1.Revision{Revision: s.Revision, Image: s.Image, ReplicaSet: s.Name, PodTemplateHash: s.Hash}
}
