package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// ownerTable applies in a run before the handover. It comes before the rollback,
// which would otherwise wait for a set that Belay does not own, and before the
// table about wrong versions, which would take it out while it serves.
var ownerTable = table{
	name:    "The canary's owner",
	about:   "Stepping, Promoting, Baking, RollingBack, and HandingOver before the owner changes: the run owns the canary.",
	applies: ofDeployment(beforeOwnerChanges),
	rules: []rule{
		{"TakesCanaryBack", canaryAdopted, takeCanaryBack},
		{"CanaryRunMissing", runOfAdoptedMissing, createRun},
	},
}

func beforeOwnerChanges(f *facts) bool { return onTrial(f) || rollingBack(f) || handoverDue(f) }

// adoptable holds while a canary that lost its owner, the run, is not the
// Deployment's by any decision. The Deployment controller adopts such a set at
// once, takes it for the declared version, and may scale stable to 0 although it is
// paused: when the canary has the Deployment's size, as in a bake. Without its run
// it goes back to one that is made again, which in a rollback takes the template that
// it was made from.
func adoptable(f *facts) bool {
	return beforeOwnerChanges(f) && f.in.Canary.Adopted != "" && !f.in.Canary.Exists && f.in.Workload.Paused && (f.in.Run.Exists || !rollingBack(f) || f.declared == f.candidate)
}

// canaryAdopted lets a rollback take the requests away first, where stable can
// answer them.
func canaryAdopted(f *facts) bool {
	return adoptable(f) && f.in.Run.Exists && !stableTakesAll(f)
}

func runOfAdoptedMissing(f *facts) bool {
	return adoptable(f) && rollingBack(f) && !f.in.Run.Exists && !stableTakesAll(f)
}

// stableTakesAll holds in a rollback that can take the requests away at once: stable
// has endpoints and the Deployment controller keeps it at its size.
func stableTakesAll(f *facts) bool {
	return rollingBack(f) && rollbackCanaryWeighted(f) && f.in.Workload.Stable.Desired >= f.in.Workload.Replicas
}

// takeCanaryBack leaves its pods and its weight as they are: it is what may be all
// that serves. Without it the Deployment controller keeps stable at its size again.
func takeCanaryBack(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonWrongVersionServes, fmt.Sprintf("%s: ReplicaSet %s lost its owner, run %s, and the Deployment adopts it: taking it back, so that stable keeps its size (%d); find out who removed the owner (%s get replicaset %s -o yaml --show-managed-fields)",
		f.stage(), f.in.Canary.Adopted, f.in.Status.Run, f.in.Workload.Replicas, f.kubectl(), f.in.Canary.Adopted), TakeBack{f.in.Canary.Adopted})
	d.Progress = Stalled
	d.Recheck = 1
	return d
}
