package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about a Deployment that takes a version over by its own strategy: a
// native promotion, a bypass, and a push while nothing serves. Its pods serve
// behind the user's Service, all of them.

func native(f *facts) bool {
	return handingOver(f) && f.takeOver() != v1alpha1.TakeOverHandOver
}

func nativeReleaseBlocked(f *facts) bool { return nativeSplit(f) && f.releaseBlocked() }

func nativeNarrowedOff(f *facts) bool { return nativeReleaseBlocked(f) && nativeNarrowed(f) }

func nativeSplit(f *facts) bool { return native(f) && f.in.Route.Split != nil }

func releaseForNative(f *facts) Decision {
	return f.doing(v1alpha1.ReasonHandingOver, "the Deployment replaces its pods: the routes go to the whole Service "+f.in.Spec.Traffic.Service, ReleaseRoute{})
}

func nativeNarrowed(f *facts) bool { return native(f) && f.in.Route.Narrowed != "" }

// nativeUnacknowledged does not hold a bypass back, which is under way.
func nativeUnacknowledged(f *facts) bool {
	return native(f) && !f.in.Route.Acknowledged && f.in.Workload.Paused
}

func nativeFired(f *facts) bool {
	mode := native(f) && f.takeOver() == v1alpha1.TakeOverNative && f.declared == f.tried
	return mode && f.in.Verdict.Outcome == v1alpha1.VerdictFail && f.in.Spec.Mode != v1alpha1.ModeObserve
}

// stoppedNative is a native promotion that a trigger has stopped.
func (f *facts) stoppedNative() bool {
	return native(f) && (f.takeOver() == v1alpha1.TakeOverBypass || nativeFired(f))
}

// stopNative cannot take pods back by weights: it stops the roll and says what
// does.
func stopNative(f *facts) Decision {
	why := fmt.Sprintf("%s: %s, in a native promotion. To go back %s", f.in.Verdict.Trigger, f.in.Verdict.Message, f.wayBack())
	d := f.stuck(v1alpha1.ReasonTriggerFired, why)
	d.Key = f.in.Verdict.Trigger
	switch {
	case !f.in.Workload.Paused && !f.settled():
		d.Effect = Pause{}
	case f.in.Workload.Lock != "":
		// The way back is another template, which the lock would refuse.
		d.Effect = Unlock{}
	}
	return d
}

// nativeReverted: the former version is declared again before the Deployment had
// replaced its pods.
func nativeReverted(f *facts) bool {
	return native(f) && f.declared == f.stable && f.in.Workload.Paused
}

// nativeFrozen holds when another template came in the middle of the roll: the
// guard paused it, with pods of two versions.
func nativeFrozen(f *facts) bool {
	return native(f) && f.in.Workload.Paused && f.declared != f.tried && len(f.in.Workload.Active) > 1
}

// thawNative takes one of two versions out, so that the Deployment controller
// keeps the other at its size. The one with the most ready pods stays, of equal
// ones the candidate; stable's, when the candidate was found bad.
func thawNative(f *facts) Decision {
	keep := f.in.Workload.Active[0]
	for _, s := range f.in.Workload.Active {
		if s.Ready > keep.Ready || s.Ready == keep.Ready && s.Revision == f.tried {
			keep = s
		}
	}
	if f.in.Verdict.Outcome == v1alpha1.VerdictFail && f.in.Workload.Stable.Ready > 0 {
		keep = f.in.Workload.Stable
	}
	out := f.in.Workload.Active[0]
	if out.Name == keep.Name {
		out = f.in.Workload.Active[1]
	}
	return f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("%s was declared while the Deployment ran %d versions: taking %s out, so that one is left", imageOf(&f.in.Workload.Declared), len(f.in.Workload.Active), out.Image), TakeOut{Name: out.Name})
}

// nativeCanary hands the canary over at the size it has: its pods need not be
// started again.
func nativeCanary(f *facts) bool {
	c := f.in.Canary
	usable := c.Exists && !c.Handed && !c.Former && c.Changed == "" && f.in.Workload.Chosen == c.Name
	return native(f) && f.takeOver() == v1alpha1.TakeOverNative && usable && f.in.Workload.Paused && f.declared == f.tried
}

func handOverNative(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("the Deployment becomes the owner of ReplicaSet %s, with %d of %d pods", f.in.Canary.Name, f.in.Canary.Desired, f.in.Workload.Replicas),
		HandOver{Replicas: f.in.Canary.Desired, Native: true})
	f.noteHanded(&d)
	return d
}

// nativePaused is nobody's bypass: that one is not paused, or by a person.
func nativePaused(f *facts) bool {
	ours := native(f) && f.takeOver() != v1alpha1.TakeOverBypass && f.declared == f.tried
	return ours && (f.in.Workload.Paused || f.in.Workload.Lock != "")
}

func unpauseCandidate(f *facts) Decision {
	return f.doing(v1alpha1.ReasonHandingOver, "the Deployment goes on by its own strategy", Unpause{f.tried})
}

// nativeUnsettled does not wait for ever for a frozen version to get ready: a fix
// for it may be what was declared.
func nativeUnsettled(f *facts) bool {
	frozen := f.in.Workload.Paused && f.declared != f.tried && len(f.in.Workload.Active) == 1
	hopeless := frozen && (f.deploymentReady() == 0 || f.deadlineExceeded())
	last := f.in.Canary.Exists && !f.in.Canary.Handed && f.in.Canary.Ready > 0 && f.deploymentReady() == 0
	return native(f) && !f.settled() && (!hopeless || last)
}

