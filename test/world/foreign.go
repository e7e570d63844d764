package world

import (
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// deletions take an object away between a decision and its effect.
var deletions = []kind{
	{name: "delete-canary", place: acting, at: both(during, hasCanary), strike: foreign(func(w *World) { w.deleteSet(w.canary(w.rollout.status.Run).uid) })},
	{name: "delete-stable-set", place: acting, at: guardedStable, strike: foreign(func(w *World) {
		w.mayBeDownUntil = w.at.Add(time.Minute)
		w.deleteSet(w.stable(w.rollout.status.Stable.Revision).uid)
	})},
	{name: "delete-services", place: acting, at: hasPair, strike: foreign(func(w *World) {
		w.network.before, w.network.declared = pair{}, pair{}
		w.network.pairVersion++
	})},
	{name: "delete-user-service-2m", place: acting, strike: foreign((*World).deleteUserService)},
	{name: "delete-route-2m", place: acting, strike: foreign((*World).deleteRoute)},
	{name: "delete-run", place: acting, at: during, strike: foreign((*World).deleteRun)},
	{name: "delete-stable-pod", place: acting, at: guardedStable, strike: foreign(func(w *World) { w.losePod(w.rollout.status.Stable.Revision) })},
	{name: "delete-canary-pod", place: acting, at: both(during, hasCanary), strike: foreign(func(w *World) { w.losePod(w.canary(w.rollout.status.Run).template) })},
}

// edits change an object between a decision and its effect.
var edits = []kind{
	{name: "edit-route-to-the-service", place: acting, at: isSplit, strike: writesRoute(nil)},
	{name: "edit-route-to-the-canary", place: acting, at: isSplit, strike: writesRoute(weightOf(100))},
	{name: "edit-route-to-stable", place: acting, at: isSplit, strike: writesRoute(weightOf(0))},
	{name: "edit-service-selector", place: acting, at: isNarrowed, strike: foreign((*World).stripSelector)},
	{name: "edit-pair-selectors", place: acting, at: hasPair, strike: foreign(func(w *World) { w.point(pair{everything, everything}) })},
	{name: "edit-canary-to-zero", place: acting, at: both(during, hasCanary), strike: foreign(func(w *World) { w.editCanary(func(s *set) { s.size = 0 }) })},
	{name: "edit-canary-to-more", place: acting, at: both(during, hasCanary), strike: foreign(func(w *World) { w.editCanary(func(s *set) { s.size += 3 }) })},
	{name: "edit-canary-labels", place: acting, at: both(during, hasCanary), strike: foreign(func(w *World) { w.editCanary(func(s *set) { s.run = "" }) })},
	{name: "edit-canary-owner", place: acting, at: both(during, hasCanary), strike: foreign(func(w *World) { w.editCanary(func(s *set) { s.ownerRun = "" }) })},
	{name: "edit-deployment-paused", place: acting, at: guardedStable, strike: foreign(func(w *World) { w.specWrite(func() { w.deployment.paused = true }) })},
	{name: "edit-deployment-labels", place: acting, at: guardedStable, strike: foreign(func(w *World) {
		w.deployment.marks, w.deployment.lock = v1alpha1.Marks{}, ""
		w.deployment.version++
	})},
	{name: "edit-lock", place: within, at: severalWrites, strike: foreign(func(w *World) {
		w.deployment.lock = ""
		w.deployment.version++
	})},
	{name: "edit-finalizer", place: acting, at: func(w Write) bool { return w.before.rollout.finalizer && w.before.rollout.deleting == nil }, strike: foreign(func(w *World) {
		w.rollout.finalizer = false
		w.rollout.version++
	})},
}

func writesRoute(split *int32) func(*World, late) error {
	return foreign(func(w *World) {
		w.routeEditedAt = w.at
		w.setRoute(split, 0)
	})
}

func weightOf(n int32) *int32 { return &n }

// foreign is somebody else's write: requests and pods may suffer from it for as long
// as the controller takes to notice.
func foreign(do func(*World)) func(*World, late) error {
	return func(w *World, _ late) error {
		w.disturb()
		w.excuse(reaction)
		do(w)
		return nil
	}
}

func hasCanary(w Write) bool { return w.before.canary(w.before.rollout.status.Run) != nil }

func hasPair(w Write) bool { return w.before.network.declared != pair{} }

func isSplit(w Write) bool { return w.before.network.split != nil }

func isNarrowed(w Write) bool { return w.before.network.narrowed != "" }

func guardedStable(w Write) bool {
	s := w.before.rollout.status.Stable
	return s != nil && w.before.deployment.uid != 0 && w.before.deployment.marks.Rollout != "" && w.before.stable(s.Revision) != nil
}

// touchAll is a write of something that Belay does not look at, to every object.
func (w *World) touchAll() {
	w.deployment.version++
	for i := range w.sets {
		w.sets[i].version++
	}
	w.network.routeVersion++
	w.network.serviceVersion++
	w.network.pairVersion++
	w.rollout.version++
}

func (w *World) editCanary(edit func(*set)) {
	if s := w.canary(w.rollout.status.Run); s != nil {
		edit(s)
		s.version++
	}
}

// deleteRoute is a deletion that is noticed after two minutes; the route is then made
// as it was before the run.
func (w *World) deleteRoute() {
	n := &w.network
	n.routeGone = true
	n.routeVersion++
	w.excuse(2*time.Minute + reaction)
	w.later(2*time.Minute, func(w *World) {
		w.network.routeGone = false
		w.excuse(reaction)
		w.setRoute(nil, 0)
		w.network.routeEpoch = 0
	})
}

// deleteUserService is likewise.
func (w *World) deleteUserService() {
	n := &w.network
	n.serviceGone = true
	n.serviceVersion++
	w.excuse(2*time.Minute + reaction)
	w.later(2*time.Minute, func(w *World) {
		w.network.serviceGone = false
		w.excuse(reaction)
		w.narrow("", "kubectl")
	})
}

// deleteRun takes the run's ReplicaSet with it, as the garbage collector does.
func (w *World) deleteRun() {
	run := w.rollout.status.Run
	w.rollout.runs = slices.DeleteFunc(slices.Clone(w.rollout.runs), func(name string) bool { return name == run })
	w.rollout.version++
	w.later(seconds(2), func(w *World) {
		if s := w.canary(run); s != nil && s.ownerRun == run {
			w.deleteSet(s.uid)
		}
	})
}
