package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// orderedRollbackTable applies in RollingBack of a StatefulSet; its last row always matches.
// First the partition goes up, which stops the candidate and waits for nothing. Then its pods
// are replaced in the rhythm of the StatefulSet's own strategy: there are no others that could
// serve instead.
var orderedRollbackTable = table{
	name:    "StatefulSet: rollback",
	about:   "RollingBack of a StatefulSet: the partition first, then one pod after the other.",
	applies: ofStatefulSet(rollingBack),
	rules: []rule{
		{"RollbackOverrun", overtakenByController, continueHandover},
		{"RollbackHoldsPods", stillUnheld, holdForRollback},
		{"RollbackReplacesPods", podsReplaceable, replaceForRollback},
		{"RollbackAwaitsReplaced", podsMisplaced, waitForReplaced},
		{"RollbackPodsGone", podsJustGone, noteZero},
		{"RollbackReleasesPods", pausedAtStable, unpauseStable},
		{"RollbackFinished", always, finishRollback},
	},
}

// overtakenByController holds when the last pod was ready before the partition went up. After
// the bake that is a promotion; before, it is a scale-up from 0, which no partition holds back.
func overtakenByController(f *facts) bool {
	p := f.in.Status.Promotion
	return f.in.Canary.Handed && p != nil && p.HandingSince != nil && f.in.Workload.Replicas > 0
}

// stillUnheld is false once the stable version is declared again and all pods are back at it:
// then the partition is released, and every pod that is made runs it.
func stillUnheld(f *facts) bool {
	return !f.in.Workload.Held && (f.declared != f.stable || podsLeft(f))
}

func holdForRollback(f *facts) Decision {
	return f.takeRequests(v1alpha1.ReasonRollingBack, ScaleCanary{0}, fmt.Sprintf("raising the partition, so that no more pods get %s: %s", imageOf(f.in.Status.Candidate), f.rollback().Message))
}

func replaceForRollback(f *facts) Decision {
	return f.replacePods(f.podsBack())
}

// podsBack says how far the rollback is.
func (f *facts) podsBack() string {
	n := f.in.Workload.Replicas
	return fmt.Sprintf("%d of %d pods are back at %s", min(f.in.Workload.Stable.Ready, n), n, imageOf(f.in.Status.Stable))
}

// podsLeft is false once the StatefulSet controller makes every pod in the candidate's version:
// whatever is deleted comes back as it was.
func podsLeft(f *facts) bool {
	return len(f.in.Canary.Misplaced) > 0 || f.in.Canary.Left > 0 && !f.in.Canary.Handed
}

// podsMisplaced also holds before the StatefulSet controller has seen what is declared, as of one
// that was made again: nobody knows yet whose the pods are.
func podsMisplaced(f *facts) bool {
	return podsLeft(f) || !f.in.Workload.Observed && f.in.Workload.Replicas > 0
}

// podsJustGone does not hold where the candidate's pods stay, because no partition leads back;
// but for a status without a rollback, which gets one.
func podsJustGone(f *facts) bool {
	return zeroJustAcknowledged(f) && (f.in.Canary.Left == 0 || f.in.Status.Rollback == nil)
}

func waitForReplaced(f *facts) Decision {
	return f.waiting(f.phaseReason(), v1alpha1.ReasonDeadlineExceeded, fmt.Sprintf("%s; %s to go, and %d not ready, at most %d at once (maxUnavailable)%s", f.podsBack(), count(f.in.Canary.Left, "pod"), f.unready(), max(1, f.in.Workload.MaxUnavailable), f.canaryProblem()))
}

// orderedDeletionTable applies while the Rollout of a StatefulSet is being deleted; its last row
// always matches. What a run has changed goes back. A version that somebody let through rolls on.
var orderedDeletionTable = table{
	name:    "StatefulSet: deletion",
	about:   "The Rollout of a StatefulSet is being deleted: its pods go back to stable, within `--release-timeout`.",
	applies: ofStatefulSet(deleting),
	rules: []rule{
		{"DeletingHoldsPods", deletingUnheld, holdForDeletion},
		{"DeletingReplacesPods", deletingMisplaced, replaceForDeletion},
		{"DeletingAwaitsPods", deletingPodsLeft, waitForReplacedInDeletion},
		{"DeletingReleasesPods", deletingHeldAtStable, unpauseStable},
		{"DeletingLeaves", always, leave},
	},
}

