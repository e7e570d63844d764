package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about giving the candidate more: steps, promotion, bake.

func stepping(f *facts) bool { return f.inPhase(v1alpha1.PhaseStepping) }

func (f *facts) servicesOff(stableHash string) bool {
	return f.in.Route.StableHash != stableHash || f.in.Route.CanaryRevision != f.tried
}

func stepServicesOff(f *facts) bool { return stepping(f) && f.servicesOff(f.stableHash()) }

func stepNoStableEndpoints(f *facts) bool {
	return stepping(f) && f.in.Route.Split == nil && f.in.Route.StableEndpoints == 0
}

func waitForEndpoints(f *facts) Decision {
	return f.working(f.phaseReason(), "waiting for the stable Service to have ready endpoints")
}

func stepNotSplit(f *facts) bool { return stepping(f) && f.in.Route.Split == nil }

func splitAtZero(f *facts) Decision {
	return f.doing(f.phaseReason(), f.where()+": sharing the routes between stable and canary, all of it to stable", SetSplit{0})
}

// stepSplitUnacknowledged comes before anything wider: neither pods nor a larger
// share for a route that the gateway does not follow.
func stepSplitUnacknowledged(f *facts) bool {
	narrower := f.observedWeight() >= 0 && f.observedWeight() < f.stepWeight()
	return stepping(f) && !f.in.Route.Acknowledged && (!f.in.Canary.Exists || narrower)
}

func stepOverweight(f *facts) bool { return stepping(f) && f.observedWeight() > f.stepWeight() }

// lowerStepWeight waits for no canary: less than somebody gave it is always due.
func lowerStepWeight(f *facts) Decision {
	if f.in.Route.StableEndpoints == 0 {
		return waitForEndpoints(f)
	}
	weight := f.stepWeight()
	if f.in.Canary.Ready == 0 || f.in.Route.CanaryEndpoints == 0 {
		weight = 0
	}
	return f.setWeight(weight, fmt.Sprintf("%s: the canary has %d %%, more than the step allows", f.where(), f.observedWeight()))
}

func stepShort(f *facts) bool {
	return stepping(f) && (!f.in.Canary.Exists || f.in.Canary.Desired < f.canaryNeed(f.stepWeight()))
}

func scaleForStep(f *facts) Decision {
	need := f.canaryNeed(f.stepWeight())
	return f.doing(f.phaseReason(), fmt.Sprintf("%s: weight %d %% of %d replicas needs %d canary pods", f.where(), f.stepWeight(), f.in.Workload.Replicas, need), ScaleCanary{need})
}

// stepCanaryUnready holds a wider share back until the pods for it are ready and
// the gateway can reach them, and the step itself when they no longer are at its
// end.
func stepCanaryUnready(f *facts) bool {
	if !stepping(f) || !stepWeightOff(f) && f.step().AcknowledgedAt != nil && stepHoldNotOver(f) {
		return false
	}
	need := f.canaryNeed(f.stepWeight())
	return f.in.Canary.Ready < need || f.in.Route.CanaryEndpoints < need
}

func waitForCanary(f *facts) Decision {
	return f.working(f.phaseReason(), fmt.Sprintf("%s: waiting for canary pods: %d of %d ready", f.whereStage(), min(f.in.Canary.Ready, f.in.Route.CanaryEndpoints), f.in.Canary.Desired))
}

func (f *facts) whereStage() string {
	if f.inPhase(v1alpha1.PhasePromoting) {
		return "promotion"
	}
	return f.where()
}

func stepWeightOff(f *facts) bool { return stepping(f) && f.observedWeight() != f.stepWeight() }

func setStepWeight(f *facts) Decision {
	return f.setWeight(f.stepWeight(), fmt.Sprintf("%s: canary ready, weight %d %% to %d %%", f.where(), f.observedWeight(), f.stepWeight()))
}

// setWeight begins the hold anew: it is the acknowledged weight that must stand.
func (f *facts) setWeight(weight int32, why string) Decision {
	d := f.doing(f.phaseReason(), why, SetSplit{weight})
	if d.Status.Step != nil {
		d.Status.Step.AcknowledgedAt = nil
	}
	return d
}

