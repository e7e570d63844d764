package world

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
)

// Lease is how long another controller takes to go on where one crashed.
const Lease = 20 * time.Second

// late is what a controller that was suspended is about to write.
type late struct {
	at     time.Time
	in     plan.Input
	t      plan.Result
	v      view
	record bool
}

// reconcile is the controller's loop: observe, decide, record, act.
func (w *World) reconcile() {
	if w.at.Before(w.awayUntil) {
		w.wake = w.awayUntil
		return
	}
	w.looks++
	w.lookedAt, w.crashed = w.at, false
	w.wake = w.at.Add(limitTime)
	if w.rollout.gone {
		return
	}
	v := w.view()
	in := w.observe(v)
	t := plan.Transition(in)
	wrong := invariants.Of(in, t.Decision)
	for _, violation := range wrong {
		w.last = t.Decision
		w.broken("%s", violation.Message)
	}
	t = invariants.Freeze(in, t, append(invariants.Observed(in), wrong...))
	w.wake = w.at.Add(time.Minute)
	if t.Recheck > 0 {
		w.wake = w.at.Add(max(t.Recheck, time.Millisecond))
	}
	write := len(t.Effects) > 0 || t.News
	w.striking = nil
	if write {
		w.noteWrite(t)
	}
	if len(w.striking) > 0 {
		w.decided = late{in: in, t: t, v: v}
	}
	if w.stopped(w.strikeAll(looked)) {
		return
	}
	if !w.record(in, t, v) || w.stopped(w.strikeAll(recorded)) {
		w.wake = w.at.Add(w.backOff())
		return
	}
	taken := w.carryOut(t.Decision, v)
	if !w.crashed && taken && write && !w.at.Before(w.deafUntil) && w.wake.After(w.at.Add(10*time.Millisecond)) {
		w.wake = w.at.Add(10 * time.Millisecond)
	}
}

// noteWrite counts a write, and finds out what strikes at it.
func (w *World) noteWrite(t plan.Result) {
	if w.atWrite != nil {
		before := w.fork()
		before.looks--
		before.wake = w.at
		w.atWrite(Write{Number: w.writes + 1, Records: t.News, Effects: t.Effects, before: before}, before)
	}
	w.writes++
	for _, d := range w.disturbances {
		if k, ok := kindNamed(d.Kind); ok && d.At == w.writes {
			w.striking = append(w.striking, k)
		}
	}
}

// strikeAll lets happen what strikes at a place, once.
func (w *World) strikeAll(at place) error {
	if at == fromTheStart {
		for _, d := range w.disturbances {
			if k, ok := kindNamed(d.Kind); ok && d.At == 0 {
				w.striking = append(w.striking, k)
			}
		}
	}
	var answer error
	for i, k := range w.striking {
		if k != nil && k.place == at {
			w.striking[i] = nil
			answer = k.strike(w, w.decided)
		}
	}
	return answer
}

// stopped takes what a strike means for a reconcile that has not acted yet.
func (w *World) stopped(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, errCrashed):
		w.crash()
	default:
		w.wake = w.at.Add(w.backOff())
	}
	return true
}

// backOff is how long the controller waits after an error.
func (w *World) backOff() time.Duration {
	if w.crashed {
		return Lease
	}
	return 200 * time.Millisecond
}

// crash leaves the field to another controller, after the lease.
func (w *World) crash() {
	w.crashed = true
	w.wake = w.at.Add(Lease)
}

// away lets no controller look for a while. What happens meanwhile to pods and routes has no
// answer, whatever a controller would do.
func away(d time.Duration) func(*World) {
	return func(w *World) {
		w.crashed = true
		w.awayUntil = w.at.Add(d)
		w.wake = w.awayUntil
		w.excuse(d + reaction)
	}
}

func (w *World) goOnLate() {
	l := w.late
	w.late = nil
	if l.record && !w.record(l.in, l.t, l.v) {
		return
	}
	// What it makes anew carries no version; it takes a moment to be seen.
	w.excuse(reaction)
	w.carryOut(l.t.Decision, l.v)
}

