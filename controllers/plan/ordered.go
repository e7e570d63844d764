package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// What is different where the workload is a StatefulSet. Its pods are replaced in place, the
// last ordinal first, so the number of the replaced ones is their weight, and there is no
// second set of pods beside them. Its partition holds what is declared: pods below it stay at
// what the StatefulSet controller calls the current revision, which is stable's until all pods
// run another version and are ready. From then on no partition leads back. So one pod stays
// stable until the bake has passed.

func (f *facts) ordered() bool { return f.in.Spec.WorkloadRef.Ordered() }

// ofDeployment and ofStatefulSet limit a table to one kind of workload, so that no row asks.
func ofDeployment(applies func(*facts) bool) func(*facts) bool {
	return func(f *facts) bool { return !f.ordered() && applies(f) }
}

func ofStatefulSet(applies func(*facts) bool) func(*facts) bool {
	return func(f *facts) bool { return f.ordered() && applies(f) }
}

// orderedNeed is the number of pods for a weight: ceil(weight × N / 100), at least one, so that
// there is something to judge, and at most all but one, so that there is a way back.
func (f *facts) orderedNeed(weight int32) int32 {
	n := int64(f.in.Workload.Replicas)
	if n == 0 || weight == 0 {
		return 0
	}
	pods := min((int64(weight)*n+99)/100, n-1)
	return max(1, int32(pods)) //nolint:gosec // at most N
}

// tooSmall holds while there are too few replicas for a run to go on: none, or of a
// StatefulSet one, which no step can share.
func (f *facts) tooSmall() bool {
	return atZeroReplicas(f) || f.ordered() && f.in.Workload.Replicas == 1
}

// unready counts the StatefulSet's pods that are missing or not ready. Others may serve beside
// them: pods beyond its size, which stay as long as one below is not ready, and whatever else
// its selector matches.
func (f *facts) unready() int32 {
	w := f.in.Workload
	ready := map[string]int32{}
	for _, s := range append(w.Active[:len(w.Active):len(w.Active)], w.Stable, f.in.Canary.Set) {
		ready[s.Name] = s.Ready
	}
	var serving int32
	for _, n := range ready {
		serving += n
	}
	return max(0, w.Replicas-min(serving, f.in.Route.ServiceEndpoints))
}

// replaceable are the misplaced pods that may go now: all that are not ready, because nobody is
// served by them, and so many others that no more pods are missing than the StatefulSet's own
// strategy allows.
func (f *facts) replaceable() []string {
	var names []string
	more := max(1, f.in.Workload.MaxUnavailable) - f.unready()
	for _, pod := range f.in.Canary.Misplaced {
		if pod.Ready {
			if more <= 0 {
				continue
			}
			more--
		}
		names = append(names, pod.Name)
	}
	return names
}

func podsReplaceable(f *facts) bool { return len(f.replaceable()) > 0 }

// replacePods deletes pods, which the StatefulSet makes again in the version that their
// ordinal should have.
func (f *facts) replacePods(why string) Decision {
	names := f.replaceable()
	return f.doing(f.phaseReason(), fmt.Sprintf("%s: deleting %s, which the StatefulSet makes again: %s", why, count(int32(len(names)), "pod"), listed(names)), ReplacePods{names}) //nolint:gosec // at most N
}