func stepUnacknowledged(f *facts) bool { return stepping(f) && !f.in.Route.Acknowledged }

func stepJustAcknowledged(f *facts) bool { return stepping(f) && f.step().AcknowledgedAt == nil }

func noteAcknowledged(f *facts) Decision {
	d := f.working(f.phaseReason(), fmt.Sprintf("%s: the gateway acknowledged weight %d %%; holding until %s", f.where(), f.stepWeight(), clock(f.in.Now.Add(f.stepHold()))))
	now, step := f.now(), f.step()
	step.AcknowledgedAt = &now
	d.Status.Step = &step
	d.Key = fmt.Sprint(f.step().Index)
	d.Recheck = f.stepHold()
	f.announce(&d, "judge "+f.where(), now.Add(f.stepHold()))
	return d
}

func (f *facts) announce(d *Decision, next string, at time.Time) {
	if d.Status.Step == nil {
		return
	}
	t := f.now()
	t.Time = at
	d.Status.Step.Next, d.Status.Step.NextAt = truncate(next, 256), &t
}

func (f *facts) stepHold() time.Duration {
	i := int(f.step().Index)
	if i >= len(f.in.Spec.Steps) {
		return 0
	}
	return f.in.Spec.Steps[i].Hold.Duration
}

func triggerObserved(f *facts) bool {
	return f.inPhase(v1alpha1.PhaseStepping) && f.in.Verdict.Outcome == v1alpha1.VerdictFail
}

func holdObserved(f *facts) Decision {
	d := f.stuck(v1alpha1.ReasonTriggerObserved, fmt.Sprintf("would roll back, but mode is Observe: %s: %s, at %s", f.in.Verdict.Trigger, f.in.Verdict.Message, f.whereNow()))
	d.Key = f.in.Verdict.Trigger
	return d
}

func stepHoldNotOver(f *facts) bool {
	over, _ := f.sinceElapsed(f.step().AcknowledgedAt, f.stepHold())
	return stepping(f) && !over
}

func holdStep(f *facts) Decision {
	_, left := f.sinceElapsed(f.step().AcknowledgedAt, f.stepHold())
	until := f.in.Now.Add(left)
	d := f.working(f.phaseReason(), fmt.Sprintf("%s: canary at %d %% until %s; %s", f.where(), f.stepWeight(), clock(until), f.verdictSummary()))
	d.Key = fmt.Sprint(f.step().Index)
	d.Recheck = left
	return d
}

func (f *facts) verdictSummary() string {
	v := f.in.Verdict
	if v.Total == 0 {
		return "no trigger is bound"
	}
	return fmt.Sprintf("%d of %d triggers pass", v.Passing, v.Total)
}

func undecided(f *facts) bool { return f.in.Verdict.Outcome != v1alpha1.VerdictPass }

func stepUndecided(f *facts) bool { return stepping(f) && undecided(f) }

// holdUndecided is the third outcome at work: no pass, no fail, so neither more
// nor less traffic.
func holdUndecided(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHolding, fmt.Sprintf("%s: holding at %d %%: %s", f.where(), f.stepWeight(), f.undecidedBecause()))
	d.Key = fmt.Sprintf("%d/%s/%s", f.step().Index, f.in.Verdict.Trigger, f.in.Verdict.Reason)
	return d
}

func (f *facts) undecidedBecause() string {
	v := f.in.Verdict
	if v.Trigger == "" {
		return "no verdict yet"
	}
	return fmt.Sprintf("%s is %s (%s): %s", v.Trigger, v.Outcome, v.Reason, v.Message)
}

func stepHasNext(f *facts) bool {
	return stepping(f) && int(f.step().Index)+1 < len(f.in.Spec.Steps)
}

func nextStep(f *facts) Decision {
	d := f.working(f.phaseReason(), fmt.Sprintf("%s passed at %d %%: %s", f.where(), f.stepWeight(), f.verdictSummary()))
	d.Key = fmt.Sprint(f.step().Index)
	d.Status.Step = &v1alpha1.StepStatus{Index: f.step().Index + 1, EnteredAt: f.now()}
	d.Recheck = 1
	return d
}

