package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// freezes are releases that a Freeze holds for a while.
func freezes() []Story {
	const long = 60 * time.Hour
	override := commands(v1alpha1.ActionOverrideFreeze)
	waits := func(w *World) bool { return w.at.Before(w.freezeUntil) && w.rollout.status.FreezeOverride == nil }
	overridden := func(w *World) bool { return w.rollout.status.FreezeOverride != nil }
	holds := story("freeze-in-a-step", second, promoted, script(event{atStep(0), begins(3 * time.Hour)}, soon(3*time.Hour-time.Second, kept)))
	return []Story{
		holds.with(func(w *World) { w.spec.OnDeadline = v1alpha1.Rollback }),
		holds.named("freeze-in-the-bake").scripted(script(event{baking, begins(3 * time.Hour)}, soon(3*time.Hour-time.Second, kept))),
		holds.named("freeze-before-the-run").scripted(script(event{held, begins(time.Hour)}, soon(time.Hour-time.Second, kept))),
		holds.named("freeze-during-the-handover").scripted(script(event{beforeOwner, begins(long)})),
		holds.named("freeze-while-the-load-grows").scripted(script(event{atStep(1), begins(3 * time.Hour)}, soon(time.Minute, resizes(12)))),
		holds.named("pods-freeze").with(replicaWeighted),
		holds.named("freeze-natively").with(func(w *World) { w.spec.Promotion.Mode = v1alpha1.PromotionNative }),
		holds.named("freeze-then-override").scripted(script(event{atStep(0), begins(long)}, event{waits, override}, event{overridden, func(*World) {}})),
		holds.named("freeze-before-the-run-then-override").scripted(script(event{held, begins(long)}, event{waits, override}, event{overridden, func(*World) {}})),
		story("freeze-then-newer-push", third, promoted, script(event{atStep(0), begins(3 * time.Hour)}, soon(time.Hour, declares(third)))),
		story("freeze-then-back-to-stable", first, cancelled, script(event{atStep(0), begins(long)}, soon(time.Hour, declares(first)))),
		rejection("freeze-then-a-trigger-fires", script(event{atStep(1), begins(long)}, soon(time.Hour, (*World).fail))),
		rejection("freeze-then-abort", script(event{atStep(0), begins(long)}, soon(time.Hour, commands(v1alpha1.ActionAbort)))),
	}
}

// begins lets a freeze hold for a while, and keeps what it found.
func begins(d time.Duration) func(*World) {
	return func(w *World) {
		w.freezeUntil = w.at.Add(d)
		w.foundFrozen = w.rollout.status.Phase
		w.frozenStep = 0
		if s := w.rollout.status.Step; s != nil {
			w.frozenStep = s.Index
		}
	}
}

// kept finds out whether the freeze has kept the candidate where it was.
func kept(w *World) {
	status := w.rollout.status
	if s := status.Step; status.Phase.Armed() && (status.Phase != w.foundFrozen && w.foundFrozen != v1alpha1.PhaseStepping || s != nil && s.Index != w.frozenStep) {
		w.broken("frozen in %s at step %d, it is in %s at step %d", w.foundFrozen, w.frozenStep, status.Phase, s.Index)
	}
}

// freeze is the gate of the freeze that holds now.
func (w *World) freeze() []plan.Gate {
	if !w.at.Before(w.freezeUntil) {
		return nil
	}
	return []plan.Gate{{Name: plan.GateFreeze, Outcome: plan.Closed, Reason: v1alpha1.ReasonFrozen, Until: w.freezeUntil,
		Message: `held by Freeze shop/weekend (owner: "sre"; reason: "nobody watches"), opens ` + w.freezeUntil.UTC().Format("2006-01-02 15:04 MST")}}
}
