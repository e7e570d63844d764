package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about the bake and the handover: the Deployment becomes the owner of the
// canary's ReplicaSet, and no pod is replaced. The sequence and its one race are
// in docs/adr/20261125-promotion-hands-the-replicaset-over.md.

// recognisedWithin bounds how long the Deployment controller may take to find the
// set that it was given.
const recognisedWithin = 30 * time.Second

func (f *facts) promotion() v1alpha1.PromotionStatus {
	if f.in.Status.Promotion == nil {
		return v1alpha1.PromotionStatus{StartedAt: f.now(), Mode: v1alpha1.TakeOverHandOver}
	}
	return *f.in.Status.Promotion
}

func (f *facts) takeOver() v1alpha1.TakeOver {
	if m := f.promotion().Mode; m != "" {
		return m
	}
	return v1alpha1.TakeOverHandOver
}

func justFull(f *facts) bool {
	return f.inPhase(v1alpha1.PhasePromoting, v1alpha1.PhaseBaking) && (f.promotion().FullAt == nil || f.inPhase(v1alpha1.PhasePromoting))
}

func startBake(f *facts) Decision {
	bake := f.in.Spec.Promotion.Bake.Duration
	d := f.working(v1alpha1.ReasonBaking, fmt.Sprintf("%s serves alone; baking until %s with %s beside it, triggers armed", imageOf(f.in.Status.Candidate), clock(f.in.Now.Add(bake)), imageOf(f.in.Status.Stable)))
	now, p := f.now(), f.promotion()
	p.FullAt = &now
	d.Status.Phase, d.Status.Promotion = v1alpha1.PhaseBaking, &p
	d.Recheck = max(1, bake)
	f.announce(&d, "end of the bake", now.Add(bake))
	return d
}

func baking(f *facts) bool { return f.inPhase(v1alpha1.PhaseBaking) }

func bakeNotOver(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().FullAt, f.in.Spec.Promotion.Bake.Duration)
	return baking(f) && !over
}

func bakeOn(f *facts) Decision {
	_, left := f.sinceElapsed(f.promotion().FullAt, f.in.Spec.Promotion.Bake.Duration)
	d := f.working(v1alpha1.ReasonBaking, fmt.Sprintf("baking %s until %s; %s", imageOf(f.in.Status.Candidate), clock(f.in.Now.Add(left)), f.verdictSummary()))
	f.noteSize(&d)
	d.Recheck = left
	return d
}

func bakeUndecided(f *facts) bool { return baking(f) && undecided(f) }

func holdBake(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHolding, "bake is over but undecided: "+f.undecidedBecause())
	d.Key = f.in.Verdict.Trigger + "/" + f.in.Verdict.Reason
	if baking(f) {
		f.noteSize(&d)
	}
	return d
}

func startHandover(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHandingOver, fmt.Sprintf("bake passed: %s; the Deployment takes the canary's ReplicaSet over", f.verdictSummary()))
	p := f.promotion()
	now := f.now()
	p.Mode, p.HandingSince = v1alpha1.TakeOverHandOver, &now
	d.Status.Phase, d.Status.Promotion = v1alpha1.PhaseHandingOver, &p
	f.noteSize(&d)
	d.Recheck = 1
	return d
}

func handingOver(f *facts) bool { return f.inPhase(v1alpha1.PhaseHandingOver) }

// sized reports whether both sides have the size that the Deployment declares,
// with every pod available, and nothing else has pods.
func (f *facts) sized() bool {
	w, n := f.in.Workload, f.in.Workload.Replicas
	full := func(s Set) bool { return s.Desired == n && s.Pods == n && s.Available == n }
	return w.Observed && w.Paused && len(w.Active) == 1 && w.Active[0].Name == w.Stable.Name && full(w.Stable) && full(f.in.Canary.Set) && n > 0
}

// noteSize keeps since when the sizes have stood, so that a handover does not
// meet an autoscaler's next change.
func (f *facts) noteSize(d *Decision) {
	p, n := f.promotion(), f.in.Workload.Replicas
	switch {
	case !f.sized():
		p.Size, p.SizeSince = nil, nil
	case p.Size == nil || *p.Size != n:
		now := f.now()
		p.Size, p.SizeSince = &n, &now
	default:
		return
	}
	d.Status.Promotion = &p
}

// handoverDue is the part of a handover before the owner changes.
func handoverDue(f *facts) bool {
	return handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && !f.in.Canary.Handed
}

