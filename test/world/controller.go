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

// Fault says what goes wrong besides the script.
type Fault struct {
	// CrashAt stops the controller at its n-th write, from 1; 0 never.
	CrashAt int
	// Crash is where at that write.
	Crash CrashPoint
	// GoesOn is when the controller that stopped before its record or its effect
	// goes on after all, beside the one that took its place; 0 never.
	GoesOn time.Duration
	// LostEvents leaves the controller with its own wake-ups.
	LostEvents bool
	// Stale lets the controller see each part of the cluster as it was a while ago.
	Stale bool
}

// CrashPoint is a place in the course of one reconcile.
type CrashPoint string

// The places: before the decision is recorded, before the effect, between two
// writes of one effect, and after it.
const (
	BeforeRecord CrashPoint = "before the record"
	BeforeEffect CrashPoint = "before the effect"
	WithinEffect CrashPoint = "within the effect"
	AfterEffect  CrashPoint = "after the effect"
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
	write := t.Effect != nil || t.News
	if write {
		w.writes++
	}
	crash := w.fault.CrashAt > 0 && write && w.fault.CrashAt == w.writes
	if crash && w.fault.Crash == BeforeRecord {
		w.crash(&late{in: in, t: t, v: v, record: true})
		return
	}
	if !w.record(in, t, v) {
		w.wake = w.at.Add(200 * time.Millisecond)
		return
	}
	if crash && w.fault.Crash == BeforeEffect {
		w.crash(&late{in: in, t: t, v: v})
		return
	}
	w.within = crash && w.fault.Crash == WithinEffect
	taken := w.carryOut(t.Decision, v)
	w.within = false
	if crash {
		w.crash(nil)
	} else if taken && write && !w.fault.LostEvents && w.wake.After(w.at.Add(10*time.Millisecond)) {
		w.wake = w.at.Add(10 * time.Millisecond)
	}
}

// crash leaves the field to another controller, after the lease. What the one
// that stopped was about to do may still come.
func (w *World) crash(rest *late) {
	w.crashed = true
	w.wake = w.at.Add(Lease)
	if rest != nil && w.fault.GoesOn > 0 {
		rest.at = w.at.Add(w.fault.GoesOn)
		w.late = rest
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

// carryOut acts, and keeps a refusal in the status. It reports whether the API
// server took what was to be written.
func (w *World) carryOut(d plan.Decision, v view) bool {
	if d.Effect == nil {
		return true
	}
	err := w.act(d.Effect, v, &d.Status)
	switch {
	case errors.Is(err, errConflict):
		w.wake = w.at.Add(200 * time.Millisecond)
	case errors.Is(err, errRefused):
		next := w.rollout.status.DeepCopy()
		since := metav1.NewTime(w.at)
		if r := next.Refusal; r != nil && r.Effect == d.Effect.String() {
			since = r.Since
		}
		next.Refusal = &v1alpha1.Refusal{Effect: d.Effect.String(), Message: err.Error(), Since: since}
		w.writeStatus(next)
		w.wake = w.at.Add(10 * time.Second)
	case err != nil && !errors.Is(err, errCrashed):
		w.broken("%s: %v", d.Effect, err)
	}
	return err == nil
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
	if v.rollout.rollout.version != w.rollout.version {
		return false
	}
	d := t.Decision
	w.last = d
	was, next := w.rollout.status, d.Status.DeepCopy()
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
	if stall := d.Standing.Reason; d.Standing.State == plan.Stuck && (len(w.stalls) == 0 || w.stalls[len(w.stalls)-1] != stall) {
		w.stalls = append(w.stalls, stall)
	}
	w.judgeRecord(in, d)
	w.writeStatus(next)
	return true
}

// line is a decision in the golden log: virtual time, phase, share, rule, why.
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
