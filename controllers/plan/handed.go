package plan

import (
	"fmt"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// handoverAfterOwnerTable applies in HandingOver, mode HandOver, once the Deployment
// owns the canary; its last row always matches. Routes and Service go back to
// the user's own, the Deployment is unpaused, and the run ends when the
// Deployment runs one version.
var handoverAfterOwnerTable = table{
	name:    "Handover: after the change of owner",
	about:   "HandingOver, mode HandOver: the Deployment owns the canary's ReplicaSet, and the way back is a fast revert.",
	applies: ofDeployment(handed),
	rules: []rule{
		{"HandoverSizeChanged", scaledDuringHandover, adaptToNewSize},
		{"HandoverAwaitsRecognition", canaryUnrecognised, waitForRecognition},
		{"HandoverReleases", handedReleasable, releaseHanded},
		{"HandoverUnpauses", unpausableOrLocked, unpauseHanded},
		{"HandoverReleaseBlocked", routesBlocked, waitForService},
		{"HandoverAwaitsRoute", unacknowledged, waitForRoute},
		{"HandoverAwaitsWorkload", unsettled, waitForWorkload},
		{"Promoted", always, finishPromotion},
	},
}

// recognisedWithin bounds how long Belay waits for the Deployment controller to
// write its revision on the ReplicaSet that was handed over.
const recognisedWithin = 30 * time.Second

// scaledDuringHandover holds when somebody scaled the Deployment between its
// lock and the change of owner. A paused Deployment then spreads its replicas
// over both ReplicaSets, and leaves them so.
func scaledDuringHandover(f *facts) bool {
	scaled := f.declared == f.candidate && f.in.Workload.Paused && f.in.Canary.Desired != f.in.Workload.Replicas
	return scaled && (f.in.Workload.Recreate || handedReleasable(f) || unpausableOrLocked(f))
}

// adaptToNewSize lets all pods of both ReplicaSets serve, and the Deployment go
// on by its own strategy. With Recreate that would empty the ReplicaSet that
// serves, so the new one is sized as the Deployment controller would do it.
func adaptToNewSize(f *facts) Decision {
	why := fmt.Sprintf("handover: the Deployment was scaled to %d during the handover, its new ReplicaSet has %d pods: ", f.in.Workload.Replicas, f.in.Canary.Desired)
	if f.in.Workload.Recreate {
		return f.doing(v1alpha1.ReasonHandingOver, why+"scaling it", ResizeHanded{f.in.Workload.Replicas})
	}
	return f.giveBack(why)
}

func canaryUnrecognised(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().HandedAt, recognisedWithin)
	return !f.in.Canary.Recognised && f.in.Workload.Paused && !over
}

func waitForRecognition(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonHandingOver, "handover: waiting for the Deployment controller to recognise ReplicaSet "+f.in.Canary.Name+f.lateTriggerNote())
	_, left := f.sinceElapsed(f.promotion().HandedAt, recognisedWithin)
	d.Recheck = max(1, left)
	return d
}

// lateTriggerNote says what to do about a trigger that fires when the owner has
// already changed.
func (f *facts) lateTriggerNote() string {
	if f.in.Verdict.Outcome != v1alpha1.VerdictFail {
		return ""
	}
	return fmt.Sprintf("; %s fires meanwhile (%s). To go back, %s", f.in.Verdict.Trigger, v1alpha1.Bounded(f.in.Verdict.Message, 200), f.wayBack())
}

// heldAtCandidate holds while the Deployment declares the candidate and is
// paused or locked.
func heldAtCandidate(f *facts) bool {
	return f.declared == f.candidate && (f.in.Workload.Paused || f.in.Workload.Lock != "")
}

// unpausable holds for a Deployment that is held at the candidate and may go on. One that
// does not recognise the set it was given makes its own and scales the other to 0:
// neither the routes nor the user's Service may name that then.
func unpausable(f *facts) bool {
	used := routesSplit(f) || narrowed(f)
	return heldAtCandidate(f) && !f.nativeStopped() && (f.in.Canary.Recognised || !used)
}

// unpausableOrLocked holds, too, for one that has to stay paused: its lock would refuse
// the push that mends it.
func unpausableOrLocked(f *facts) bool {
	return unpausable(f) || heldAtCandidate(f) && !f.nativeStopped() && f.in.Workload.Lock != ""
}

// handedReleasable holds while the routes or the user's Service are not the user's
// own again, and can be.
func handedReleasable(f *facts) bool { return routesReleasable(f) || narrowed(f) }

func releaseHanded(f *facts) Decision { return f.giveBack("handover: ") }