// handoverImpossible holds when the Deployment controller would not take this
// set, or the sizes do not come to rest.
func handoverImpossible(f *facts) bool {
	return handoverDue(f) && f.nativeBecause() != ""
}

func (f *facts) nativeBecause() string {
	switch {
	case f.in.Canary.Changed != "":
		return "admission changed the canary's template, so that the Deployment would not take it over: " + truncate(f.in.Canary.Changed, 300)
	case f.in.Canary.Exists && f.in.Workload.Chosen == "":
		return fmt.Sprintf("the Deployment would not find its own template in the canary's ReplicaSet %s", f.in.Canary.Name)
	case f.in.Canary.Exists && f.in.Workload.Chosen != f.in.Canary.Name:
		return fmt.Sprintf("the Deployment would choose its ReplicaSet %s, which has the same template and is older", f.in.Workload.Chosen)
	case f.deadlineExceeded() && !f.sized():
		return fmt.Sprintf("the sizes of stable and canary did not come to rest at %d within stepDeadline %s", f.in.Workload.Replicas, f.in.Spec.StepDeadline.Duration)
	default:
		return ""
	}
}

func promoteNatively(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHandingOver, "")
	f.goNative(&d, f.nativeBecause())
	d.Recheck = 1
	return d
}

// goNative leaves the promotion to the Deployment's own strategy.
func (f *facts) goNative(d *Decision, because string) {
	p := f.promotion()
	if d.Status.Promotion != nil {
		p = *d.Status.Promotion
	}
	now := f.now()
	p.Mode, p.Message, p.HandingSince = v1alpha1.TakeOverNative, truncate(because, 1024), &now
	d.Status.Phase, d.Status.Promotion = v1alpha1.PhaseHandingOver, &p
	d.Standing.Reason = v1alpha1.ReasonHandingOver
	d.Why = "promoting natively: " + because
	d.Key = "native"
}

// handoverLockedEarly unlocks a Deployment whose handover must wait after all.
func handoverLockedEarly(f *facts) bool {
	waits := handoverUncalm(f) || handoverSizeOff(f) || undecided(f) || f.in.Spec.Paused || f.in.Route.Fault.Reason != ""
	return handoverDue(f) && f.in.Workload.Lock != "" && waits
}

func unlockForNow(f *facts) Decision {
	return f.doing(v1alpha1.ReasonHandingOver, "the handover waits: the Deployment's template may change meanwhile", Unlock{})
}

func handoverSizeOff(f *facts) bool {
	return handoverDue(f) && f.in.Canary.Exists && f.followedSize() != f.in.Canary.Desired
}

// followedSize is the canary's next size on the way to the Deployment's.
func (f *facts) followedSize() int32 {
	n, has := f.in.Workload.Replicas, f.in.Canary.Desired
	if has >= n {
		return n
	}
	return max(has, min(n, f.canaryReady()+max(1, n/4)))
}

func followSize(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("handover: the canary follows the Deployment to %d replicas", f.in.Workload.Replicas), ScaleCanary{f.followedSize()})
	f.noteSize(&d)
	return d
}

func handoverUncalm(f *facts) bool {
	p, n := f.promotion(), f.in.Workload.Replicas
	over, _ := f.sinceElapsed(p.SizeSince, f.in.Calm)
	rest := f.sized() && p.Size != nil && *p.Size == n && over
	return handoverDue(f) && (!rest || !f.in.Route.Acknowledged || handoverShareOff(f))
}

// handoverShareOff holds while somebody has given stable a share again, or the
// routes back to the whole Service: stable's pods go with the change of the owner.
func handoverShareOff(f *facts) bool {
	if f.in.Route.Split != nil {
		return handoverDue(f) && f.weightIsNot(100)
	}
	return handoverDue(f) && (f.in.Route.Narrowed == "" || f.in.Route.Narrowed != f.in.Canary.Hash)
}

func handoverShareDue(f *facts) bool {
	return handoverShareOff(f) && f.in.Route.Acknowledged && f.in.Route.PairCurrent && min(f.canaryReady(), f.in.Route.CanaryEndpoints) >= f.canaryNeed(100)
}

