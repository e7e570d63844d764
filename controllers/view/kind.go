package view

import "belay.dev/belay/api/v1alpha1"

// KindOf is the kind of a Rollout's workload.
func KindOf(r *v1alpha1.Rollout) string {
	if r.Spec.WorkloadRef.Ordered() {
		return v1alpha1.KindStatefulSet
	}
	return v1alpha1.KindDeployment
}

// workloadOf is the workload in a sentence.
func workloadOf(r *v1alpha1.Rollout) string { return "the " + KindOf(r) }

// setKindOf is the kind of the objects that hold the versions of a Rollout's workload.
func setKindOf(r *v1alpha1.Rollout) string {
	if r.Spec.WorkloadRef.Ordered() {
		return "ControllerRevision"
	}
	return "ReplicaSet"
}

// words are what is said otherwise of a StatefulSet, whose pods are replaced one after the other,
// than of a Deployment, whose canary has pods of its own.
type words struct {
	// promoting, waiting, handingOver and rollingBack say what comes next.
	promoting, waiting, handingOver, rollingBack string
	// atZero is what comes next at 0 replicas.
	atZero string
	// full is what a version has in its bake.
	full string
	// end is the last item of the strip, after the bake.
	end string
	// pace is how fast an unjudged version takes all pods.
	pace string
	// notHeld is why a version that is declared is not held.
	notHeld string
}

func wordsOf(r *v1alpha1.Rollout) words {
	if r.Spec.WorkloadRef.Ordered() {
		return words{
			promoting: "all pods but one, then bake", waiting: "waits for pods", handingOver: "the last pod gets it", rollingBack: "stable's pods again, one by one",
			atZero: "scaled up, it is not judged", full: "all pods but one", end: "last pod", pace: "", notHeld: "has a partition that lets pods have it",
		}
	}
	return words{
		promoting: "full size, then bake", waiting: "waits for pods or the gateway", handingOver: "the Deployment takes it over", rollingBack: "weight 0, then remove the canary",
		atZero: "starts when it is scaled up", full: "100 %", end: "hand over", pace: " at once", notHeld: "is not paused",
	}
}
