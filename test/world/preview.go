package world

import (
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// preview is the Service of that name.
type preview struct {
	exists bool
	// foreign means that somebody else made it.
	foreign bool
	// hash in its selector; empty for all versions. It is in the endpoints from selectsAt on.
	hash      string
	selectsAt time.Time
	version   int
}

// pointPreview writes the preview Service as a person or Belay would.
func (w *World) pointPreview(hash string) {
	p := &w.network.preview
	p.exists, p.hash, p.selectsAt = true, hash, w.at.Add(w.delay(0.01, 2))
	p.version++
}

func (w *World) removePreview() {
	w.network.preview = preview{version: w.network.preview.version + 1}
}

// onPreview refuses a write as the API server or the router would.
func (w *World) onPreview(v view, write func()) error {
	switch seen := v.services.network.preview; {
	case w.at.Before(w.previewRefusedUntil):
		return errRefused
	case seen.version != w.network.preview.version:
		return errConflict
	case seen.foreign:
		w.broken("a Service that is somebody else's is written as the preview Service")
	}
	write()
	return nil
}

// preview is what observing the preview Service gives.
func (v view) preview(traffic *v1alpha1.Traffic, out *plan.Route) {
	c := v.services
	p := c.network.preview
	switch {
	case traffic == nil, !p.exists, p.foreign && traffic.Preview != v1alpha1.PreviewEnabled:
	case p.foreign:
		out.Preview = &plan.Preview{Fault: `Service "shop-preview" exists and was not created by Belay, which needs that name: rename it`}
	default:
		out.Preview = &plan.Preview{Hash: p.hash, Current: true}
		if p.hash != "" && !c.at.Before(p.selectsAt) {
			out.Preview.Ready = c.side(p.hash)
		}
	}
}

// judgePreview: without a run the preview Service leads to no version that was rejected, and
// somebody else's is never Belay's.
func (w *World) judgePreview() {
	p := w.network.preview
	if !p.exists || p.foreign || p.hash == "" || w.excused() || w.at.Before(w.previewRefusedUntil.Add(reaction)) {
		return
	}
	for _, r := range w.rollout.status.Rejected {
		if s := w.find(func(s *set) bool { return s.hash == p.hash }); p.hash == r.Revision || s != nil && s.template == r.Revision {
			w.broken("no run is in progress, and the preview Service selects the rejected revision %s", r.Revision)
		}
	}
}

// refusePreview lets nobody write the preview Service for a while.
func (w *World) refusePreview(lasts time.Duration) {
	w.previewRefusedUntil = w.at.Add(lasts)
	w.later(lasts, func(*World) {})
}

func previewed(w *World) { w.spec.Traffic.Preview = v1alpha1.PreviewEnabled }

// blueGreen first shows the candidate to nobody but the callers of the preview Service, and then
// to everybody.
func blueGreen(w *World) {
	previewed(w)
	w.spec.Steps = []v1alpha1.Step{{Name: "preview", Hold: duration(time.Minute)}, {Weight: 100, Hold: duration(time.Minute)}}
}

// hasPreview leaves alone a Service of the name that is not Belay's: stories are about that one.
func hasPreview(w Write) bool {
	return w.before.network.preview.exists && !w.before.network.preview.foreign
}

// previews are stories of Rollouts with a preview Service.
func previews() []Story {
	fail := (*World).fail
	promote := story("preview", second, promoted, script()).with(blueGreen)
	back := rejection("preview-rollback", script(event{atStep(0), fail})).with(blueGreen)
	foreign := func(w *World) { w.network.preview = preview{exists: true, foreign: true, version: 1} }
	return []Story{
		promote, back,
		promote.named("preview-beside-weights").with(func(w *World) {
			w.spec.Steps = slices.Concat([]v1alpha1.Step{{Hold: duration(time.Minute)}}, []v1alpha1.Step{{Weight: 10, Hold: duration(time.Minute)}})
		}),
		promote.named("preview-native").with(native),
		promote.named("preview-switched-off").scripted(script(event{atStep(0), func(w *World) {
			w.spec.Traffic.Preview = v1alpha1.PreviewDisabled
			w.rollout.version++
		}})),
		promote.named("preview-refused-for-a-while").scripted(script(event{atStep(0), func(w *World) {
			w.removePreview()
			w.refusePreview(2 * time.Minute)
		}})),
		promote.named("preview-name-taken").with(foreign).scripted(script(
			event{stalled(v1alpha1.ReasonServiceUnusable), func(w *World) { w.removePreview() }})).stalling(v1alpha1.ReasonServiceUnusable),
		back.named("preview-refused-in-rollback").scripted(script(event{atStep(0), func(w *World) {
			w.refusePreview(5 * time.Minute)
			w.fail()
		}})),
		back.named("preview-abort").scripted(script(event{atStep(0), commands(v1alpha1.ActionAbort)})),
		story("preview-superseded", third, promoted, script(event{atStep(0), declares(third)})).with(blueGreen),
		{Name: "preview-deleted", Serves: first, Held: second, Script: script(event{atStep(0), (*World).deleteRollout}), Setup: blueGreen},
	}
}
