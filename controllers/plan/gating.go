package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// obstaclesTable applies in Gating, and in a run until the canary's owner changes.
// It comes before the rows that start a run or give the candidate more, and
// after those that take something from it, which no obstacle may hold back.
var obstaclesTable = table{
	name:    "Obstacles",
	about:   "From Gating until the owner changes: a run neither starts nor goes on while one of these holds. Triggers stay armed.",
	applies: cancellable,
	rules: []rule{
		{"PauseFences", pausedInFlight, fenceForPause},
		{"EmptiesCanary", canaryOfEmptyDeployment, emptyCanary},
		{"HandoverBakesAgain", handoverAtZero, bakeAgain},
		{"SupersedeSettles", settling, waitForRest},
		{"RouteUnusable", routeUnusable, stuckOnRoute},
		{"UnattendedHolds", unattendedHolds, holdUnattended},
		{"PauseFollowsSize", keptAndShort, followLoad},
		{"Paused", paused, stayPaused},
		{"Frozen", frozen, stayFrozen},
		{"ScaledToZero", atZeroReplicas, waitForReplicas},
	},
}

// beforeRunTable applies in Gating; its last row always matches. It comes last of
// the tables for Gating: everything that may hold a run back has been asked.
var beforeRunTable = table{
	name:    "Gating",
	about:   "Gating, with no obstacle left: when and how the run starts.",
	applies: gating,
	rules: []rule{
		{"StableNotReady", stableNotReady, waitForStableReady},
		{"RevertStarts", fastRevert, startRevert},
		{"PreparesPreview", previewMissing, settlePreview},
		{"PreflightHolds", candidateHeld, waitForCandidate},
		{"RunSettles", candidateNew, waitForMorePushes},
		{"RestartStarts", restartOnly, startRestart},
		{"RunStarts", always, startRun},
	},
}

func routeUnusable(f *facts) bool { return f.in.Route.Fault.Reason != "" }

func stuckOnRoute(f *facts) Decision {
	return f.stalled(f.in.Route.Fault.Reason, f.in.Route.Fault.Message)
}

// canaryOfEmptyDeployment holds while the canary of a Deployment with 0
// replicas has pods.
func canaryOfEmptyDeployment(f *facts) bool {
	return atZeroReplicas(f) && !gating(f) && f.in.Canary.Exists && f.in.Canary.Desired > 0
}

// emptyCanary makes the hold or the bake begin anew: without pods nobody uses the
// candidate.
func emptyCanary(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonScaledToZero, "the Deployment is scaled to 0: scaling the canary to 0 too", ScaleCanary{0})
	if !handingOver(f) {
		f.restartHold(&d)
	}
	return d
}

// handoverAtZero holds before the owner changes, once the canary has no size: an older
// controller that still hands it over tests a size, and fails.
// A StatefulSet's controller takes what is declared for current then.
func handoverAtZero(f *facts) bool { return handoverDue(f) && atZeroReplicas(f) && !f.ordered() }

// bakeAgain goes back to the promotion, because a handover is of pods that were judged:
// those are gone, and what comes in their place has served nobody.
func bakeAgain(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonScaledToZero, fmt.Sprintf("the Deployment is scaled to 0 before the handover: %s waits; its new pods get all requests and a bake of their own when it is scaled up", imageOf(f.in.Status.Candidate)))
	p := f.promotion()
	d.Status.Phase = v1alpha1.PhasePromoting
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: f.now(), Mode: p.Mode, Fast: p.Fast, Restart: p.Restart, FullReplicas: p.FullReplicas, Message: p.Message, Actor: p.Actor}
	d.Recheck = 1
	return d
}

// atZeroReplicas holds while a person or an autoscaler has scaled the
// Deployment to 0. The run waits as it is.
func atZeroReplicas(f *facts) bool { return f.in.Workload.Replicas == 0 }

func waitForReplicas(f *facts) Decision {
	if f.ordered() && f.declared != f.stable {
		return f.reconciling(v1alpha1.ReasonScaledToZero, f.unheldAtZero())
	}
	return f.reconciling(v1alpha1.ReasonScaledToZero, fmt.Sprintf("%s is scaled to 0: %s waits, and goes on when it is scaled up", f.workload(), imageOf(f.in.Status.Candidate)))
}

// noteWaiting keeps how long the run could not go on because of a pause, a freeze, 0 replicas or a
// newer push: nothing was wrong with a candidate that had to wait. It begins rounded down and ends
// rounded up, so that no hold is shorter than was asked for.
func (f *facts) noteWaiting(d Decision) {
	s, began, now := d.Status.Step, f.began(), f.now()
	next := f.after(d)
	switch waits := keptAsItIs(next) || f.tooSmall() || settling(next); {
	case waits && s.WaitsSince == nil:
		s.WaitsSince = &began
	case !waits && s.WaitsSince != nil:
		s.WaitedSeconds += int64(max(0, now.Sub(s.WaitsSince.Time)).Seconds())
		s.WaitsSince = nil
	}
}

// waited is how long it was so.
func (f *facts) waited() time.Duration {
	s := f.step()
	return s.Waited(f.in.Now)
}

// stood is how much of that prolongs the hold or the bake in progress.
func (f *facts) stood() time.Duration {
	s := f.step()
	return s.Stood(f.in.Now)
}

