package plan

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// Rules about a wave of canary pods that do not become ready: they count as idle
// for an autoscaler, and keep it from scaling up what serves.

// waveStuck holds when the pods for a larger weight have not become ready in the
// time that the Deployment gives new pods, and the canary serves without them.
func waveStuck(f *facts) bool {
	w := f.step().Wave
	if w == nil || !weightWrong(f) || f.in.Canary.Ready == 0 || f.in.Canary.Desired <= f.waveFloor() {
		return false
	}
	over, _ := f.sinceElapsed(&w.AskedAt, f.in.Workload.ProgressDeadline)
	return over
}

// waveFloor is the size without the pods that are not ready, and never less than
// the present weight needs. A wave that is withdrawn already goes no further.
func (f *facts) waveFloor() int32 {
	floor := max(f.in.Canary.Ready, f.presentNeed())
	if f.waveWithdrawn() {
		floor = max(floor, f.step().Wave.Size)
	}
	return floor
}

// withdrawWave leaves it to the ReplicaSet controller to take the pods that are not
// ready: those go first.
func withdrawWave(f *facts) Decision {
	size, bound := f.waveFloor(), f.in.Workload.ProgressDeadline
	if f.waveWithdrawn() {
		return f.doing(f.phaseReason(), fmt.Sprintf("%s: withdrawing the canary pods that are not ready: %d of %d", f.stage(), f.in.Canary.Desired-f.in.Canary.Ready, f.in.Canary.Desired), ScaleCanary{size})
	}
	why := fmt.Sprintf("%s: %d of %d canary pods have not become ready within %s (the Deployment's progressDeadlineSeconds)%s: withdrawing them, so that they do not keep an autoscaler from scaling up; the next try is at %s",
		f.stage(), f.in.Canary.Desired-f.in.Canary.Ready, f.in.Canary.Desired, bound, f.canaryProblem(), clock(f.now().Add(bound)))
	d := f.doing(f.phaseReason(), why, ScaleCanary{size})
	w, now := *f.step().Wave, f.now()
	w.Size, w.WithdrawnAt, w.Message = size, &now, v1alpha1.Bounded(f.in.Canary.Cause, 512)
	d.Status.Step.Wave = &w
	f.staysOverdue(&d)
	return d
}

// waveWithdrawn holds until a withdrawn wave is to be tried again.
func (f *facts) waveWithdrawn() bool {
	w := f.step().Wave
	if w == nil || w.WithdrawnAt == nil {
		return false
	}
	over, _ := f.sinceElapsed(w.WithdrawnAt, f.in.Workload.ProgressDeadline)
	return !over
}

// noteWave notes a growth of the canary. One that is repeated, because it was
// refused or is not seen yet, began when it was first asked for.
func (f *facts) noteWave(d *Decision, size int32) {
	s := d.Status.Step
	if s == nil || f.ordered() || f.in.Canary.Exists && size <= f.in.Canary.Desired || f.waveWithdrawn() {
		return
	}
	if s.Wave != nil && s.Wave.WithdrawnAt != nil {
		f.staysOverdue(d)
	} else if s.Wave != nil && s.Wave.Size == size {
		return
	}
	s.Wave = &v1alpha1.WaveStatus{Size: size, AskedAt: f.now()}
}

// awaitWave waits for canary pods, until they are withdrawn or tried again.
func (f *facts) awaitWave(why string) Decision {
	d := f.reconciling(f.phaseReason(), why)
	s := d.Status.Step
	if s == nil {
		return d
	}
	if f.ordered() {
		// There is nothing to withdraw: a pod that is not ready has taken another's place.
		f.sayDeadline(&d)
		return d
	}
	if s.Wave == nil {
		s.Wave = &v1alpha1.WaveStatus{Size: f.in.Canary.Desired, AskedAt: f.now()}
	}
	from := s.Wave.AskedAt
	if w := s.Wave; f.waveWithdrawn() {
		from = *w.WithdrawnAt
		d.Why += fmt.Sprintf("; the pods that were not ready were withdrawn at %s%s; the next try is at %s",
			clock(from.Time), quoteReason(w.Message), clock(from.Add(f.in.Workload.ProgressDeadline)))
	}
	f.sayDeadline(&d)
	if _, left := f.sinceElapsed(&from, f.in.Workload.ProgressDeadline); left > 0 {
		d.Recheck = max(time.Millisecond, left)
	}
	return d
}

// sayDeadline says until when canary pods are waited for.
func (f *facts) sayDeadline(d *Decision) {
	if f.deadlineRollsBack() {
		d.Why += "; rolls back at " + clock(f.deadline()) + " unless they are ready by then"
	}
}

// staysOverdue keeps a step that has taken too long shown as such while a wave is
// withdrawn or tried again.
func (f *facts) staysOverdue(d *Decision) {
	if f.deadlineExceeded() && !f.decided() {
		d.Progress, d.Reason = Stalled, v1alpha1.ReasonDeadlineExceeded
	}
}