func nativeCanaryLeft(f *facts) bool {
	return native(f) && !f.in.Canary.Handed && (f.in.Canary.Exists || f.in.Canary.Left > 0)
}

// nativeLeftover is the canary of the run that a bypass has ended.
func nativeLeftover(f *facts) bool { return native(f) && f.in.Canary.Leftover != "" }

func nativeUnreleased(f *facts) bool {
	return (nativeCanaryLeft(f) || nativeLeftover(f)) && !f.in.Route.Acknowledged
}

// nativeDraining lets a canary's connections finish once the routes have left it
// and the Deployment's own pods are there.
func nativeDraining(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().SettledAt, f.in.Spec.Traffic.Drain.Duration)
	return (nativeCanaryLeft(f) || nativeLeftover(f)) && !over
}

func drainNative(f *facts) Decision {
	_, left := f.sinceElapsed(f.promotion().SettledAt, f.in.Spec.Traffic.Drain.Duration)
	d := f.working(v1alpha1.ReasonHandingOver, "letting the canary's connections finish until "+clock(f.in.Now.Add(left)))
	d.Recheck = left
	return d
}

// nativeRunMissing comes late: no record keeps the routes from a Deployment that
// rolls.
func nativeRunMissing(f *facts) bool { return native(f) && !f.in.Run.Exists }

func (f *facts) bakesNatively() bool {
	return native(f) && f.takeOver() == v1alpha1.TakeOverNative && f.declared == f.tried && f.in.Spec.Promotion.Bake.Duration > 0
}

func nativeJustSettled(f *facts) bool {
	needed := f.bakesNatively() || nativeCanaryLeft(f) || nativeLeftover(f)
	return needed && f.promotion().SettledAt == nil
}

// noteSettled begins the drain of what is left of a canary, and the bake.
func noteSettled(f *facts) Decision {
	d := f.working(v1alpha1.ReasonHandingOver, "one version is left in the Deployment: what is left of the canary goes")
	d.Recheck = max(1, f.in.Spec.Traffic.Drain.Duration)
	if bake := f.in.Spec.Promotion.Bake.Duration; f.bakesNatively() {
		d.Standing.Reason = v1alpha1.ReasonBaking
		d.Why = fmt.Sprintf("the Deployment runs %s alone; watching it until %s, with nothing beside it to go back to", imageOf(f.in.Status.Candidate), clock(f.in.Now.Add(bake)))
	}
	now, p := f.now(), f.promotion()
	p.SettledAt = &now
	d.Status.Promotion = &p
	return d
}

func nativeBaking(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().SettledAt, f.in.Spec.Promotion.Bake.Duration)
	return f.bakesNatively() && (!over || undecided(f))
}

func holdNative(f *facts) Decision {
	over, left := f.sinceElapsed(f.promotion().SettledAt, f.in.Spec.Promotion.Bake.Duration)
	if over {
		return holdBake(f)
	}
	d := f.working(v1alpha1.ReasonBaking, fmt.Sprintf("watching %s until %s; %s", imageOf(f.in.Status.Candidate), clock(f.in.Now.Add(left)), f.verdictSummary()))
	d.Recheck = left
	return d
}

// finishNative ends the run with whatever version the Deployment was left with.
func finishNative(f *facts) Decision {
	p := f.promotion()
	set := f.alone()
	if set == nil {
		// At zero replicas no set has a size. The candidate comes next, unless another
		// template was declared, which nobody has judged.
		set = &f.in.Workload.Stable
		if f.declared == f.tried {
			set = &Set{Revision: f.declared, Image: f.in.Workload.Declared.Image}
		}
		if set.Revision == "" {
			s := f.in.Status.Stable
			set = &Set{Name: s.ReplicaSet, Revision: s.Revision, Hash: s.PodTemplateHash, Image: s.Image}
		}
	}
	outcome, trigger := v1alpha1.OutcomePromoted, ""
	why := "promoted " + imageOf(f.in.Status.Candidate) + ": " + p.Message
	switch {
	case set.Revision == f.stable && f.in.Verdict.Outcome == v1alpha1.VerdictFail:
		outcome, trigger = v1alpha1.OutcomeRolledBack, f.in.Verdict.Trigger
		why = fmt.Sprintf("back to %s: %s: %s", imageOf(f.in.Status.Stable), f.in.Verdict.Trigger, f.in.Verdict.Message)
	case set.Revision == f.stable:
		outcome, why = v1alpha1.OutcomeCancelled, "the Deployment is back at "+imageOf(f.in.Status.Stable)
	case p.Mode == v1alpha1.TakeOverBypass:
		outcome, trigger, why = v1alpha1.OutcomeBypassed, "bypass", p.Message
	case !f.settled():
		outcome, why = v1alpha1.OutcomeSuperseded, fmt.Sprintf("%s came before %s was ready", imageOf(&f.in.Workload.Declared), set.Image)
	}
	d := f.working(v1alpha1.ReasonStable, why)
	d.Key, d.Actor = f.in.Status.Run, p.Actor
	if outcome == v1alpha1.OutcomeRolledBack {
		f.reject(&d, trigger, why, f.in.Status.Run)
	}
	f.endRun(&d, outcome, trigger, why)
	f.becomeStable(&d, *set)
	return d
}
