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

// noteObservedFail records what a trigger would have done, and does nothing.
func noteObservedFail(f *facts) Decision {
	v := f.in.Verdict.WouldRollBack
	noted := v1alpha1.ObservedFail{Trigger: truncate(v.Trigger, 340), Stage: truncate(f.stageAndWeight(), 128), At: f.now()}
	does, next := "rolled back", "the run goes on, and to go back now abort it"
	if native(f) {
		noted.Stage, does, next = "native promotion", "stopped the promotion", "it goes on"
	}
	d := f.reconciling(f.phaseReason(), fmt.Sprintf("%s would have %s, but its mode is Observe: %s, at %s; %s",
		noted.Trigger, does, truncate(v.Message, 512), noted.Stage, next))
	d.WouldRollBack = &noted
	d.Status.WouldRollBack = append(slices.Clone(f.in.Status.WouldRollBack), noted)
	d.Key, d.Recheck = noted.Trigger, 1
	return d
}

// saidObserved is how many of a run's observed fails a message names.
const saidObserved = 2

// sayObserved ends a message with the triggers that would have rolled back; it is empty
// without any, and has at most 512 bytes.
func sayObserved(fails []v1alpha1.ObservedFail) string {
	if len(fails) == 0 {
		return ""
	}
	var said []string
	for _, n := range fails[:min(len(fails), saidObserved)] {
		said = append(said, fmt.Sprintf("%s at %s", truncate(n.Trigger, 128), n.Stage))
	}
	more := ""
	if n := len(fails) - len(said); n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return truncate("; would have rolled back: "+strings.Join(said, ", ")+more, 512)
}
