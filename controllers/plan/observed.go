package plan

import (
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// observedFail holds when a trigger in mode Observe would roll back where one that
// enforces does, or would stop a native promotion, and the run has not noted it yet.
func observedFail(f *facts) bool {
	v := f.in.Verdict.WouldRollBack
	return v != nil && (revocable(f) || f.promotesNatively()) && !f.isNotedFail(v.Trigger)
}

func (f *facts) isNotedFail(trigger string) bool {
	return isNoted(f.in.Status.WouldRollBack, trigger)
}

// isNoted reports whether a run has noted that a trigger in mode Observe would have rolled it
// back.
func isNoted(noted []v1alpha1.ObservedFail, trigger string) bool {
	return slices.ContainsFunc(noted, func(n v1alpha1.ObservedFail) bool { return n.Trigger == observedName(trigger) })
}

// observedName is the name by which a trigger in mode Observe is noted: as much of it as the
// API holds.
func observedName(trigger string) string { return v1alpha1.Bounded(trigger, 340) }

// promotesNatively is the part of a native promotion that a trigger can stop.
func (f *facts) promotesNatively() bool {
	return native(f) && f.takeOver() == v1alpha1.TakeOverNative && f.declared == f.candidate
}

// observedStage is the present stage, as it is noted of triggers in mode Observe.
func (f *facts) observedStage() string {
	if native(f) {
		return "native promotion"
	}
	return v1alpha1.Bounded(f.stageAndWeight(), 128)
}

// noteObservedFail records what a trigger would have done, and does nothing.
func noteObservedFail(f *facts) Decision {
	v := f.in.Verdict.WouldRollBack
	noted := v1alpha1.ObservedFail{Trigger: observedName(v.Trigger), Stage: f.observedStage(), At: f.now()}
	does, next := "rolled back", "the run goes on, and to go back now abort it"
	if native(f) {
		does, next = "stopped the promotion", "it goes on"
	}
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s would have %s, but its mode is Observe: %s, at %s; %s",
		noted.Trigger, does, v1alpha1.Bounded(v.Message, 512), noted.Stage, next))
	d.WouldRollBack = &noted
	d.Status.WouldRollBack = append(slices.Clone(f.in.Status.WouldRollBack), noted)
	d.Key, d.Recheck = noted.Trigger, 1
	return d
}

// saidObserved is how many of a run's observed fails, and holds, a message names.
const saidObserved = 2

// passed is the facts once the present stage has passed: with the triggers in mode Observe
// that would have held it noted.
func (f *facts) passed() *facts {
	in := f.in
	in.Status.WouldHold = f.observedHolds()
	return newFacts(in)
}

// observedHolds are the run's triggers in mode Observe that would have held, with those that
// do not pass the present stage, which has come to its end. One that would have rolled back
// would not have come to it.
func (f *facts) observedHolds() []v1alpha1.ObservedHold {
	held := slices.Clone(f.in.Status.WouldHold)
	for _, r := range f.in.Verdict.References {
		name := observedName(r.Trigger)
		decided := r.Mode != v1alpha1.ModeObserve || r.Outcome == v1alpha1.VerdictPass || r.Outcome == v1alpha1.VerdictFail
		known := f.isNotedFail(r.Trigger) || slices.Contains(f.in.Verdict.Excused, r.Trigger) || slices.ContainsFunc(held, func(h v1alpha1.ObservedHold) bool { return h.Trigger == name })
		if !decided && !known && len(held) < v1alpha1.MaxTriggers {
			held = append(held, v1alpha1.ObservedHold{Trigger: name, Stage: f.observedStage(), Reason: v1alpha1.Bounded(r.Reason, 64), At: f.now()})
		}
	}
	return held
}

// sayObserved ends a message with the triggers that would have rolled back or held; it is
// empty without any, and has at most 768 bytes.
func sayObserved(fails []v1alpha1.ObservedFail, holds []v1alpha1.ObservedHold) (said string) {
	var failed, held []string
	for _, n := range fails {
		failed = append(failed, fmt.Sprintf("%s at %s", v1alpha1.Bounded(n.Trigger, 128), n.Stage))
	}
	for _, h := range holds {
		held = append(held, fmt.Sprintf("%s at %s (%s)", v1alpha1.Bounded(h.Trigger, 128), h.Stage, h.Reason))
	}
	if len(failed) > 0 {
		said = v1alpha1.Bounded("; would have rolled back: "+firstOf(failed), 512)
	}
	if len(held) > 0 {
		said += v1alpha1.Bounded("; would have held: "+firstOf(held), 256)
	}
	return said
}

func firstOf(triggers []string) string {
	more := ""
	if n := len(triggers) - saidObserved; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return strings.Join(triggers[:min(len(triggers), saidObserved)], ", ") + more
}