// carryOut acts as the controller does: a refusal, of which the first is kept in the
// status, keeps no other effect back, a conflict or a crash does. It reports whether the
// API server took what was to be written.
func (w *World) carryOut(d plan.Decision, v view) bool {
	err := w.strikeAll(acting)
	if len(d.Effects) == 0 {
		return !w.stopped(err)
	}
	took := true
	for i, effect := range d.Effects {
		if !took {
			effect = plan.AfterRefusal(effect)
		}
		if err == nil {
			err = w.perform(effect, v, &d.Status)
		}
		at := acted
		if i < len(d.Effects)-1 {
			at = afterFirst + place(i)
		}
		if lost := w.strikeAll(at); lost != nil {
			err = lost
		}
		if err != nil && (took || errors.Is(err, errCrashed)) {
			w.failed(effect, err)
		}
		if errors.Is(err, errCrashed) || errors.Is(err, errConflict) {
			return false
		}
		took, err = took && err == nil, nil
	}
	return took
}

func (w *World) perform(effect plan.Effect, v view, status *v1alpha1.RolloutStatus) error {
	if w.at.Before(w.downUntil) {
		return errRefused
	}
	return w.act(effect, v, status)
}

// failed is what the controller makes of an effect that it could not carry out.
func (w *World) failed(effect plan.Effect, err error) {
	switch {
	case errors.Is(err, errCrashed):
		w.crash()
	case errors.Is(err, errConflict):
		w.wake = w.at.Add(200 * time.Millisecond)
	case errors.Is(err, errRefused), errors.Is(err, errLost):
		next := w.rollout.status.DeepCopy()
		since := metav1.NewTime(w.at)
		if r := next.Refusal; r != nil && r.Effect == effect.String() {
			since = r.Since
		}
		next.Refusal = &v1alpha1.Refusal{Effect: effect.String(), Message: err.Error(), Since: since}
		if !w.at.Before(w.downUntil) {
			w.writeStatus(next)
		}
		w.wake = w.at.Add(10 * time.Second)
	default:
		w.broken("%s: %v", effect, err)
	}
}

func (w *World) writeStatus(next *v1alpha1.RolloutStatus) {
	if reflect.DeepEqual(next, w.rollout.status) {
		return
	}
	w.rollout.status = next
	w.rollout.version++
}

// record takes the status as the API server does: with the version that was
// observed, and through the phase graph. It reports whether that went through.
func (w *World) record(in plan.Input, t plan.Result, v view) bool {
	if v.rollout.rollout.version != w.rollout.version || w.at.Before(w.downUntil) {
		return false
	}
	d := t.Decision
	w.last = d
	was, next := w.rollout.status, &d.Status
	if !next.Phase.MayFollow(was.Phase) {
		w.broken("the API server refuses phase %s after %s", next.Phase, was.Phase)
	}
	if h := next.LastHandledAction; h != nil && w.rollout.action != nil && h.Token == w.rollout.action.Token {
		w.rollout.action = nil
	}
	if t.News {
		w.log = append(w.log, w.line(in, d))
	}
	if t.Record != nil && w.records != nil {
		w.recordDecision(in, t)
	}
	if stall := d.Reason; d.Progress == plan.Stalled && (len(w.stalls) == 0 || w.stalls[len(w.stalls)-1] != stall) {
		w.stalls = append(w.stalls, stall)
	}
	w.judgeRecord(in, d)
	if t.News {
		w.rollout.status = next
		w.rollout.version++
	} else {
		w.writeStatus(next)
	}
	w.completeRuns(v)
	return true
}

// line is a decision in the golden log: virtual time, phase, weight, rule, why.
func (w *World) line(in plan.Input, d plan.Decision) string {
	weight := "-"
	if in.Route.Split != nil {
		weight = fmt.Sprint(*in.Route.Split)
	}
	if d.Weight != nil {
		weight = fmt.Sprintf("%d>%d", d.Weight.From, d.Weight.To)
	}
	return fmt.Sprintf("%9.2fs  %-11s  %6s  %-26s  %s", w.at.Sub(w.start).Seconds(), d.Status.Phase, weight, d.Rule, d.Why)
}