// takesBack is whether a deletion undoes what the run has done: not once the StatefulSet has
// the version for its own, nor for longer than it may take.
func takesBack(f *facts) bool {
	begun := f.in.Status.Phase.InRun() || f.in.Canary.Exists
	return begun && f.in.Workload.Found && !native(f) && !f.in.Canary.Handed && !f.in.ReleaseOverdue()
}

func deletingUnheld(f *facts) bool { return takesBack(f) && stillUnheld(f) }

func holdForDeletion(f *facts) Decision {
	return f.holdPods(fmt.Sprintf("the Rollout is being deleted: raising the partition, so that no more pods get %s", imageOf(f.in.Status.Candidate)))
}

func deletingMisplaced(f *facts) bool { return takesBack(f) && podsReplaceable(f) }

func replaceForDeletion(f *facts) Decision {
	return f.replacePods("the Rollout is being deleted: " + f.podsBack())
}

func deletingPodsLeft(f *facts) bool { return takesBack(f) && podsMisplaced(f) }

func waitForReplacedInDeletion(f *facts) Decision { return waitForReplaced(f) }

func deletingHeldAtStable(f *facts) bool {
	return f.in.Workload.Found && f.stable != "" && pausedAtStable(f) && !f.in.ReleaseOverdue()
}

// orderedHandoverTable applies in HandingOver, mode HandOver, of a StatefulSet; its last row
// always matches. The bake has passed, and the pod that kept the way back gets the candidate
// too. When it is ready, the StatefulSet controller takes the candidate for current.
var orderedHandoverTable = table{
	name:    "StatefulSet: the last pod",
	about:   "HandingOver, mode HandOver, of a StatefulSet: the bake has passed, and the last pod gets the candidate. Triggers stay armed until it is ready.",
	applies: ofStatefulSet(lastPodDue),
	rules: []rule{
		{"LastPodUndecided", lastPodUndecided, holdHandover},
		{"ReleasesLastPod", lastPodHeld, releaseLastPod},
		{"AwaitsLastPod", notAlone, waitForLastPod},
		{"PromotedInPlace", always, finishPromotion},
	},
}

func lastPodDue(f *facts) bool { return handingOver(f) && !native(f) }

func (f *facts) lastPodOut() bool { return f.in.Canary.Desired >= f.in.Workload.Replicas }

func lastPodHeld(f *facts) bool {
	keeps := !f.in.Canary.Handed || f.in.Workload.Stable.Pods > 0
	return f.declared == f.candidate && !f.lastPodOut() && keeps && f.promotion().FullAt != nil
}

func lastPodUndecided(f *facts) bool { return lastPodHeld(f) && undecided(f) }

func releaseLastPod(f *facts) Decision {
	n := f.in.Workload.Replicas
	return f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("the bake has passed: lowering the partition to 0, so that the last of %s gets %s", count(n, "pod"), f.onTrialName()), ScaleCanary{n})
}

// notAlone holds until the candidate runs alone, and the StatefulSet controller says so.
func notAlone(f *facts) bool { return unsettled(f) || !f.in.Canary.Handed }

func waitForLastPod(f *facts) Decision {
	n := f.in.Workload.Replicas
	return f.reconciling(v1alpha1.ReasonHandingOver, fmt.Sprintf("waiting for the last pod: %d of %d pods run %s and are available%s%s", min(f.in.Canary.Available, n), n, f.onTrialName(), f.canaryProblem(), f.lateTriggerNote()))
}

// orderedNativeTable comes before the rows for a workload that rolls by its own strategy.
var orderedNativeTable = table{
	name:    "StatefulSet: its own strategy",
	about:   "HandingOver of a StatefulSet in the modes Bypass and Unserved: pods that its controller would wait for, or leave as they are, for ever.",
	applies: ofStatefulSet(native),
	rules: []rule{
		{"NativeReplacesPods", podsReplaceable, replaceForNative},
		{"NativeAwaitsPods", pausedWithTwoVersions, waitForOneVersion},
	},
}

func replaceForNative(f *facts) Decision {
	return f.replacePods("the StatefulSet does not replace them by itself")
}

func waitForOneVersion(f *facts) Decision {
	return f.reconciling(v1alpha1.ReasonHandingOver, fmt.Sprintf("%s was declared while the StatefulSet ran %d versions: waiting until one is left%s", imageOf(&f.in.Workload.Declared), len(f.in.Workload.Active), f.canaryProblem()))
}