// standsFromHere lets a hold, or what follows the steps, count only what it waits itself.
func standsFromHere(s *v1alpha1.StepStatus, now time.Time) {
	s.WaitedBefore = int64(s.Waited(now).Seconds())
}

// begins is whether a decision begins the promotion, its bake or its handover.
func (f *facts) begins(d Decision) bool {
	was, is := f.in.Status.Promotion, d.Status.Promotion
	if is == nil || was == nil {
		return is != nil
	}
	baked := is.FullAt != nil && !was.FullAt.Equal(is.FullAt)
	return !was.StartedAt.Equal(&is.StartedAt) || baked || !was.HandingSince.Equal(is.HandingSince)
}

// stableNotReady holds while not exactly one version runs, or it has no ready
// pod.
func stableNotReady(f *facts) bool {
	w := f.in.Workload
	return w.Stable.Ready == 0 || len(w.Active) != 1
}

func waitForStableReady(f *facts) Decision {
	w := f.in.Workload
	if len(w.Active) > 1 {
		return f.reconciling(v1alpha1.ReasonWorkloadNotReady, fmt.Sprintf("%s runs %d versions: no run starts before only %s is left", f.workload(), len(w.Active), imageOf(f.in.Status.Stable)))
	}
	why := fmt.Sprintf("%s has no ready pod: there is nothing to compare %s with; if none gets ready within %s, the new version rolls out at once", imageOf(f.in.Status.Stable), imageOf(f.in.Status.Candidate), unservedAfter)
	d := f.reconciling(v1alpha1.ReasonWorkloadNotReady, why)
	d.Recheck = unservedAfter
	return d
}

// fastRevert holds for a candidate that was stable not long ago: it has been
// judged, and returns without steps.
func fastRevert(f *facts) bool {
	for i, p := range f.in.Status.Previous {
		if int32(i) < f.fastReverts() && p.Revision == f.candidate {
			return true
		}
	}
	return false
}

// fastReverts is how many former stable versions return without steps.
func (f *facts) fastReverts() int32 {
	switch {
	case f.in.Spec.Promotion.Mode == v1alpha1.PromotionNative:
		return 0
	case f.in.Spec.FastRevert.Revisions != nil:
		return *f.in.Spec.FastRevert.Revisions
	default:
		return 1
	}
}

func startRevert(f *facts) Decision {
	d := f.newRun()
	d.Why = fmt.Sprintf("run %d starts: back to %s, which was stable before; it goes to %s without steps", d.Status.Runs, imageOf(f.in.Status.Candidate), f.fullShare())
	f.startAtFull(&d, v1alpha1.PromotionStatus{Fast: true})
	return d
}

func startRun(f *facts) Decision {
	d := f.newRun()
	f.growFirst(&d)
	return d
}

// growFirst lets the decision that begins a run ask for its first pods where the number
// of pods is the weight: no route has to be split before.
func (f *facts) growFirst(d *Decision) {
	next := f.after(*d)
	if _, fires := triggersTable.first(next); f.replicaWeighted() && !f.in.Canary.Exists && !fires {
		f.grow(d, next.stage()+": ")
	}
}

// newRun begins a run at its first step.
func (f *facts) newRun() Decision {
	d := f.reconciling(v1alpha1.ReasonProgressing, "")
	f.openRun(&d)
	d.Why = fmt.Sprintf("run %d starts: %s against %s", d.Status.Runs, imageOf(f.in.Status.Candidate), imageOf(f.in.Status.Stable))
	if s := f.in.Status.Stable; s != nil && s.Image != "" && s.Image == f.in.Status.Candidate.Image {
		d.Why = fmt.Sprintf("run %d starts: %s again, with another pod template (revision %s against %s): a restart, or a change of its configuration", d.Status.Runs, s.Image, f.candidate, f.stable)
		if r := f.failedRestart(); r != nil && f.ofStable() {
			d.Why += fmt.Sprintf("; it takes the steps, because restart %s was rejected at %s", r.Revision, clock(r.At.Time))
		}
	}
	d.Why += f.supersededInARow()
	d.Status.Phase = v1alpha1.PhaseStepping
	d.Effects = []Effect{CreateRun{}}
	if !f.replicaWeighted() {
		// The label tells the guard of the run, and the pair takes no requests yet: neither
		// needs the run's record, and what a crash leaves out the tables ask for again.
		d.Effects = append(d.Effects, MarkWorkload{f.marks(d.Status)}, PointServices{})
	}
	d.Key, d.Recheck = d.Status.Run, 1
	return d
}

// openRun sets the fields that every new run has.
func (f *facts) openRun(d *Decision) {
	number := f.in.Run.Next + 1
	now := f.now()
	d.Status.Run = RunName(f.in.Name, d.Status.Candidate.Revision, number)
	d.Status.Runs = number
	d.Status.Epoch = max(d.Status.Epoch, f.in.Route.Epoch) + 1
	d.Status.RunStartedAt = &now
	d.Status.Step = &v1alpha1.StepStatus{Index: 0, EnteredAt: now}
	d.Status.Rollback, d.Status.Promotion, d.Status.Verdicts, d.Status.WouldRollBack, d.Status.WouldHold = nil, nil, nil, nil, nil
}

// RunName is the name of a Rollout's run. It is deterministic, so that creating
// a run twice finds the first, and never used again, because the number only
// rises.
func RunName(rollout, revision string, number int32) string {
	return fmt.Sprintf("%s-%s-%d", rollout, revision, number)
}
