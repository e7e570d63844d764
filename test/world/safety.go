package world

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// safety is what the judge of the world remembers. It looks at the world itself,
// at every instant, not at what the controller knows of it.
type safety struct {
	// allowed are the revisions that the Deployment may make pods of: adopted,
	// judged, bypassed, or let through while nothing served.
	allowed, bypassed map[string]bool
	// mayBeDown: the story itself takes all pods away.
	mayBeDown bool

	excusedUntil, mayBeDownUntil time.Time
	// disturbedRun had its size changed or pods lost: pods may be made in it.
	disturbedRun   string
	disturbedUntil time.Time
	// fromZero is until when a held Deployment may run a set that is not stable's.
	fromZero time.Time
	// fromZeroRuns is what a StatefulSet declared when it was scaled up from 0.
	fromZeroRuns string
	// permitted is the largest weight that the candidate may have, and stepsNow the step and the
	// one before, whose testers and copies go with the next write.
	permitted int32
	stepsNow  []v1alpha1.Step
	lastShare time.Time
	failedAt  time.Time
	// routeEditedAt is when somebody else last wrote the route.
	routeEditedAt time.Time
	// refusedPushes counts those that met the lock.
	refusedPushes int
	// ends are the outcomes of the runs, in order.
	ends []string
}

// reaction is how long the controller may take to notice, and the gateway to
// follow, at the worst: after a crash, without events, with an old view.
const reaction = Lease + 20*time.Second

func (w *World) allow(revision string) {
	if w.allowed == nil {
		w.allowed, w.bypassed = map[string]bool{}, map[string]bool{}
	}
	w.allowed[revision] = true
}

// excuse begins a time in which a side may be without pods, because of what a
// person did or the cluster lost.
func (w *World) excuse(d time.Duration) {
	if until := w.at.Add(d); until.After(w.excusedUntil) {
		w.excusedUntil = until
	}
}

// excused also holds when a deletion has waited as long as it may, and while nobody can
// change where requests go.
func (w *World) excused() bool {
	asked := w.rollout.deleting
	return w.at.Before(w.excusedUntil) || w.routesRefused || asked != nil && w.at.Sub(*asked) > releaseTimeout
}

// releaseTimeout is how long a deletion waits for an orderly release.
const releaseTimeout = 2 * time.Minute

// disturb marks the run in progress as one in which pods may be made.
func (w *World) disturb() {
	w.disturbedRun, w.disturbedUntil = w.rollout.status.Run, w.at.Add(time.Minute)
	w.excuse(reaction)
}

func (w *World) disturbed() bool {
	return w.at.Before(w.disturbedUntil) || w.disturbedRun != "" && w.disturbedRun == w.rollout.status.Run
}

// judge looks at the whole world at one instant.
func (w *World) judge() {
	w.judgeService()
	for _, may := range w.network.inFlight {
		w.judgeSplit(may)
		w.judgeExtra(may)
	}
	w.judgeReaction()
	if w.deployment.ordered {
		w.judgeOrdinals()
	} else {
		w.judgePods()
	}
	switch w.rollout.status.Phase {
	case v1alpha1.PhaseStable, v1alpha1.PhaseRolledBack, v1alpha1.PhaseGating:
		w.judgeRest()
	case v1alpha1.PhaseRollingBack:
		if r := w.rollout.status.Rollback; r != nil && r.ZeroAt != nil {
			w.judgeRejected(false)
		}
	}
}

// judgeService: as many pods serve as the Deployment's own strategy keeps.
func (w *World) judgeService() {
	ready := max(w.endpoints(""), w.count(func(p pod) bool { return p.ready(w.at) }))
	least := w.deployment.replicas - w.maxUnavailable()
	if ready < least && !w.mayBeDown && !w.at.Before(w.mayBeDownUntil) && !w.excused() && !w.disturbed() {
		w.broken("%d pods serve, %d at least should", ready, least)
	}
}

