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

// patience is shorter in a deletion that lets go before: people have to know while there
// is something to wait for.
func (f *facts) patience() time.Duration {
	if deleting(f) {
		return min(patience, f.in.ReleaseTimeout/2)
	}
	return patience
}

// late holds for a decision of a rollback or a deletion that has only waited for longer
// than patience. What it can do without that has been done.
func (f *facts) late(d Decision) bool {
	last := f.in.Status.Decision
	waits := len(d.Effects) == 0 && d.Progress == Reconciling && d.Late != "" && !f.progressed(d)
	same := last != nil && last.Rule == d.Rule && last.Key == v1alpha1.Bounded(d.Key, 128)
	return waits && same && (rollingBack(f) || deleting(f)) && f.in.Now.Sub(last.At.Time) > f.patience()
}

// showLate asks for a person, and says what waits for that and what to do.
func (f *facts) showLate(d *Decision) {
	d.Progress, d.Reason, d.Recheck = Stalled, d.Late, f.in.Watchdog
	d.Why += fmt.Sprintf(" (for longer than %s)", f.patience())
	if d.Late == v1alpha1.ReasonNotAcknowledged {
		d.Why += "; " + f.untilAcknowledged() + ": restart that gateway's controller, or remove the parentRef of a gateway that is gone"
	}
}

// untilAcknowledged says who may get requests while a gateway is silent: it may still send
// all of them where it last sent them, whatever the routes say by now.
func (f *facts) untilAcknowledged() string {
	switch {
	case deleting(f):
		end := clock(f.in.Deleting.Add(f.in.ReleaseTimeout))
		if canaryLeft(f) {
			return "the canary may get requests until then, and the Rollout goes without that after " + end
		}
		return fmt.Sprintf("it may still use Services %[1]s-stable and %[1]s-canary, and the Rollout goes without that and removes them after %[2]s", f.in.Name, end)
	case canaryLeft(f):
		return "the canary stays, and may get requests until then"
	case f.rollback().ZeroAt == nil:
		return "requests that it still sends to the canary, which is gone, fail until then"
	default:
		return "stable serves, and the next version waits"
	}
}

// refusedFor is how long a refusal may last before it needs a person.
func (f *facts) refusedFor() time.Duration {
	if rollingBack(f) || deleting(f) || handed(f) {
		return min(f.patience(), f.in.Spec.StepDeadline.Duration)
	}
	return f.in.Spec.StepDeadline.Duration
}