func startPromotion(f *facts) Decision {
	d := f.working(v1alpha1.ReasonPromoting, fmt.Sprintf("%s passed at %d %%, the last one: %s; promoting", f.where(), f.stepWeight(), f.verdictSummary()))
	d.Key = f.tried
	d.Status.Phase = v1alpha1.PhasePromoting
	d.Status.Promotion = &v1alpha1.PromotionStatus{StartedAt: f.now()}
	d.Recheck = 1
	return d
}

func promoting(f *facts) bool { return f.inPhase(v1alpha1.PhasePromoting) }

func (f *facts) promotion() v1alpha1.PromotionStatus {
	if f.in.Status.Promotion == nil {
		return v1alpha1.PromotionStatus{StartedAt: f.now()}
	}
	return *f.in.Status.Promotion
}

// filling is the first half of a promotion: everything moves to the canary, and
// must be there until the Deployment may replace its pods.
func (f *facts) filling() bool {
	return promoting(f) && (f.promotion().FullAt == nil || f.in.Workload.Paused)
}

func promotionShort(f *facts) bool {
	return f.filling() && (!f.in.Canary.Exists || f.in.Canary.Desired < f.canaryNeed(100))
}

func scaleForPromotion(f *facts) Decision {
	return f.doing(v1alpha1.ReasonPromoting, "promotion: the canary must carry everything while the Deployment's pods are replaced", ScaleCanary{f.canaryNeed(100)})
}

func promotionCanaryUnready(f *facts) bool {
	need := f.canaryNeed(100)
	return f.filling() && (f.in.Canary.Ready < need || f.in.Route.CanaryEndpoints < need)
}

func promotionNotFull(f *facts) bool { return f.filling() && f.observedWeight() != 100 }

func giveAll(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonPromoting, "promotion: everything goes to the canary", SetSplit{100})
	if d.Status.Promotion != nil {
		d.Status.Promotion.FullAt = nil
	}
	return d
}

// promotionUnacknowledged does not wait for routes that disagree: the next write
// makes them agree.
func promotionUnacknowledged(f *facts) bool {
	return promoting(f) && !f.in.Route.Acknowledged && f.observedWeight() >= 0
}

func promotionJustFull(f *facts) bool { return promoting(f) && f.promotion().FullAt == nil }

func noteFull(f *facts) Decision {
	d := f.working(v1alpha1.ReasonPromoting, "promotion: the gateway acknowledged weight 100 %")
	now, p := f.now(), f.promotion()
	p.FullAt = &now
	d.Status.Promotion = &p
	d.Recheck = f.in.Spec.Traffic.Drain.Duration
	return d
}

func promotionDraining(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().FullAt, f.in.Spec.Traffic.Drain.Duration)
	return promoting(f) && f.in.Workload.Paused && !over
}

func drainStable(f *facts) Decision {
	_, left := f.sinceElapsed(f.promotion().FullAt, f.in.Spec.Traffic.Drain.Duration)
	d := f.working(v1alpha1.ReasonPromoting, "promotion: letting the stable pods' connections finish until "+clock(f.in.Now.Add(left)))
	d.Recheck = left
	return d
}

func promotionPaused(f *facts) bool { return promoting(f) && f.in.Workload.Paused }

func unpauseCandidate(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonPromoting, "promotion: the Deployment may replace its pods", Unpause{f.tried})
	if p := d.Status.Promotion; p != nil && p.UnpausedAt == nil {
		now := f.now()
		p.UnpausedAt = &now
	}
	return d
}

func promotionUnsettled(f *facts) bool {
	return promoting(f) && (!f.in.Workload.Settled || f.in.Workload.DeclaredHash == "")
}

func promotionServicesOff(f *facts) bool {
	return promoting(f) && f.servicesOff(f.in.Workload.DeclaredHash)
}

func pointServicesAtNew(f *facts) Decision {
	return f.doing(v1alpha1.ReasonPromoting, "promotion: the Deployment's new pods are available", PointServices{f.in.Workload.DeclaredHash, f.tried})
}

func promotionNoEndpoints(f *facts) bool {
	return promoting(f) && f.observedWeight() != 0 && f.in.Route.StableEndpoints < max(1, f.in.Workload.Replicas)
}