// judgeSplit: whichever of the splits in flight the gateway follows, it reaches a
// ready pod, as long as there is one anywhere; and the candidate has no more than
// its step allows.
func (w *World) judgeSplit(may distribution) {
	if w.network.routeGone {
		return
	}
	split := may.split
	now := w.network.pairNow(w.at)
	if split == nil {
		if w.behindService() == 0 && w.endpoints("") > 0 && !w.excused() {
			w.broken("the user's Service selects no ready pod, and others are ready")
		}
		return
	}
	if may.sends() {
		w.lastShare = w.at
	}
	if w.endpoints("") == 0 || w.excused() {
		return
	}
	if w.unheard && !may.same(w.network.distribution) && (w.disturbed() || w.mayBeDown) {
		// What Belay has written since, and the gateway does not follow, helps nobody.
		return
	}
	// A bypass ends whatever the gateway follows.
	bypassed := len(w.ends) > 0 && w.ends[len(w.ends)-1] == string(v1alpha1.OutcomeBypassed) && !w.rollout.status.Phase.InRun() && w.network.split == nil
	if *split > w.permitted && !bypassed {
		w.broken("%d %% go to the candidate, %d %% are allowed", *split, w.permitted)
	}
	if *split > 0 && w.side(now.canary) == 0 {
		w.broken("%d %% go to a canary without endpoints", *split)
	}
	// Nothing is to serve once somebody has scaled the Deployment to 0.
	if *split < 100 && w.side(now.stable) == 0 && (w.deployment.uid == 0 || w.deployment.replicas > 0) {
		w.broken("%d %% go to a stable side without endpoints", 100-*split)
	}
}

// judgeExtra: nobody is sent to the candidate as a tester, and nothing copied to it, unless a
// step names it, and nothing to a candidate without pods.
func (w *World) judgeExtra(may distribution) {
	unheard := w.unheard && !may.same(w.network.distribution) && (w.disturbed() || w.mayBeDown)
	if may.testers == nil && may.mirror == 0 || w.network.routeGone || w.excused() || unheard {
		return
	}
	named := slices.ContainsFunc(w.stepsNow, func(s v1alpha1.Step) bool {
		return equality.Semantic.DeepEqual(s.Match, may.testers) && s.Mirror == may.mirror
	})
	if !named {
		w.broken("%s reach the candidate, which neither the step names nor the one before", may.beside())
	}
	if w.endpoints("") > 0 && w.side(w.network.pairNow(w.at).canary) == 0 {
		w.broken("%s go to a canary without endpoints", may.beside())
	}
	if may.mirror > 0 && may.split != nil && *may.split > 0 {
		w.broken("%d %% of the requests go to the candidate, and copies of %d %% too", *may.split, may.mirror)
	}
}

// judgeReaction: a trigger that fires takes the requests away at once, however
// silent the gateway and however sick the pods are.
func (w *World) judgeReaction() {
	status := w.rollout.status
	if w.failing == "" || w.failing != status.Run || w.at.Sub(w.failedAt) < reaction || w.excused() {
		return
	}
	if w.network.sends() && (status.Phase.Armed() || status.Phase == v1alpha1.PhaseRollingBack) && w.side(w.network.declared.stable) > 0 {
		w.broken("%d %% and %s still go to the candidate %s after a trigger fired", *w.network.split, w.network.beside(), w.at.Sub(w.failedAt))
	}
}

// judgeRest: without a run the world is as it was before the first one.
func (w *World) judgeRest() {
	w.judgeRejected(true)
	w.judgePreview()
	if w.deployment.ordered {
		w.judgeOrdinalsAtRest()
	}
	n := &w.network
	if n.split != nil && !w.excused() {
		w.broken("no run is in progress, and the route is split")
	}
	if n.narrowed != "" {
		w.broken("no run is in progress, and the Service is narrowed to %s", n.narrowed)
	}
	if w.rollout.status.Phase == v1alpha1.PhaseGating {
		return
	}
	for i := range w.sets {
		if s := &w.sets[i]; s.ownerRun != "" && !w.excused() {
			w.broken("no run is in progress, and ReplicaSet %s of run %s is left", s.name, s.ownerRun)
		}
	}
}

// judgeRejected: nobody who uses the route reaches a rejected revision. Leaving
// also allows pods that their ReplicaSet no longer wants.
func (w *World) judgeRejected(leaving bool) {
	if w.network.split != nil || len(w.network.inFlight) > 1 || w.excused() {
		return
	}
	for _, r := range w.rollout.status.Rejected {
		reached := w.count(func(p pod) bool {
			wanted := w.find(func(s *set) bool { return s.uid == p.set && s.size > 0 }) != nil
			return p.template == r.Revision && p.endpoint(w.at) && p.stays(w.at) && (wanted || !leaving)
		})
		if reached > 0 && !w.bypassed[r.Revision] {
			w.broken("rejected revision %s serves with %d pods", r.Revision, reached)
		}
	}
}

