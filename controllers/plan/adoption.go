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
	lost := r.StableEndpoints == 0 && f.weightIsNot(100) || r.CanaryEndpoints == 0 && f.weightIsNot(0)
	return workloadMissing(f) && routesReleasable(f) && lost && r.ServiceEndpoints > 0
}

func releaseForMissing(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("Deployment %q does not exist, and one side of the routes has no ready endpoint: they go to Service %s, which has %d", f.in.Spec.WorkloadRef.Name, f.traffic.Service, f.in.Route.ServiceEndpoints), ReleaseRoute{})
	d.Standing.State = Stuck
	f.restartHold(&d)
	return d
}

func workloadMissing(f *facts) bool { return !f.in.Workload.Found }

func stuckOnWorkload(f *facts) Decision {
	return f.stuck(v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("Deployment %q does not exist: create it, or delete this Rollout", f.in.Spec.WorkloadRef.Name))
}

func finalizerMissing(f *facts) bool { return f.in.FinalizerMissing }

func addFinalizer(f *facts) Decision {
	return f.doing(v1alpha1.ReasonProgressing, "adding the finalizer", AddFinalizer{})
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
		return f.stuck(claim.Reason, claim.Message)
	case len(active) > 1:
		return f.stuck(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("Deployment %q runs %d versions: waiting until only one is left", f.in.Spec.WorkloadRef.Name, len(active)))
	case len(active) == 0 || active[0].Ready == 0:
		return f.stuck(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("Deployment %q has no ready pod yet: waiting for one; until then new versions are not held back", f.in.Spec.WorkloadRef.Name))
	}
	d := f.working(v1alpha1.ReasonProgressing, "")
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Stable = revisionOf(active[0])
	d.Why = "adopted the Deployment at " + imageOf(d.Status.Stable)
	d.Status.Runs = f.in.Run.Next
	// What an earlier Rollout of this name rejected stays rejected.
	d.Status.Rejected = f.in.Run.Rejected
	f.handleBypass(&d)
	d.Recheck = 1
	return d
}

func revisionOf(s Set) *v1alpha1.Revision {
	return &v1alpha1.Revision{Revision: s.Revision, Image: s.Image, ReplicaSet: s.Name, PodTemplateHash: s.Hash}
}
