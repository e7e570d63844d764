package plan

import (
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// nativeTrafficTable applies in HandingOver in the modes Native, Bypass and
// Unserved. A Deployment that replaces its pods by its own strategy serves
// behind its own Service. That comes before labels and records, and waits for
// neither.
var nativeTrafficTable = table{
	name:    "The Deployment's own strategy: traffic",
	about:   "HandingOver in the modes Native, Bypass and Unserved: your Service reaches all pods, also while no label or record can be written.",
	applies: native,
	rules: []rule{
		{"NativeWidensFirst", narrowedToNobody, widenService},
		{"NativeReleaseBlocked", routesBlocked, waitForService},
		{"NativeReleases", routesSplit, releaseForNative},
		{"NativeWidensService", narrowed, widenService},
	},
}

// nativePromotionTable applies in HandingOver in the modes Native, Bypass and
// Unserved, once the routes point at the user's Service; its last row always
// matches.
var nativePromotionTable = table{
	name:    "The Deployment's own strategy: the roll",
	about:   "HandingOver in the modes Native, Bypass and Unserved, once routes and Service are your own.",
	applies: native,
	rules: []rule{
		{"NativeAwaitsRoute", nativeUnacknowledged, waitForRoute},
		{"NativeTriggerFired", nativeTriggerFired, stopNative},
		{"NativeReverted", pausedAtStable, unpauseStable},
		{"NativeKeepsOneVersion", pausedWithTwoVersions, takeOneVersionOut},
		{"NativeHandsOver", canaryAdoptable, handOverNative},
		{"NativeUnpauses", pausedByBelay, unpauseCandidate},
		{"NativeRunMissing", nativeRunMissing, createRun},
		{"NativeAwaitsWorkload", nativeUnsettled, waitForWorkload},
		{"NativeAwaitsRelease", nativeUnreleased, waitForRoute},
		{"NativeSettled", nativeJustSettled, noteSettled},
		{"NativeDrains", nativeDraining, drainNative},
		{"NativeRemovesCanary", canaryLeft, removeCanary},
		{"NativeRemovesLeftover", leftoverExists, removeLeftover},
		{"NativeBakes", nativeBaking, waitForNativeBake},
		{"NativeDone", always, finishNative},
	},
}

func releaseForNative(f *facts) Decision {
	return f.doing(v1alpha1.ReasonHandingOver, "the Deployment replaces its pods by its own strategy: pointing the routes at Service "+f.traffic.Service, ReleaseRoute{})
}

// nativeUnacknowledged is false for a Deployment that already rolls, as in a
// bypass.
func nativeUnacknowledged(f *facts) bool { return unacknowledged(f) && f.in.Workload.Paused }

// nativeTriggerFired asks for the phase itself: it is also asked outside of its
// table.
func nativeTriggerFired(f *facts) bool {
	return f.promotesNatively() && f.in.Verdict.Outcome == v1alpha1.VerdictFail
}

// nativeStopped holds for a bypass, and for a native promotion in which a
// trigger fired: Belay does not unpause it.
func (f *facts) nativeStopped() bool {
	return native(f) && f.takeOver() == v1alpha1.TakeOverBypass || nativeTriggerFired(f)
}

// stopNative cannot go back by weights: it pauses the Deployment and says what
// to declare.
func stopNative(f *facts) Decision {
	why := fmt.Sprintf("%s: %s, in a native promotion. To go back, %s; to keep %s, %s", f.in.Verdict.Trigger, f.in.Verdict.Message, f.wayBack(), imageOf(f.in.Status.Candidate), f.wayOn())
	d := f.stalled(v1alpha1.ReasonTriggerFired, why)
	d.Key = f.in.Verdict.Trigger
	switch {
	case !f.in.Workload.Paused && !f.settled():
		d.Effects = []Effect{Pause{}}
	case f.in.Workload.Lock != "":
		// To go back another template is declared, which the lock would refuse.
		d.Effects = []Effect{Unlock{}}
	}
	return d
}

// wayOn says, to end a message, how a person with the verb bypass keeps a version
// that a trigger has stopped.
func (f *facts) wayOn() string {
	if f.in.Workload.Paused || !f.settled() {
		return fmt.Sprintf("run %s: the refusal prints the command that works (verb bypass)", f.letRoll())
	}
	return fmt.Sprintf("give a reason (verb bypass): %[3]s annotate %[1]s --overwrite %[2]s=\"$(%[3]s get %[1]s -o jsonpath={.metadata.generation}): WHY\"", f.resource(), v1alpha1.AnnotationBypassReason, f.kubectl())
}

// pausedWithTwoVersions holds when another template was declared in the middle
// of a roll: the guard paused the Deployment while two versions had pods.
func pausedWithTwoVersions(f *facts) bool {
	return f.in.Workload.Paused && f.declared != f.candidate && len(f.in.Workload.Active) > 1
}

// takeOneVersionOut scales one of two versions to 0, so that the Deployment
// controller keeps the other at its size. The one with more ready pods stays,
// the candidate when they are equal, and stable when a trigger of the candidate
// fired.
func takeOneVersionOut(f *facts) Decision {
	keep := f.in.Workload.Active[0]
	for _, s := range f.in.Workload.Active {
		if s.Ready > keep.Ready || s.Ready == keep.Ready && s.Revision == f.candidate {
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
	return f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("%s was declared while the Deployment ran %d versions: scaling %s to 0, so that one is left", imageOf(&f.in.Workload.Declared), len(f.in.Workload.Active), out.Image), TakeOut{Name: out.Name})
}

// canaryAdoptable holds when the Deployment can become the owner of the canary
// at its present size, so that its pods need not be started again.
func canaryAdoptable(f *facts) bool {
	c := f.in.Canary
	usable := c.Exists && !c.Handed && !c.Former && c.Changed == "" && f.in.Workload.Chosen == c.Name
	return f.takeOver() == v1alpha1.TakeOverNative && usable && f.in.Workload.Paused && f.declared == f.candidate
}

func handOverNative(f *facts) Decision {
	d := f.doing(v1alpha1.ReasonHandingOver, fmt.Sprintf("the Deployment becomes the owner of ReplicaSet %s, with %d of %d pods", f.in.Canary.Name, f.in.Canary.Desired, f.in.Workload.Replicas),
		HandOver{Replicas: f.in.Canary.Desired, Native: true})
	f.noteHanded(&d)
	return d
}

// pausedByBelay is false in a bypass: only a person pauses that.
func pausedByBelay(f *facts) bool {
	return f.takeOver() != v1alpha1.TakeOverBypass && heldAtCandidate(f)
}

func unpauseCandidate(f *facts) Decision {
	return f.doing(v1alpha1.ReasonHandingOver, f.unpausing(f.workload())+f.whichRolls(), Unpause{Revision: f.candidate})
}

// nativeRunMissing comes after the traffic: routes must not wait for a record
// while the Deployment rolls.
func nativeRunMissing(f *facts) bool { return !f.in.Run.Exists }

// nativeUnsettled does not wait for a version that never gets ready while the
// Deployment is paused at it: the declared version may be its fix.
func nativeUnsettled(f *facts) bool {
	frozen := f.in.Workload.Paused && f.declared != f.candidate && len(f.in.Workload.Active) == 1
	hopeless := frozen && (f.deploymentReady() == 0 || f.deadlineExceeded())
	last := f.in.Canary.Exists && !f.in.Canary.Handed && f.in.Canary.Ready > 0 && f.deploymentReady() == 0
	return unsettled(f) && (!hopeless || last)
}

func nativeUnreleased(f *facts) bool {
	return (canaryLeft(f) || leftoverExists(f)) && unacknowledged(f)
}

func nativeJustSettled(f *facts) bool {
	needed := f.bakesNatively() || canaryLeft(f) || leftoverExists(f)
	return needed && f.promotion().SettledAt == nil
}

// noteSettled starts the drain of a canary that is left, and the bake.
func noteSettled(f *facts) Decision {
	d := f.reconciling(v1alpha1.ReasonHandingOver, f.workload()+" runs one version: removing what is left of the canary")
	d.Recheck = max(1, f.traffic.Drain.Duration)
	if bake := f.in.Spec.Promotion.Bake.Duration; f.bakesNatively() {
		d.Reason = v1alpha1.ReasonBaking
		d.Why = fmt.Sprintf("the Deployment runs %s alone; baking until %s, without stable pods to go back to", imageOf(f.in.Status.Candidate), clock(f.now().Add(bake)))
	}
	now, p := f.now(), f.promotion()
	p.SettledAt = &now
	d.Status.Promotion = &p
	return d
}

// nativeDraining lets the connections of a canary that is left finish, once the
// routes point elsewhere and the Deployment's own pods are there.
func nativeDraining(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().SettledAt, f.traffic.Drain.Duration)
	return (canaryLeft(f) || leftoverExists(f)) && !over
}

func drainNative(f *facts) Decision {
	_, left := f.sinceElapsed(f.promotion().SettledAt, f.traffic.Drain.Duration)
	d := f.reconciling(v1alpha1.ReasonHandingOver, "letting the canary's connections finish until "+clock(f.in.Now.Add(left)))
	d.Recheck = left
	return d
}

// leftoverExists is the canary of a run that a bypass has ended.
func leftoverExists(f *facts) bool { return f.in.Canary.Leftover != "" }

func (f *facts) bakesNatively() bool {
	return f.takeOver() == v1alpha1.TakeOverNative && f.declared == f.candidate && f.in.Spec.Promotion.Bake.Duration > 0
}

func nativeBaking(f *facts) bool {
	over, _ := f.sinceElapsed(f.promotion().SettledAt, f.in.Spec.Promotion.Bake.Duration)
	return f.bakesNatively() && (!over || undecided(f))
}

func waitForNativeBake(f *facts) Decision {
	over, left := f.sinceElapsed(f.promotion().SettledAt, f.in.Spec.Promotion.Bake.Duration)
	if over {
		return holdBake(f)
	}
	d := f.reconciling(v1alpha1.ReasonBaking, fmt.Sprintf("baking %s until %s; %s", imageOf(f.in.Status.Candidate), clock(f.in.Now.Add(left)), f.verdictSummary()))
	d.Recheck = left
	return d
}

// finishNative ends the run with the version that the Deployment runs.
func finishNative(f *facts) Decision {
	if f.bakesNatively() {
		f = f.passed()
	}
	p := f.promotion()
	set := f.onlyActiveSet()
	if set == nil {
		// At zero replicas no set has a size. The candidate comes next, unless another
		// template was declared, which has not been judged.
		set = &f.in.Workload.Stable
		if f.declared == f.candidate {
			set = &Set{Revision: f.declared, Image: f.in.Workload.Declared.Image}
		}
		if set.Revision == "" {
			s := f.in.Status.Stable
			set = &Set{Name: s.ReplicaSet, Revision: s.Revision, Hash: s.PodTemplateHash, Image: s.Image}
		}
	}
	outcome, trigger := v1alpha1.OutcomePromoted, ""
	why := fmt.Sprintf("promoted %s: %s", f.onTrialName(), p.Message)
	switch {
	case set.Revision == f.stable && f.in.Verdict.Outcome == v1alpha1.VerdictFail:
		outcome, trigger = v1alpha1.OutcomeRolledBack, f.in.Verdict.Trigger
		why = fmt.Sprintf("back to %s: %s: %s", imageOf(f.in.Status.Stable), f.in.Verdict.Trigger, f.in.Verdict.Message)
	case set.Revision == f.stable:
		outcome, why = v1alpha1.OutcomeCancelled, f.workload()+" is back at "+imageOf(f.in.Status.Stable)
	case p.Mode == v1alpha1.TakeOverBypass:
		outcome, trigger, why = v1alpha1.OutcomeBypassed, "bypass", p.Message
	case !f.settled():
		outcome, why = v1alpha1.OutcomeSuperseded, fmt.Sprintf("%s was declared before %s was ready", imageOf(&f.in.Workload.Declared), set.Image)
	}
	d := f.reconciling(v1alpha1.ReasonStable, why)
	d.Key, d.Actor = f.in.Status.Run, p.Actor
	if outcome == v1alpha1.OutcomeRolledBack {
		f.reject(&d, trigger, why, f.in.Status.Run)
	}
	f.endRun(&d, outcome, trigger, why)
	f.becomeStable(&d, *set)
	return d
}
