package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// patience is how long a rollback or a deletion waits for the same thing before it is
// shown as stalled, counted from when the wait was recorded; and how long the API server
// may refuse a write of a rollback, a deletion or a finished handover. Users may get a
// rejected version meanwhile, so people on call have to know long before stepDeadline.
const patience = 2 * time.Minute

// late holds for a decision of a rollback or a deletion that has only waited for longer
// than patience. What it can do without that has been done.
func (f *facts) late(d Decision) bool {
	last := f.in.Status.Decision
	waits := len(d.Effects) == 0 && d.Progress == Reconciling && d.Late != "" && !f.progressed(d)
	same := last != nil && last.Rule == d.Rule && last.Key == truncate(d.Key, 128)
	return waits && same && (rollingBack(f) || deleting(f)) && f.in.Now.Sub(last.At.Time) > patience
}

// showLate asks for a person, and says what waits for that and what to do.
func (f *facts) showLate(d *Decision) {
	d.Progress, d.Reason, d.Recheck = Stalled, d.Late, f.in.Watchdog
	d.Why += fmt.Sprintf(" (for longer than %s)", patience)
	switch {
	case d.Late != v1alpha1.ReasonNotAcknowledged:
	case f.in.Route.Split == nil:
		d.Why += "; stable serves, and the next version waits: restart that gateway's controller, or remove the parentRef of a gateway that is gone"
	default:
		d.Why += "; the canary stays, and may get requests until then: restart that gateway's controller, or remove the parentRef of a gateway that is gone"
	}
}

// refusedFor is how long a refusal may last before it needs a person.
func (f *facts) refusedFor() time.Duration {
	if rollingBack(f) || deleting(f) || handed(f) {
		return min(patience, f.in.Spec.StepDeadline.Duration)
	}
	return f.in.Spec.StepDeadline.Duration
}