// judgeBirth: pods are made of judged versions only, and none by a handover or
// a rollback.
func (w *World) judgeBirth(s *set) {
	if w.deployment.ordered {
		w.judgeOrdinalBirth(s.template)
		return
	}
	status := w.rollout.status
	if status.Stable == nil && status.Phase == "" || !w.own(s) {
		return
	}
	if !w.allowed[s.template] && w.at.After(w.fromZero) {
		w.broken("the Deployment makes a pod of %s, which nobody judged or let through", s.template)
	}
	if w.disturbed() {
		return
	}
	p := status.Promotion
	handing := status.Phase == v1alpha1.PhaseHandingOver && p != nil && p.Mode == v1alpha1.TakeOverHandOver
	if handing || status.Phase.Armed() || status.Phase == v1alpha1.PhaseRollingBack && (p == nil || p.Mode == v1alpha1.TakeOverHandOver) {
		w.broken("ReplicaSet %s makes a pod in phase %s, where no pod is to be replaced", s.name, status.Phase)
	}
}

// judgeRemoval: pods go only once no request can reach them by the route's split,
// and none has for the drain time. Behind the user's Service they go like any
// other pod.
func (w *World) judgeRemoval(s *set) {
	if w.network.routeGone || w.network.split == nil && len(w.network.inFlight) == 1 {
		return
	}
	if idle := w.at.Sub(w.lastShare); w.readyOf(s) > 0 && idle < w.traffic().Drain.Duration {
		w.broken("the canary goes %s after its last request could arrive, drain is %s", idle, w.traffic().Drain.Duration)
	}
}

// judgeHandOver: as soon as the owner changes the stable pods go, so no request
// may come to them any more.
func (w *World) judgeHandOver(s *set, e plan.HandOver) {
	if !w.allowed[s.template] {
		w.broken("%s is handed over unjudged", s.template)
	}
	if e.Native || w.traffic() == nil {
		return
	}
	// No look could see what was written between it and the handover.
	for _, may := range w.network.inFlight {
		split := may.split
		narrowed := split == nil && w.network.narrowedAt(w.at) == s.hash
		if !narrowed && (split == nil || *split != 100) && !w.at.Equal(w.routeEditedAt) {
			w.broken("the owner changes while stable pods take requests")
		}
	}
	if ready := w.availableOf(s); ready < w.deployment.replicas && !w.disturbed() {
		w.broken("the owner changes with %d of %d pods available", ready, w.deployment.replicas)
	}
}

func (w *World) judgeUnpause(revision string) {
	if !w.allowed[revision] {
		w.broken("the Deployment is unpaused at %s, which nobody judged or let through", revision)
	}
}

// judgeRecord follows the run: what the candidate may have, and which versions
// are judged.
func (w *World) judgeRecord(in plan.Input, d plan.Decision) {
	was, is := in.Status.Phase, d.Status.Phase
	switch is {
	case v1alpha1.PhaseStepping:
		w.permitted, w.stepsNow = 0, nil
		if s := d.Status.Step; s != nil && int(s.Index) < len(in.Spec.Steps) {
			w.permitted = in.Spec.Steps[s.Index].Weight
			w.stepsNow = in.Spec.Steps[max(0, s.Index-1) : s.Index+1]
		}
	case v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
		w.permitted = 100
	case v1alpha1.PhaseStable, v1alpha1.PhaseRolledBack, v1alpha1.PhaseGating:
		w.permitted, w.stepsNow = 0, nil
	}
	if p := d.Status.Promotion; is == v1alpha1.PhaseHandingOver && p != nil && d.Status.Candidate != nil {
		w.judgeTakeOver(in, was, p.Mode, d.Status.Candidate.Revision)
	}
	if d.Finished != nil {
		w.ends = append(w.ends, string(d.Finished.Outcome))
	}
}

func (w *World) judgeTakeOver(in plan.Input, was v1alpha1.Phase, mode v1alpha1.TakeOver, revision string) {
	switch mode {
	case v1alpha1.TakeOverHandOver, v1alpha1.TakeOverNative:
		if was != v1alpha1.PhaseHandingOver && w.failing == in.Status.Run && w.failing != "" && w.at.Sub(w.failedAt) > reaction {
			w.broken("%s is promoted although a trigger fired", revision)
		}
		if was == v1alpha1.PhaseStepping || was == v1alpha1.PhaseBaking {
			w.allow(revision)
		}
	case v1alpha1.TakeOverUnserved:
		former := in.Run.Former
		if stable := in.Status.Stable; was != v1alpha1.PhaseHandingOver && stable != nil && w.readyWith(stable.Revision) > 0 && !former {
			w.broken("%s rolls unjudged while %s serves", revision, stable.Revision)
		}
		w.allow(revision)
	}
}