func giveAllAgain(f *facts) Decision {
	what := fmt.Sprintf("gave the canary %d %%", f.observedWeight())
	if f.in.Route.Split == nil {
		what = "pointed the routes back at Service " + f.in.Spec.Traffic.Service
	}
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("handover: somebody %s: everything goes to the canary again before the Deployment takes it over", what), SetSplit{100})
	p := f.promotion()
	p.Size, p.SizeSince = nil, nil
	d.Status.Promotion = &p
	return d
}

// handoverUndecided: what passed the bake must still pass when the owner changes.
func handoverUndecided(f *facts) bool { return handoverDue(f) && undecided(f) }

func holdHandover(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHolding, "handover waits, undecided: "+f.undecidedBecause())
	d.Key = f.in.Verdict.Trigger + "/" + f.in.Verdict.Reason
	return d
}

func waitForCalm(f *facts) Decision {
	w, c := f.in.Workload, f.in.Canary
	d := f.working(v1alpha1.ReasonHandingOver, "")
	f.noteSize(&d)
	switch p := d.Status.Promotion; {
	case !f.in.Route.Acknowledged:
		return waitForRoute(f)
	case handoverShareOff(f):
		d.Why = fmt.Sprintf("handover: the canary has %d %% and needs %d reachable pods to get everything again: %d", f.observedWeight(), w.Replicas, f.in.Route.CanaryEndpoints)
	case f.sized() && p != nil && p.SizeSince != nil:
		_, left := f.sinceElapsed(p.SizeSince, f.in.Calm)
		d.Why = fmt.Sprintf("handover: stable and canary have stood at %d since %s; waiting until %s, so that no autoscaler comes between", w.Replicas, clock(p.SizeSince.Time), clock(f.in.Now.Add(left)))
		d.Recheck = max(1, left)
	default:
		d.Why = fmt.Sprintf("handover: waiting for %d available pods on both sides: stable %d, canary %d%s", w.Replicas, w.Stable.Available, c.Available, f.because())
	}
	return d
}

// handoverSplitNarrowed: with the user's Service narrowed to the candidate it
// reaches what the canary Service does, and the routes can go to it first.
func handoverSplitNarrowed(f *facts) bool {
	return handoverDue(f) && f.in.Route.Split != nil && f.in.Route.Narrowed != "" && f.in.Route.Narrowed == f.in.Canary.Hash && !f.releaseBlocked()
}

func handOver(f *facts) Decision {
	n := f.in.Workload.Replicas
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("handover: the Deployment becomes the owner of ReplicaSet %s, with %d pods", f.in.Canary.Name, n), HandOver{Replicas: n})
	f.noteHanded(&d)
	d.Recheck = time.Second
	return d
}

// noteHanded keeps when the Deployment may have become the owner. A write that the
// API server refuses is decided again at every look: that is no news, and the time
// stays while the Deployment controller would still have half of recognisedWithin
// to find the set.
func (f *facts) noteHanded(d *Decision) {
	p := f.promotion()
	if old, _ := f.sinceElapsed(p.HandedAt, recognisedWithin/2); p.HandedAt != nil && !old {
		return
	}
	now := f.now()
	p.HandedAt = &now
	d.Status.Promotion = &p
}

// handed holds once the Deployment owns the canary in a handover. From here the
// way back is a fast revert.
func handed(f *facts) bool {
	return handingOver(f) && f.takeOver() == v1alpha1.TakeOverHandOver && f.in.Canary.Handed
}

// handedSizeOff is the one race: somebody scaled the Deployment between the lock
// and the change of the owner. While it is paused it then spreads its size over
// both sets and stays so.
func handedSizeOff(f *facts) bool {
	return handed(f) && f.declared == f.tried && f.in.Workload.Paused && f.in.Canary.Desired != f.in.Workload.Replicas
}

// adaptHanded lets all pods of both sets serve, and the Deployment go on by its
// own strategy. Recreate would empty the set that serves, and does nothing while
// it is paused: there the set is sized as the Deployment controller would.
func adaptHanded(f *facts) Decision {
	why := fmt.Sprintf("handover: the Deployment was scaled to %d just now, its new ReplicaSet has %d", f.in.Workload.Replicas, f.in.Canary.Desired)
	switch {
	case f.in.Workload.Recreate:
		return f.doing(v1alpha1.ReasonHandingOver, why+": sizing it", ResizeHanded{f.in.Workload.Replicas})
	case f.in.Route.Split != nil && !f.releaseBlocked():
		return f.doing(v1alpha1.ReasonHandingOver, why+": the routes go to the whole Service at once", ReleaseRoute{})
	case f.in.Route.Narrowed != "":
		return f.doing(v1alpha1.ReasonHandingOver, why+": the Service selects all of its pods", NarrowService{})
	default:
		return unpauseHanded(f)
	}
}

