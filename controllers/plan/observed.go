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
	return v != nil && (revocable(f) || f.promotesNatively()) && !slices.ContainsFunc(f.in.Status.WouldRollBack, func(n v1alpha1.ObservedFail) bool {
		return n.Trigger == truncate(v.Trigger, 340)
	})
}

// promotesNatively is the part of a native promotion that a trigger can stop.
func (f *facts) promotesNatively() bool {
	return native(f) && f.takeOver() == v1alpha1.TakeOverNative && f.declared == f.candidate
}

// nativePromotion is the stage of what is observed in one.
const nativePromotion = "native promotion"

// noteObservedFail records what a trigger would have done, and does nothing.
func noteObservedFail(f *facts) Decision {
	v := f.in.Verdict.WouldRollBack
	noted := v1alpha1.ObservedFail{Trigger: truncate(v.Trigger, 340), Stage: truncate(f.stageAndWeight(), 128), At: f.now()}
	does, next := "rolled back", "the run goes on, and to go back now abort it"
	if native(f) {
		noted.Stage, does, next = nativePromotion, "stopped the promotion", "it goes on"
	}
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s would have %s, but its mode is Observe: %s, at %s; %s",
		noted.Trigger, does, truncate(v.Message, 512), noted.Stage, next))
	d.WouldRollBack = &noted
	d.Status.WouldRollBack = append(slices.Clone(f.in.Status.WouldRollBack), noted)
	d.Key, d.Recheck = noted.Trigger, 1
	return d
}

// saidObserved is how many of a run's observed fails, and holds, a message names.
const saidObserved = 2

// observedHolds are the run's triggers in mode Observe that would have held, with those that
// do not pass the present stage, which has come to its end. One that would have rolled back
// would not have come to it.
func (f *facts) observedHolds() []v1alpha1.ObservedHold {
	held, stage := slices.Clone(f.in.Status.WouldHold), truncate(f.stageAndWeight(), 128)
	if native(f) {
		stage = nativePromotion
	}
	for _, r := range f.in.Verdict.References {
		name := truncate(r.Trigger, 340)
		decided := r.Mode != v1alpha1.ModeObserve || r.Outcome == v1alpha1.VerdictPass || r.Outcome == v1alpha1.VerdictFail
		isNoted := slices.ContainsFunc(held, func(h v1alpha1.ObservedHold) bool { return h.Trigger == name }) ||
			slices.ContainsFunc(f.in.Status.WouldRollBack, func(n v1alpha1.ObservedFail) bool { return n.Trigger == name })
		if !decided && !isNoted && len(held) < v1alpha1.MaxTriggers {
			held = append(held, v1alpha1.ObservedHold{Trigger: name, Stage: stage, Reason: truncate(r.Reason, 64), At: f.now()})
		}
	}
	return held
}

// sayObserved ends a message with the triggers that would have rolled back or held; it is
// empty without any, and has at most 768 bytes.
func sayObserved(fails []v1alpha1.ObservedFail, holds []v1alpha1.ObservedHold) (said string) {
	var failed, held []string
	for _, n := range fails {
		failed = append(failed, fmt.Sprintf("%s at %s", truncate(n.Trigger, 128), n.Stage))
	}
	for _, h := range holds {
		held = append(held, fmt.Sprintf("%s at %s (%s)", truncate(h.Trigger, 128), h.Stage, h.Reason))
	}
	if len(failed) > 0 {
		said = truncate("; would have rolled back: "+firstOf(failed), 512)
	}
	if len(held) > 0 {
		said += truncate("; would have held: "+firstOf(held), 256)
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
