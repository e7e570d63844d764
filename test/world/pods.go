package world

import (
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// Rollouts without traffic: nobody writes a route, and the number of ready pods is
// the weight of each side.

func replicaWeighted(w *World) { w.spec.Traffic = nil }

// pods is what observing the ReplicaSets gives where no route is named.
func (v view) pods() plan.Route {
	out, c, sides := plan.Route{Acknowledged: true, PairCurrent: true}, v.sets, v.sides(v.rollout.rollout.status)
	if v.deployment.deployment.uid == 0 {
		return out
	}
	for i := range c.sets {
		ready := c.readyOf(&c.sets[i])
		out.ServiceEndpoints += ready
		switch c.sets[i].hash {
		case sides.stable:
			out.StableEndpoints += ready
		case sides.canary:
			out.CanaryEndpoints += ready
		}
	}
	out.CanaryShare = out.CanaryEndpoints
	return out
}

// judgePods: the canary has no more pods than its step allows, none once a trigger
// has fired, and goes only when others serve.
func (w *World) judgePods() {
	status := w.rollout.status
	s := w.canary(status.Run)
	if w.traffic() != nil || s == nil || w.own(s) || w.excused() || w.disturbed() {
		return
	}
	if status.Phase == v1alpha1.PhaseStepping && s.size > w.podsFor(w.permitted) {
		w.broken("the canary has %d pods beside %d, %d %% are allowed", s.size, w.deployment.replicas, w.permitted)
	}
	fired := w.failing != "" && w.failing == status.Run && w.at.Sub(w.failedAt) >= reaction
	if fired && s.size > 0 && (status.Phase.Armed() || status.Phase == v1alpha1.PhaseRollingBack) && w.stable(first) != nil && w.readyOf(w.stable(first)) > 0 {
		w.broken("%d canary pods are still wanted %s after a trigger fired", s.size, w.at.Sub(w.failedAt))
	}
	if r := status.Rollback; status.Phase == v1alpha1.PhaseRollingBack && r != nil && r.ZeroAt != nil && w.podsOf(s) > 0 {
		w.broken("%d canary pods take requests, and the rollback counts on none", w.podsOf(s))
	}
}

// podsFor is the smallest number of pods, one at least, that have the weight beside
// the Deployment's.
func (w *World) podsFor(weight int32) int32 {
	n := int32(1)
	for n*(100-weight) < weight*w.deployment.replicas {
		n++
	}
	return n
}

// writesRoutes is whether an effect is about routes or Services.
func writesRoutes(effect plan.Effect) bool {
	switch effect.(type) {
	case plan.SetSplit, plan.ReleaseRoute, plan.NarrowService, plan.PointServices, plan.PointPreview, plan.RemovePreview:
		return true
	}
	return false
}

// byPods are stories without traffic.
func byPods() []Story {
	promote := story("pods", second, promoted, script())
	fail := (*World).fail
	inStep := rejection("pods-rollback-in-step", script(event{atStep(1), fail}))
	inBake := rejection("pods-rollback-in-bake", script(event{baking, fail}))
	step := stage{name: "step", at: atStep(1)}
	all := []Story{
		promote, inStep, inBake,
		promote.named("pods-one-replica").with(replicas(1)),
		inBake.named("pods-one-replica-rolled-back").with(replicas(1)),
		promote.named("pods-many-replicas").with(replicas(40)),
		promote.named("pods-recreate").with(recreate),
		promote.named("pods-native").with(native),
		promote.named("pods-fast-revert").scripted(script(event{promotedOnce, declares(first)})).serving(first),
		promote.named("pods-scaled-down").scripted(script(event{atStep(1), resizes(2)})),
		promote.named("pods-scaled-up").scripted(script(event{atStep(0), resizes(9)})),
		promote.named("pods-to-zero-and-back").scripted(step.inStage(resizes(0), soon(3*time.Minute, resizes(4)))).with(mayBeDown),
		inStep.named("pods-scaled-down-going-back").scripted(script(event{atStep(1), fail}, event{goingBack, resizes(2)})),
		rejection("pods-rollback-before-the-owner-changes", script(event{beforeOwner, fail})),
		rejection("pods-trigger-fires-at-the-handover", script(event{beforeOwner, func(w *World) { w.hooks["locked"] = (*World).fail }})).orPromotes(),
		promote.named("pods-canary-lost").scripted(script(event{atStep(1), (*World).loseCanary})),
		promote.named("pods-canary-lost-in-bake").scripted(script(event{baking, (*World).loseCanary})),
		promote.named("pods-stable-pod-lost").scripted(script(event{atStep(1), func(w *World) { w.losePod(first) }})),
		promote.named("pods-superseded").scripted(step.inStage(declares(third))).serving(third),
		story("pods-cancelled", first, "", step.inStage(declares(first))),
		story("pods-bypassed", second, v1alpha1.OutcomeBypassed, step.inStage(bypasses(second))),
		deletion("pods-deleted-in-a-step", step),
		deletion("pods-deleted-in-the-bake", stage{name: "bake", at: baking}),
		promote.named("pods-wave-withdrawn").scripted(script(event{atStep(0), unready(second)}, soon(15*time.Minute, unready()))),
	}
	for i := range all {
		all[i] = all[i].with(replicaWeighted)
	}
	return all
}

func (s Story) serving(revision string) Story { s.Serves = revision; return s }
