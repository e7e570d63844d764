package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// What is different where spec.traffic is absent: every ready pod takes the same
// share of the requests, so the number of canary pods is their weight. There is no
// route to split or to release, no gateway to wait for, and nothing lies between a
// pod that is ready and its requests. Stable keeps its pods all the time.

// replicasTable applies where the number of pods is the weight. It stands where,
// for routes, the rows about too high, lost or withdrawn weights stand.
var replicasTable = table{
	name:    "Weights by the number of pods",
	about:   "Without `spec.traffic`, in Stepping, Promoting, Baking, RollingBack, and HandingOver before the owner changes: the canary's size is its weight.",
	applies: ofDeployment((*facts).replicaWeighted),
	rules: []rule{
		{"RollbackScalesDown", canaryRemovable, scaleToZero},
		{"ShrinksCanary", canaryTooLarge, shrinkCanary},
		{"CanaryNotReady", canaryWithoutPods, restartWithoutPods},
	},
}

func (f *facts) replicaWeighted() bool { return f.in.Spec.ReplicaWeighted() }

// sizeIsNot reports whether the canary has another number of pods than the weight
// needs. A weight that was reached stands while some of the pods are not ready: a
// step asks for them again at the end of its hold.
func (f *facts) sizeIsNot(weight int32) bool {
	need, c := f.canaryNeed(weight), f.in.Canary
	return !c.Exists || c.Desired != need || !f.weightReached() && f.canaryReady() < need
}

// weightReached holds once the hold of the step, or the bake, has begun.
func (f *facts) weightReached() bool {
	if atFullWeight(f) || handingOver(f) {
		return f.promotion().FullAt != nil
	}
	return f.step().AcknowledgedAt != nil
}

// presentNeed is the size that the canary's present weight needs.
func (f *facts) presentNeed() int32 {
	if f.replicaWeighted() {
		return f.in.Canary.Ready
	}
	return f.canaryNeed(max(f.observedWeight(), f.in.Route.Mirror))
}

// shareOf is the share that so many canary pods have beside the stable ones, or of a
// StatefulSet among its own, when all are ready, in percent, rounded down.
func (f *facts) shareOf(pods int32) int32 {
	all := f.in.Workload.Replicas
	if !f.ordered() {
		all += pods
	}
	if all == 0 {
		return 0
	}
	return 100 * pods / all
}

// stepShare is the step's weight for a message: `10 %`; where pods are the weight
// what they come to, because pods are whole: `20 % (1 of 5 ready pods, the step asks
// for 10 %)`.
func (f *facts) stepShare() string {
	if !f.replicaWeighted() {
		return fmt.Sprintf("%d %%%s", f.stepWeight(), f.extraAt(f.step().Index))
	}
	r := f.in.Route
	return fmt.Sprintf("%d %% (%d of %d ready pods, the step asks for %d %%)", f.observedWeight(), r.CanaryShare, r.ServiceEndpoints, f.stepWeight())
}

// needOfPods says what size the present step needs, and what weight that is.
func (f *facts) needOfPods() string {
	n, need := f.in.Workload.Replicas, f.canaryNeed(f.targetWeight())
	switch {
	case f.ordered() && atFullWeight(f):
		return fmt.Sprintf("all pods but one, %d of %d: with the last one there would be no way back", need, n)
	case f.ordered():
		return fmt.Sprintf("weight %d %% needs %d of %d pods (%d %%)", f.targetWeight(), need, n, f.shareOf(need))
	}
	if atFullWeight(f) {
		return fmt.Sprintf("as many canary pods as stable pods, %d", need)
	}
	return fmt.Sprintf("weight %d %% beside %d stable pods needs canary pods: %d (%d of %d = %d %%)", f.targetWeight(), n, need, need, n+need, f.shareOf(need))
}

// canaryTooLarge holds while the canary has more pods than the step allows: the
// Deployment was scaled down, or somebody scaled the canary up. While no stable pod
// is ready a step's canary keeps what serves.
func canaryTooLarge(f *facts) bool {
	large := onTrial(f) && f.in.Workload.Replicas > 0 && f.in.Canary.Exists && f.in.Canary.Desired > f.canaryNeed(f.targetWeight())
	return large && (f.in.Route.StableEndpoints > 0 || atFullWeight(f))
}

func shrinkCanary(f *facts) Decision {
	return f.doing(f.phaseReason(), fmt.Sprintf("%s: the canary has %s, more than it needs: %s", f.stage(), count(f.in.Canary.Desired, "pod"), f.needOfPods()), ScaleCanary{f.canaryNeed(f.targetWeight())})
}

// canaryWithoutPods holds while no canary pod is ready although the hold or the bake
// has begun.
func canaryWithoutPods(f *facts) bool {
	c, w := f.in.Canary, f.in.Workload
	return revocable(f) && f.weightReached() && c.Exists && c.Ready == 0 && w.Replicas > 0 && f.in.Route.StableEndpoints > 0
}

// restartWithoutPods ends a handover: the candidate may be broken.
func restartWithoutPods(f *facts) Decision {
	why := fmt.Sprintf("%s: 0 of %d canary pods are ready, stable answers all requests%s", f.stage(), f.in.Canary.Desired, f.canaryProblem())
	if handingOver(f) {
		return f.beginRollback(v1alpha1.OutcomeCancelled, "", why)
	}
	d := f.reconciling(f.phaseReason(), why+"; the hold or bake begins again when they are")
	f.restartHold(&d)
	d.Recheck = 1
	return d
}

// canaryRemovable holds in a rollback while the canary has a size and its pods are
// not all that answers.
func canaryRemovable(f *facts) bool {
	c := f.in.Canary
	return rollingBack(f) && c.Exists && c.Desired > 0 && (f.in.Route.StableEndpoints > 0 || c.Ready == 0 || f.in.Workload.Replicas == 0)
}

func scaleToZero(f *facts) Decision {
	return f.takeRequests(v1alpha1.ReasonRollingBack, ScaleCanary{0}, fmt.Sprintf("scaling the canary from %d to 0 pods: %s%s", f.in.Canary.Desired, f.rollback().Message, f.smallStable()))
}

// podsAnswer holds while canary pods that nobody has told to terminate are left.
func (f *facts) podsAnswer() bool { return f.replicaWeighted() && f.in.Canary.Left > 0 }

// canaryPodsLeft holds until the last canary pod terminates: from then on Services
// do not list it.
func canaryPodsLeft(f *facts) bool {
	return zeroJustAcknowledged(f) && f.podsAnswer()
}

func waitForPods(f *facts) Decision {
	return f.waiting(f.phaseReason(), v1alpha1.ReasonDeadlineExceeded, fmt.Sprintf("waiting for canary pods to terminate: %d", f.in.Canary.Left)+f.smallStable())
}

// noStablePods holds in a step while no stable pod is ready: the canary answers all
// requests, far more than the step allows.
func noStablePods(f *facts) bool {
	return f.replicaWeighted() && stepping(f) && f.in.Route.StableEndpoints == 0
}

func waitForStablePods(f *facts) Decision {
	return f.reconciling(f.phaseReason(), fmt.Sprintf("%s: waiting for a ready stable pod: 0 of %d are ready, and the canary answers all requests (ready pods: %d)", f.stage(), f.in.Workload.Replicas, f.in.Canary.Ready))
}
