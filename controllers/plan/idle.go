package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// leftoversTable applies in Stable, Gating and RolledBack, where no run needs split
// routes. It comes before the labels and the candidate because requests come
// first, and because the labels say whether the declared version is rejected.
var leftoversTable = table{
	name:    "No run: leftovers, reverts, rejected versions",
	about:   "Stable, Gating and RolledBack: routes and Service as you declared them, and a declared version that needs no run.",
	applies: idle,
	rules: []rule{
		{"LeftoverReleased", leftoverRoutes, releaseLeftover},
		{"LeftoverWidened", narrowed, widenService},
		{"Reverted", reverted, acceptRevert},
		{"Rejected", rejectedAgain, rejectAgain},
	},
}

// withoutRunTable applies in Stable, Gating and RolledBack. It comes after the
// labels, so that the guard is in force before a candidate is looked at. In
// Stable and RolledBack one of its rows always matches.
var withoutRunTable = table{
	name:    "No run: the declared version",
	about:   "Stable, Gating and RolledBack: is there a candidate, and what stands against a run.",
	applies: idle,
	rules: []rule{
		{"LeftoverRemoved", leftoverSet, removeLeftover},
		{"SettlesPreview", previewUnsettledAtRest, settlePreview},
		{"RolledBack", rolledBack, stayRolledBack},
		{"NewRevision", newRevision, beginGating},
		{"Unserved", nothingServes, rollUnserved},
		{"Blocked", rolloutHeld, waitForRollout},
		{"Stable", inStable, stayStable},
	},
}

// leftoverRoutes are routes that are split without a run: their Rollout was
// removed by force, or somebody applied an old copy of the route.
func leftoverRoutes(f *facts) bool {
	return (routesSplit(f) || f.in.Route.Marked) && !f.releaseBlocked()
}

func releaseLeftover(f *facts) Decision {
	return f.doing(v1alpha1.ReasonProgressing, "no run is in progress: pointing the routes back at Service "+f.traffic.Service, ReleaseRoute{})
}

func reverted(f *facts) bool {
	return f.declared == f.stable && (f.inPhase(v1alpha1.PhaseRolledBack) || inStable(f) && f.in.Workload.Paused)
}

func acceptRevert(f *facts) Decision {
	return f.backToStable(f.workload() + " declares the stable version again")
}

func (f *facts) backToStable(why string) Decision {
	if f.in.Workload.Paused {
		return f.doing(v1alpha1.ReasonProgressing, why, Unpause{Revision: f.stable})
	}
	d := f.reconciling(v1alpha1.ReasonProgressing, why)
	d.Status.Phase = v1alpha1.PhaseStable
	d.Status.Candidate, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	return d
}

// leftoverSet is the ReplicaSet of a former run, which neither a run nor a
// route needs.
func leftoverSet(f *facts) bool { return f.in.Canary.Leftover != "" && !routesSplit(f) }

func removeLeftover(f *facts) Decision {
	return f.doing(f.phaseReason(), fmt.Sprintf("deleting ReplicaSet %s of a former run", f.in.Canary.Leftover), RemoveLeftover{f.in.Canary.Leftover})
}

func rolledBack(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseRolledBack) && f.declared == f.candidate
}

func stayRolledBack(f *facts) Decision {
	d := Decision{Why: f.rolledBackMessage(), Status: f.next(), Progress: Stalled, Reason: v1alpha1.ReasonRolledBack}
	f.settlePreviewToo(&d)
	return d
}

func (f *facts) rolledBackMessage() string {
	because := f.rollback().Message
	if r := f.in.Status.IsRejected(f.candidate); r != nil {
		because = r.Message
	}
	if f.ordered() && atZeroReplicas(f) {
		return fmt.Sprintf("rolled back to %s: %s; %s", imageOf(f.in.Status.Stable), because, f.unheldAtZero())
	}
	return fmt.Sprintf("rolled back to %s: %s; %s still declares %s: revert it, push a new version, or retry",
		imageOf(f.in.Status.Stable), because, f.workload(), f.besideStable(f.in.Status.Candidate))
}

func newRevision(f *facts) bool { return !gating(f) && f.declared != f.stable }

func beginGating(f *facts) Decision {
	why := fmt.Sprintf("new version %s: held until a run has promoted it", imageOf(&f.in.Workload.Declared))
	if f.restartDeclared() {
		why = fmt.Sprintf("restart of %s: held until a run has baked it", imageOf(&f.in.Workload.Declared))
	}
	d := f.reconciling(v1alpha1.ReasonProgressing, why)
	f.takeAsCandidate(&d)
	d.Status.Phase = v1alpha1.PhaseGating
	d.Recheck = 1
	return d
}

func (f *facts) takeAsCandidate(d *Decision) {
	d.Key = f.declared
	d.Status.Candidate = f.in.Workload.Declared.DeepCopy()
	d.Status.Step, d.Status.Rollback, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
}

// unservedAfter is how long no pod must have been available before a new
// version goes out without being judged. It is longer than pods usually take to
// start, so that a restart of all of them or a drained node is no reason.
const unservedAfter = time.Minute

// nothingServes holds when stable has no available pod: there is nothing to
// compare with, and nothing to go back to.
func nothingServes(f *facts) bool {
	w := f.in.Workload
	down := w.Replicas > 0 && w.Stable.Ready == 0 && w.UnavailableSince != nil && f.in.Now.Sub(*w.UnavailableSince) >= unservedAfter
	return gating(f) && down && !paused(f)
}

// rollUnserved opens a run without steps, so that the record has it.
func rollUnserved(f *facts) Decision {
	why := fmt.Sprintf("%s has had no ready pod since %s: %s rolls out at once by %s's own strategy, without being judged",
		imageOf(f.in.Status.Stable), clock(*f.in.Workload.UnavailableSince), imageOf(f.in.Status.Candidate), f.workload())
	return f.rollUnjudged(v1alpha1.ReasonNothingServes, why)
}

// rollUnjudged leaves the candidate to the workload's own strategy. Without a run in progress it
// opens one.
func (f *facts) rollUnjudged(reason, why string) Decision {
	d := f.reconciling(reason, why)
	if !f.in.Status.Phase.InRun() {
		f.openRun(&d)
		d.Effects = []Effect{CreateRun{}}
	}
	d.Status.Phase = v1alpha1.PhaseHandingOver
	now := f.now()
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: now, HandingSince: &now, Mode: v1alpha1.TakeOverUnserved, Message: v1alpha1.Bounded(why, 1024)}
	d.Key, d.Recheck = d.Status.Run, 1
	return d
}

func stayStable(f *facts) Decision {
	d := Decision{Status: f.next(), Progress: Ready, Reason: v1alpha1.ReasonStable, Why: fmt.Sprintf("serving %s", imageOf(f.in.Status.Stable))}
	switch w := f.in.Workload; {
	case w.Replicas > 0 && w.Stable.Ready == 0:
		return f.reconciling(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("nothing serves: %s has 0 of %d pods ready; push a fix: it rolls out at once if no pod gets ready within %s",
			imageOf(f.in.Status.Stable), w.Replicas, unservedAfter))
	case workloadUnusable(f):
		return stuckOnStrategy(f)
	case f.in.Route.Fault.Reason != "":
		d.Progress, d.Reason = Stalled, f.in.Route.Fault.Reason
		d.Why, d.Recheck = f.in.Route.Fault.Message, f.in.Watchdog
	case f.in.Workload.Warning != "":
		d.Why += fmt.Sprintf("; note: %s", f.in.Workload.Warning)
	}
	return d
}