// giveBack does whichever of three is still missing: it points the routes at the
// user's Service, lets that select all of its pods, and unpauses the Deployment. From
// the change of owner on none of the three waits for another: a write of the routes
// that is refused does not keep the Deployment locked, nor paused, unless the pods that
// the routes name would go.
func (f *facts) giveBack(why string) Decision {
	var effects []Effect
	var does []string
	if routesReleasable(f) || releaseTimedOut(f) {
		effects, does = append(effects, ReleaseRoute{}), append(does, "pointing the routes at Service "+f.traffic.Service)
	}
	if narrowed(f) {
		effects, does = append(effects, NarrowService{}), append(does, "letting Service "+f.traffic.Service+" select all of its pods again")
	}
	switch {
	case unpausable(f) && (len(effects) == 0 || f.stableUnused()):
		effects, does = append(effects, Unpause{f.candidate, !routesBlocked(f)}), append(does, "unpausing the Deployment")
	case unpausableOrLocked(f) && f.in.Workload.Lock != "":
		effects, does = append(effects, Unlock{}), append(does, "unlocking the Deployment's template")
	}
	return f.doing(f.phaseReason(), why+strings.Join(does, ", ")+f.lateTriggerNote(), effects...)
}

// stableUnused holds when a Deployment that goes on takes no pods from anybody: it has
// nothing left to roll, or neither the routes nor the user's Service name stable.
func (f *facts) stableUnused() bool {
	named := routesSplit(f) && f.weightIsNot(100) || narrowed(f) && f.in.Route.Narrowed == f.in.Workload.Stable.Hash
	return f.in.Canary.Desired == f.in.Workload.Replicas || !named
}

func unpauseHanded(f *facts) Decision {
	if !unpausable(f) {
		return f.doing(f.phaseReason(), fmt.Sprintf("handover: unlocking the Deployment's template; it stays paused until the routes are back at Service %s, because they name ReplicaSet %s, which it would scale to 0", f.traffic.Service, f.in.Canary.Name), Unlock{})
	}
	return f.doing(f.phaseReason(), "handover: unpausing the Deployment, which has nothing left to roll"+f.lateTriggerNote(), Unpause{f.candidate, f.givenBack()})
}

// onlyActiveSet is the Deployment's one ReplicaSet with a size; nil while it
// has several, or none.
func (f *facts) onlyActiveSet() *Set {
	if len(f.in.Workload.Active) != 1 {
		return nil
	}
	return &f.in.Workload.Active[0]
}

// settled reports whether the Deployment runs one version at full size: the
// declared one, unless it is paused at another.
func (f *facts) settled() bool {
	s, n := f.onlyActiveSet(), f.in.Workload.Replicas
	if n == 0 {
		return f.in.Workload.Observed && len(f.in.Workload.Active) == 0
	}
	begun := s != nil && (f.in.Workload.Paused || s.Revision == f.declared)
	return begun && f.in.Workload.Observed && s.Desired == n && s.Available >= n
}

// unsettled is false, too, for a Deployment that is paused at one version
// because another was declared: that one waits for its own run.
func unsettled(f *facts) bool { return !f.settled() }

func waitForWorkload(f *facts) Decision {
	w := f.in.Workload
	if len(w.Active) > 1 && w.Paused && w.Lock == "" && f.declared != f.candidate {
		return takeOneVersionOut(f)
	}
	var available int32
	for _, s := range w.Active {
		if s.Revision == f.candidate {
			available = s.Available
		}
	}
	why := fmt.Sprintf("waiting for %s to run %s alone: %d of %d pods available, versions running: %d%s%s",
		f.workload(), imageOf(f.in.Status.Candidate), available, w.Replicas, len(w.Active), f.canaryProblem(), f.lateTriggerNote())
	if native(f) && w.Paused {
		why += fmt.Sprintf("; somebody %s it. To go on, run %s: the refusal prints the command that works (verb bypass); or declare another version", f.stopped(), f.letRoll())
	}
	return f.reconciling(f.phaseReason(), why)
}

func finishPromotion(f *facts) Decision {
	if s := f.onlyActiveSet(); s != nil && s.Revision != f.candidate {
		return finishNative(f)
	}
	ended := ""
	if p := f.promotion(); f.endedByCommand(p) {
		ended = ": " + p.Message
	}
	why := fmt.Sprintf("promoted %s%s%s", f.onTrialName(), v1alpha1.Bounded(ended, 600), f.lateTriggerNote())
	d := f.reconciling(v1alpha1.ReasonStable, why)
	d.Key = f.in.Status.Run
	f.endRun(&d, v1alpha1.OutcomePromoted, "", why)
	f.becomeStable(&d, f.in.Canary.Set)
	f.remark(&d)
	return d
}