// listed names the first of many.
func listed(names []string) string {
	said, more := names, ""
	const most = 5
	if n := len(names) - most; n > 0 {
		said, more = names[:most], fmt.Sprintf(" and %d more", n)
	}
	text := ""
	for i, name := range said {
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text + more
}

// holdPods raises the partition above every ordinal. It takes no pod from anybody.
func (f *facts) holdPods(why string) Decision {
	return f.doing(f.phaseReason(), why, ScaleCanary{0})
}

// unheld holds while a pod that is made anew, or comes with a scale-up, may get the declared
// version although it is not stable's.
func unheld(f *facts) bool { return f.in.Workload.Paused && !f.in.Workload.Held }

// orderedPodsTable stands where for Deployments the rows about too many canary pods stand:
// before everything that waits.
var orderedPodsTable = table{
	name:    "StatefulSet: pods beyond the step",
	about:   "A StatefulSet in Gating, Stepping, Promoting, Baking, RolledBack, and HandingOver before its controller has taken the candidate for current: no pod more than the step allows, none in another version than its ordinal should have.",
	applies: ofStatefulSet(heldOrOnTrial),
	rules: []rule{
		{"HoldsPods", unheldUnjudged, holdUnjudged},
		{"TakenOver", takenOver, followTakenOver},
		{"HoldsBack", podsBeyondStep, holdBack},
		{"ReplacesMisplaced", misplacedOnTrial, replaceMisplaced},
		{"PodsNotReady", canaryWithoutPods, restartWithoutPods},
		{"UnjudgedServes", otherServesAtRest, sayOtherServes},
	},
}

func heldOrOnTrial(f *facts) bool {
	return gating(f) || f.inPhase(v1alpha1.PhaseRolledBack) || revocable(f) || onTrial(f)
}

// unheldUnjudged holds while pods may get a declared version that no run has judged: the guard
// was not in force when it was pushed.
func unheldUnjudged(f *facts) bool {
	return unheld(f) && f.declared != f.stable && (idle(f) || newerDeclared(f))
}

func holdUnjudged(f *facts) Decision {
	return f.holdPods(fmt.Sprintf("%s is not promoted, and new pods could get it: raising the partition", imageOf(&f.in.Workload.Declared)))
}

// takenOver holds once the StatefulSet controller makes every pod in the declared version,
// without a decision: at 0 replicas it takes that for current, and a scale-up starts it. No
// partition leads back. While pods of stable serve, the run goes on: a StatefulSet that was
// deleted without its pods, and made again, keeps them below the partition.
func takenOver(f *facts) bool {
	if atZeroReplicas(f) || f.declared != f.candidate || f.inPhase(v1alpha1.PhaseRolledBack) {
		return false
	}
	if gating(f) {
		s := f.onlyActiveSet()
		return s != nil && s.Revision == f.declared
	}
	return onTrial(f) && f.in.Canary.Handed && f.in.Workload.Stable.Pods == 0
}

// unheldAtZero says, while there is time, what a scale-up from 0 starts.
func (f *facts) unheldAtZero() string {
	return fmt.Sprintf("the StatefulSet is scaled to 0, and at 0 replicas Kubernetes takes what is declared for the version that runs: scaled up, all pods start in %s, without being judged. Before you scale it up, %s", imageOf(&f.in.Workload.Declared), f.wayBackTo(f.in.Status.Stable))
}

func followTakenOver(f *facts) Decision {
	why := fmt.Sprintf("the StatefulSet was scaled to 0, or deleted and made again, while %s was declared and not promoted: Kubernetes then takes what is declared for the version that runs, so all pods start in it, without being judged. To go back, %s", imageOf(f.in.Status.Candidate), f.wayBackTo(f.in.Status.Stable))
	return f.rollUnjudged(v1alpha1.ReasonHandingOver, why)
}

// podsBeyondStep holds while the partition leaves the candidate more pods than its step allows:
// the StatefulSet was scaled up, or somebody lowered the partition.
func podsBeyondStep(f *facts) bool {
	return onTrial(f) && f.declared == f.candidate && f.in.Workload.Replicas > 1 && f.in.Canary.Desired > f.targetNeed()
}

func holdBack(f *facts) Decision {
	return f.doing(f.phaseReason(), fmt.Sprintf("%s: the partition leaves the candidate %s, more than it needs: %s", f.stage(), count(f.in.Canary.Desired, "pod"), f.needOfPods()), ScaleCanary{f.targetNeed()})
}

// misplacedOnTrial is false while a newer version is declared: the guard raises the partition
// with that, and the candidate's pods go when it has settled.
func misplacedOnTrial(f *facts) bool {
	return revocable(f) && f.declared == f.candidate && podsReplaceable(f)
}

func replaceMisplaced(f *facts) Decision {
	return f.replacePods(f.stage() + ": below the partition pods run " + imageOf(f.in.Status.Candidate))
}

// otherServesAtRest holds while a rejected version runs, because the StatefulSet was scaled to
// 0, or deleted and made again, while it was declared.
func otherServesAtRest(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseRolledBack) && f.declared == f.candidate && f.podsOfDeclared() > 0
}

// podsOfDeclared counts what runs the declared version, or will as soon as there are pods.
func (f *facts) podsOfDeclared() int32 {
	var pods int32
	for _, s := range f.in.Workload.Active {
		if s.Revision == f.declared {
			pods += s.Desired
		}
	}
	return pods
}

func sayOtherServes(f *facts) Decision {
	return f.stalled(v1alpha1.ReasonWrongVersionServes, fmt.Sprintf("%s was rejected, and %d of %d pods run it: the StatefulSet was scaled to 0, or deleted and made again, while it was declared, and Kubernetes then takes what is declared for the version that runs. To go back, %s", imageOf(f.in.Status.Candidate), f.podsOfDeclared(), f.in.Workload.Replicas, f.wayBackTo(f.in.Status.Stable)))
}

// orderedObstaclesTable keeps a run as it is.
var orderedObstaclesTable = table{
	name:    "StatefulSet: obstacles",
	about:   "A StatefulSet from Gating to the end of the bake: a run neither starts nor goes on while one of these holds. Triggers stay armed.",
	applies: ofStatefulSet(beforeEndOfBake),
	rules: []rule{
		{"WorkloadUnusable", workloadUnusable, stuckOnStrategy},
		{"TooFewReplicas", (*facts).tooSmall, waitForMoreReplicas},
	},
}

func beforeEndOfBake(f *facts) bool { return gating(f) || onTrial(f) }

func workloadUnusable(f *facts) bool { return f.in.Workload.Fault.Reason != "" }

func stuckOnStrategy(f *facts) Decision {
	return f.stalled(f.in.Workload.Fault.Reason, f.in.Workload.Fault.Message)
}

func waitForMoreReplicas(f *facts) Decision {
	what := imageOf(f.in.Status.Candidate)
	if gating(f) {
		return f.stalled(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("no run of %s starts: the StatefulSet has 1 replica, and its one pod would take all requests at once: scale it to 2 or more (%s scale %s --replicas=2), or let it roll out by a bypass", what, f.kubectl(), f.resource()))
	}
	return f.reconciling(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("the StatefulSet is scaled to 1: %s waits, and goes on when it has 2 replicas or more; a trigger that fires still rolls back", what))
}