func handedUnrecognised(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().HandedAt, recognisedWithin)
	return handed(f) && !f.in.Canary.Recognised && f.in.Workload.Paused && !over
}

func waitForRecognition(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHandingOver, "handover: waiting for the Deployment controller to recognise ReplicaSet "+f.in.Canary.Name+f.firedNote())
	_, left := f.sinceElapsed(f.promotion().HandedAt, recognisedWithin)
	d.Recheck = max(1, left)
	return d
}

// firedNote says of a trigger that fired too late for a change of weights what
// to do.
func (f *facts) firedNote() string {
	if f.in.Verdict.Outcome != v1alpha1.VerdictFail {
		return ""
	}
	return fmt.Sprintf("; %s fires meanwhile (%s). To go back %s", f.in.Verdict.Trigger, truncate(f.in.Verdict.Message, 200), f.wayBack())
}

func handedReleasable(f *facts) bool { return handedSplit(f) && !f.releaseBlocked() }

func handedReleaseBlocked(f *facts) bool { return handedSplit(f) && f.releaseBlocked() }

// handedNarrowedOff is a Service that selects a version with no pods, so that the
// routes cannot go back to it.
func handedNarrowedOff(f *facts) bool { return handedReleaseBlocked(f) && handedNarrowed(f) }

func handedSplit(f *facts) bool { return handed(f) && f.in.Route.Split != nil }

func handedNarrowed(f *facts) bool { return handed(f) && f.in.Route.Narrowed != "" }

func handedPaused(f *facts) bool {
	return handed(f) && f.declared == f.tried && (f.in.Workload.Paused || f.in.Workload.Lock != "")
}

func unpauseHanded(f *facts) Decision {
	return f.doing(f.phaseReason(), "handover: the Deployment goes on by itself, with nothing left to roll"+f.firedNote(), Unpause{f.tried})
}

func handedUnacknowledged(f *facts) bool { return handed(f) && !f.in.Route.Acknowledged }

// alone is the one set that the Deployment runs; nil while there are more, or
// none.
func (f *facts) alone() *Set {
	if len(f.in.Workload.Active) != 1 {
		return nil
	}
	return &f.in.Workload.Active[0]
}

// settled reports whether the Deployment runs one version, at full size: the
// declared one, unless it is held at another.
func (f *facts) settled() bool {
	s, n := f.alone(), f.in.Workload.Replicas
	if n == 0 {
		return f.in.Workload.Observed && len(f.in.Workload.Active) == 0
	}
	begun := s != nil && (f.in.Workload.Paused || s.Revision == f.declared)
	return begun && f.in.Workload.Observed && s.Desired == n && s.Available >= n
}

// handedUnsettled does not wait for a Deployment that another template froze: a
// newer version waits for its own run.
func handedUnsettled(f *facts) bool { return handed(f) && !f.settled() }

func waitForWorkload(f *facts) Decision {
	w := f.in.Workload
	if len(w.Active) > 1 && w.Paused && w.Lock == "" && f.declared != f.tried {
		return thawNative(f)
	}
	var available int32
	for _, s := range w.Active {
		if s.Revision == f.tried {
			available = s.Available
		}
	}
	why := fmt.Sprintf("waiting for the Deployment to run %s alone: %d of %d pods available, %d versions%s%s",
		imageOf(f.in.Status.Candidate), available, w.Replicas, len(w.Active), f.because(), f.firedNote())
	if native(f) && w.Paused {
		why += fmt.Sprintf("; somebody paused it. To go on ask with kubectl rollout resume deployment/%s and run the command that the refusal prints (verb bypass), or declare another version", f.in.Spec.WorkloadRef.Name)
	}
	return f.working(f.phaseReason(), why)
}

func finishPromotion(f *facts) Decision {
	if s := f.alone(); s != nil && s.Revision != f.tried {
		return finishNative(f)
	}
	why := "promoted " + imageOf(f.in.Status.Candidate) + f.firedNote()
	d := f.working(v1alpha1.ReasonStable, why)
	d.Key = f.in.Status.Run
	f.endRun(&d, v1alpha1.OutcomePromoted, "", why)
	f.becomeStable(&d, f.in.Canary.Set)
	return d
}
