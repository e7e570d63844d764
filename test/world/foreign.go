package world

import (
	"slices"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// deletions take an object away between a decision and its effect.
var deletions = []kind{
	{name: "delete-canary", place: acting, spares: ownSilence, ends: otherNewest, at: both(during, hasCanary), strike: foreign(func(w *World) { w.onCanary(func(s *set) { w.deleteSet(s.uid) }) })},
	{name: "delete-stable-set", place: acting, spares: racesOrOwnSilence, ends: withoutStable, at: both(ofDeployment, guardedStable, restorable), strike: foreign(func(w *World) {
		w.mayBeDownUntil = w.at.Add(time.Minute)
		w.deleteSet(w.stable(w.rollout.status.Stable.Revision).uid)
	})},
	{name: "delete-services", place: acting, spares: ownSilence, at: hasPair, strike: foreign(func(w *World) {
		w.network.before, w.network.declared = pair{}, pair{}
		w.network.pairVersion++
	})},
	{name: "delete-preview", place: acting, spares: ownSilence, at: hasPreview, strike: foreign((*World).removePreview)},
	{name: "delete-user-service-2m", place: acting, spares: ownSilence, strike: foreign((*World).deleteUserService)},
	{name: "delete-route-2m", place: acting, spares: ownSilence, strike: foreign((*World).deleteRoute)},
	{name: "delete-run", place: acting, spares: onlyTheRunKnows, ends: otherNewest, at: during, strike: foreign((*World).deleteRun)},
	{name: "delete-stable-pod", place: acting, spares: ownSilence, at: guardedStable, strike: foreign(func(w *World) { w.losePod(w.rollout.status.Stable.Revision) })},
	{name: "delete-canary-pod", place: acting, spares: ownSilence, ends: otherNewest, at: both(during, hasCanary), strike: foreign(func(w *World) { w.onCanary(func(s *set) { w.losePod(s.template) }) })},
	{name: "delete-candidate-pod", place: acting, at: both(during, ofStatefulSet), strike: foreign(func(w *World) {
		if c := w.rollout.status.Candidate; c != nil {
			w.losePod(c.Revision)
		}
	})},
}

// edits change an object between a decision and its effect.
var edits = []kind{
	{name: "edit-route-to-the-service", place: acting, spares: ownSilence, at: isSplit, strike: writesRoute(nil)},
	{name: "edit-route-to-the-canary", place: acting, spares: ownSilence, at: isSplit, strike: writesRoute(weightOf(100))},
	{name: "edit-route-to-stable", place: acting, spares: ownSilence, at: isSplit, strike: writesRoute(weightOf(0))},
	{name: "edit-route-to-other-testers", place: acting, spares: ownSilence, at: hasTesters, strike: foreign(func(w *World) {
		w.routeEditedAt = w.at
		w.setRoute(distribution{split: weightOf(0), testers: header("x-other")}, 0)
	})},
	{name: "edit-route-to-more-copies", place: acting, spares: ownSilence, at: hasMirror, strike: foreign(func(w *World) {
		w.routeEditedAt = w.at
		w.setRoute(distribution{split: weightOf(0), mirror: 90}, 0)
	})},
	{name: "edit-preview-selector", place: acting, spares: ownSilence, at: hasPreview, strike: foreign(func(w *World) { w.pointPreview("nobody") })},
	{name: "edit-service-selector", place: acting, spares: ownSilence, at: isNarrowed, strike: foreign((*World).stripSelector)},
	{name: "edit-pair-selectors", place: acting, spares: ownSilence, at: hasPair, strike: foreign(func(w *World) { w.point(pair{everything, everything}) })},
	{name: "edit-canary-to-zero", place: acting, spares: ownSilence, ends: otherNewest, at: both(during, hasCanary), strike: foreign(func(w *World) { w.editCanary(func(s *set) { s.size = 0 }) })},
	{name: "edit-canary-to-more", place: acting, spares: ownSilence, ends: otherNewest, at: both(during, hasCanary), strike: foreign(func(w *World) { w.editCanary(func(s *set) { s.size += 3 }) })},
	{name: "edit-canary-labels", place: acting, spares: ownSilence, at: both(during, hasCanary), strike: foreign(func(w *World) { w.editCanary(func(s *set) { s.run = "" }) })},
	{name: "edit-canary-owner", place: acting, spares: ownSilence, ends: leavesAdopted, at: both(during, hasCanary), strike: foreign(func(w *World) {
		w.fromZero = w.at.Add(reaction)
		w.editCanary(func(s *set) { s.ownerRun = "" })
	})},
	{name: "edit-partition-up", place: acting, ends: bypassUndone, at: both(ofStatefulSet, guardedStable), strike: foreign((*World).raisePartition)},
	{name: "edit-partition-down", place: acting, at: both(ofStatefulSet, during), strike: foreign((*World).lowerPartition)},
	{name: "edit-deployment-paused", place: acting, spares: ownSilence, ends: bypassUndone, at: both(ofDeployment, guardedStable), strike: foreign((*World).pauseDeployment)},
	{name: "edit-deployment-labels", place: acting, spares: ownSilence, at: guardedStable, strike: foreign(func(w *World) {
		w.deployment.marks, w.deployment.lock = v1alpha1.Marks{}, ""
		w.deployment.version++
	})},
	{name: "edit-lock", place: within, spares: ownSilence, at: both(ofDeployment, severalWrites), strike: foreign(func(w *World) {
		w.deployment.lock = ""
		w.deployment.version++
	})},
	{name: "edit-run-labels-away", place: acting, at: hasRuns, strike: foreign(func(w *World) { w.editRuns(func(run *v1alpha1.RolloutRun) { run.Labels = nil }) })},
	{name: "edit-run-labels-to-another", place: acting, at: hasRuns, strike: foreign(func(w *World) {
		w.editRuns(func(run *v1alpha1.RolloutRun) {
			run.Labels[v1alpha1.LabelRollout], run.Labels[v1alpha1.LabelRevision] = "other", first
		})
	})},
	{name: "edit-run-outcome-label", place: acting, at: hasRuns, strike: foreign(func(w *World) {
		w.editRuns(func(run *v1alpha1.RolloutRun) { run.Labels[v1alpha1.LabelOutcome] = string(cancelled) })
	})},
	{name: "edit-lock-to-another", place: acting, spares: ownSilence, at: both(ofDeployment, guardedStable), strike: foreign(func(w *World) {
		w.deployment.lock = "other-1"
		w.deployment.version++
	})},
	{name: "edit-stable-labels", place: acting, at: guardedStable, strike: foreign(func(w *World) {
		if s := w.stable(w.rollout.status.Stable.Revision); s != nil {
			s.marked = false
			s.version++
		}
	})},
	{name: "edit-rollout-steps", place: acting, strike: foreign(func(w *World) {
		w.spec.Steps = []v1alpha1.Step{{Weight: 20, Hold: duration(time.Minute)}, {Weight: 40, Hold: duration(30 * time.Second)}}
		w.rollout.version++
	})},
	{name: "edit-rollout-paused-2m", place: acting, spares: ownSilence, strike: foreign(func(w *World) {
		w.pauseRollout(true)
		w.later(2*time.Minute, func(w *World) { w.pauseRollout(false) })
	})},
	{name: "edit-finalizer", place: acting, spares: ownSilence, at: func(w Write) bool { return w.before.rollout.finalizer && w.before.rollout.deleting == nil }, strike: foreign(func(w *World) {
		w.rollout.finalizer = false
		w.rollout.version++
	})},
}

// racesOrOwnSilence also spares stories about a trigger or a deletion that comes at
// the handover: without its stable set a run promotes natively, and a trigger in a
// native promotion stops it and says what to declare (handover.md, section 1).
// Without that set nothing rolls either, for which some stories wait.
func racesOrOwnSilence(s Story) bool {
	waits := []string{"push-into-a-bypass", "bypass-twice-later", "native-trigger-fires", "native-bypass-then-scaled", "native-scaled", "native-superseded", "native-reverted"}
	return s.Or != "" || ownSilence(s) || slices.Contains(waits, s.Name)
}

// onlyTheRunKnows also spares runs whose Rollout has another spec.traffic by now: what
// they go by is in the run alone, which the guard lets nobody delete.
func onlyTheRunKnows(s Story) bool { return ownSilence(s) || s.changesTraffic }

// withoutStable: a Rollout that is deleted at the same time makes nothing new, so
// that the Deployment, which stays paused, may be left without pods.
func withoutStable(s Story) Story {
	if s.Phase == "" {
		s.Serves = ""
	}
	return s
}

// leavesAdopted: a Rollout that is deleted at the same time takes nothing back, so
// that the Deployment may be left with a second set. The guard refuses this edit.
func leavesAdopted(s Story) Story {
	if s.Phase == "" {
		s.Serves, s.Leaves = "", true
	}
	return s
}

// otherNewest: which set a Deployment takes from zero depends on which was made last,
// so that a wrong version may not serve at all.
func otherNewest(s Story) Story {
	if s.Stalls == v1alpha1.ReasonWrongVersionServes {
		s.Stalls = ""
	}
	return s
}

// bypassUndone: who pauses a Deployment undoes its bypass. The version waits for a
// run of its own.
func bypassUndone(s Story) Story {
	if s.Ended == v1alpha1.OutcomeBypassed {
		s.Ended = ""
	}
	return s
}

func writesRoute(split *int32) func(*World, late) error {
	return foreign(func(w *World) {
		w.routeEditedAt = w.at
		w.setRoute(distribution{split: split}, 0)
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

func ofStatefulSet(w Write) bool { return w.before.deployment.ordered }

func ofDeployment(w Write) bool { return !w.before.deployment.ordered }

func hasCanary(w Write) bool { return w.before.canary(w.before.rollout.status.Run) != nil }

func hasRuns(w Write) bool { return len(w.before.history.runs) > 0 }

func hasPair(w Write) bool { return w.before.network.declared != pair{} }

func isSplit(w Write) bool { return w.before.network.split != nil }

func hasMirror(w Write) bool { return w.before.network.mirror > 0 }

func hasTesters(w Write) bool { return w.before.network.testers != nil }

func isNarrowed(w Write) bool { return w.before.network.narrowed != "" }

func guardedStable(w Write) bool {
	s := w.before.rollout.status.Stable
	return s != nil && w.before.deployment.uid != 0 && w.before.deployment.marks.Rollout != "" && w.before.stable(s.Revision) != nil
}

// restorable is false while a version waits for its run and no run has stable's
// template (handover.md, section 2): nobody can make its ReplicaSet again, and what waits
// rolls out as soon as nothing has served for a minute.
func restorable(w Write) bool {
	s := w.before.rollout.status
	return !w.before.deployment.paused || pins(w.before.history.named(s.Run), s.Stable)
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
	if w.network.preview.exists {
		w.network.preview.version++
	}
	w.rollout.version++
}

// onCanary does something with the run's set, unless the decision has ended the run.
func (w *World) onCanary(do func(*set)) {
	if s := w.canary(w.rollout.status.Run); s != nil {
		do(s)
	}
}

func (w *World) editCanary(edit func(*set)) {
	w.onCanary(func(s *set) {
		edit(s)
		s.version++
	})
}

func (w *World) pauseRollout(paused bool) {
	w.spec.Paused = paused
	w.rollout.version++
}

// editRuns changes every run, in progress or not.
func (w *World) editRuns(edit func(*v1alpha1.RolloutRun)) {
	for _, run := range slices.Clone(w.history.runs) {
		next := run.DeepCopy()
		edit(next)
		w.history.put(next)
	}
}

// pauseDeployment is a person's, who resumes what rolled, with a bypass, two minutes
// later: that is what the message asks for.
func (w *World) pauseDeployment() {
	rolled := !w.deployment.paused
	w.specWrite(func() { w.deployment.paused = true })
	w.later(2*time.Minute, func(w *World) {
		if p := w.rollout.status.Promotion; rolled && w.deployment.paused && w.rollout.status.Phase == v1alpha1.PhaseHandingOver && p.Mode != v1alpha1.TakeOverHandOver {
			w.bypass(w.deployment.declared)
		}
	})
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
		w.setRoute(distribution{}, 0)
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
	w.history.remove(run)
	w.later(seconds(2), func(w *World) {
		if s := w.canary(run); s != nil && s.ownerRun == run {
			w.deleteSet(s.uid)
		}
	})
}