func promotionNotShifted(f *facts) bool { return promoting(f) && f.observedWeight() != 0 }

func shiftToDeployment(f *facts) Decision {
	return f.doing(v1alpha1.ReasonPromoting, "promotion: everything goes to the Deployment's new pods", SetSplit{0})
}

func startBake(f *facts) Decision {
	bake := f.in.Spec.Promotion.Bake.Duration
	d := f.working(v1alpha1.ReasonBaking, fmt.Sprintf("the Deployment serves %s; baking until %s, triggers armed", imageOf(f.in.Status.Candidate), clock(f.in.Now.Add(bake))))
	now, p := f.now(), f.promotion()
	p.ShiftedAt = &now
	d.Status.Phase, d.Status.Promotion = v1alpha1.PhaseBaking, &p
	d.Recheck = bake
	f.announce(&d, "end of the bake", now.Add(bake))
	return d
}

func baking(f *facts) bool { return f.inPhase(v1alpha1.PhaseBaking) }

func bakeSplitOff(f *facts) bool { return baking(f) && f.observedWeight() != 0 }

// shiftAgain bakes from the start: what was given to the canary was not baked.
func shiftAgain(f *facts) Decision {
	if f.in.Route.StableEndpoints == 0 {
		return waitForEndpoints(f)
	}
	d := f.doing(v1alpha1.ReasonBaking, "bake: everything goes to the Deployment's new pods again", SetSplit{0})
	now, p := f.now(), f.promotion()
	p.ShiftedAt = &now
	d.Status.Promotion = &p
	return d
}

func bakeUnacknowledged(f *facts) bool {
	return baking(f) && f.in.Route.Split != nil && !f.in.Route.Acknowledged
}

func bakeNotOver(f *facts) bool {
	bake := max(f.in.Spec.Promotion.Bake.Duration, f.in.Spec.Traffic.Drain.Duration)
	over, _ := f.sinceElapsed(f.promotion().ShiftedAt, bake)
	return baking(f) && !over
}

func bakeOn(f *facts) Decision {
	bake := max(f.in.Spec.Promotion.Bake.Duration, f.in.Spec.Traffic.Drain.Duration)
	_, left := f.sinceElapsed(f.promotion().ShiftedAt, bake)
	d := f.working(v1alpha1.ReasonBaking, fmt.Sprintf("baking %s until %s; %s", imageOf(f.in.Status.Candidate), clock(f.in.Now.Add(left)), f.verdictSummary()))
	d.Recheck = left
	return d
}

func bakeUndecided(f *facts) bool {
	return baking(f) && undecided(f) && (f.in.Canary.Exists || f.in.Route.Split != nil)
}

func holdBake(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHolding, "bake is over but undecided: "+f.undecidedBecause())
	d.Key = f.in.Verdict.Trigger + "/" + f.in.Verdict.Reason
	return d
}

func bakeCanaryLeft(f *facts) bool {
	return baking(f) && (f.in.Canary.Exists || f.in.Canary.Pods > 0)
}

func bakeRouteLeft(f *facts) bool {
	return baking(f) && (f.in.Route.Split != nil || !f.in.Route.Acknowledged)
}

func finishPromotion(f *facts) Decision {
	why := "promoted " + imageOf(f.in.Status.Candidate)
	d := f.working(v1alpha1.ReasonStable, why)
	d.Key = f.in.Status.Run
	f.endRun(&d, v1alpha1.OutcomePromoted, "", why)
	candidate := f.in.Status.Candidate.DeepCopy()
	if f.declared != f.tried {
		// A newer template waits, paused; what serves is still the candidate.
		candidate.PodTemplateHash = f.in.Workload.CandidateHash
		candidate.ReplicaSet = f.in.Workload.CandidateReplicaSet
		d.Status.Stable = candidate
		d.Status.Phase = v1alpha1.PhaseStable
		d.Status.Candidate, d.Status.Step, d.Status.Promotion, d.Status.Verdicts = nil, nil, nil, nil
	} else {
		f.adoptDeclared(&d)
	}
	d.Recheck = 1
	return d
}
