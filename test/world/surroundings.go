package world

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// sizes change the number of replicas in the middle of a run.
func sizes() []Story {
	var all []Story
	for _, s := range stages() {
		end := func(name string, events func() []event) Story {
			if s.goesBack() {
				return rejection(name, events)
			}
			return story(name, second, promoted, events)
		}
		all = append(all,
			end("scale-up/"+s.name, s.inStage(resizes(9))),
			end("scale-down/"+s.name, s.inStage(resizes(2))),
			end("scale-to-zero/"+s.name, s.inStage(resizes(0), soon(3*time.Minute, resizes(4)))).with(mayBeDown),
			end("scale-to-zero-recreate/"+s.name, s.inStage(resizes(0), soon(3*time.Minute, resizes(4)))).with(recreate).with(mayBeDown),
		)
	}
	for limit, name := range []string{"no-history", "short-history"} {
		limit := int32(limit)
		all = append(all,
			story(name+"-at-zero", second, promoted, script(event{held, resizes(0)}, soon(3*time.Minute, resizes(4)))).with(history(limit)).with(mayBeDown),
			rejection(name+"-rolled-back-at-zero", script(event{atStep(1), (*World).fail}, event{rolledBack, resizes(0)}, soon(3*time.Minute, resizes(4)))).with(history(limit)).with(mayBeDown))
	}
	all = append(all, fromZero()...)
	race := func(at string, n int32) func() []event {
		return script(event{beforeOwner, func(w *World) { w.hooks[at] = resizes(n) }})
	}
	for _, at := range []string{"locked", "handed"} {
		for _, n := range []int32{8, 2, 0} {
			s := story(fmt.Sprintf("race-to-%d/%s", n, at), second, promoted, race(at, n))
			if n == 0 {
				s = story(s.Name, second, promoted, func() []event { return append(race(at, n)(), soon(3*time.Minute, resizes(4))) }).with(mayBeDown)
			}
			all = append(all, s, s.named(s.Name+"-recreate").with(recreate))
		}
	}
	flapping := story("sizes-never-rest", second, promoted, func() []event {
		events := []event{push, {beforeOwner, resizes(5)}}
		for i := range 500 {
			events = append(events, soon(10*time.Second, resizes(4+int32(i%2))))
		}
		return events
	}).with(func(w *World) { w.spec.StepDeadline = duration(20 * time.Minute); w.mayBeDown = false })
	return append(all, flapping)
}

// fromZero are Deployments that are scaled to 0 and back while a version is held.
// The Deployment controller then scales up the declared template's set, or the
// newest it has, and either may not be what is to serve.
func fromZero() []Story {
	upAndDown := []event{{held, resizes(0)}, soon(3*time.Minute, resizes(4))}
	newest := func() []event {
		return append(script(event{promotedOnce, declares(first)}, event{ended(2), declares(third)})(), upAndDown...)
	}
	declared := func() []event {
		return append(revertToOlder(), upAndDown...)
	}
	return []Story{
		story("wrong-version-from-zero", third, promoted, newest).with(mayBeDown).stalling(v1alpha1.ReasonWrongVersionServes),
		story("held-version-from-zero", first, promoted, declared).with(mayBeDown).stalling(v1alpha1.ReasonWrongVersionServes),
	}
}

// natives leave the promotion to the Deployment's own strategy.
func natives() []Story {
	promote := story("native", second, promoted, script()).with(native)
	failing := story("native-trigger-fires", first, v1alpha1.OutcomeRolledBack, script(event{rolling, (*World).fail}, event{stalled(v1alpha1.ReasonTriggerFired), declares(first)})).with(native).stalling(v1alpha1.ReasonTriggerFired)
	failing.Rejects = second
	kept := story("native-bypass-once-settled", second, v1alpha1.OutcomeBypassed, script(event{settled, (*World).fail}, event{stalled(v1alpha1.ReasonTriggerFired), (*World).keep})).
		with(native).stalling(v1alpha1.ReasonTriggerFired)
	// What was a bypass once says nothing of a later trigger.
	again := story("native-bypass-of-old", third, v1alpha1.OutcomeBypassed, script(
		event{atStep(0), bypasses(second)}, event{promotedOnce, declares(third)}, event{settled, (*World).fail}, event{stalled(v1alpha1.ReasonTriggerFired), nothing}, soon(10*time.Minute, (*World).keep))).
		with(native).stalling(v1alpha1.ReasonTriggerFired)
	return []Story{
		promote, failing, kept, again,
		kept.named("native-bypass-then-scaled").scripted(script(event{rolling, (*World).fail}, event{stalled(v1alpha1.ReasonTriggerFired), func(w *World) {
			w.bypass(second)
			w.resize(6)
		}})),
		promote.named("native-recreate").with(recreate).with(mayBeDown),
		promote.named("native-gateway-silent").scripted(script(event{func(w *World) bool { return inPhase(v1alpha1.PhaseHandingOver)(w) }, (*World).silenceGateway},
			event{stalled(v1alpha1.ReasonDeadlineExceeded), (*World).speakGateway})).stalling(v1alpha1.ReasonDeadlineExceeded).silent(),
		promote.named("native-one-replica").with(replicas(1)),
		promote.named("native-scaled").scripted(script(event{rolling, resizes(9)})),
		promote.named("native-direct-callers").with(directCallers),
		story("native-superseded", third, promoted, script(event{rolling, declares(third)})).with(native),
		story("admission-changes-the-canary", second, promoted, script()).with(func(w *World) { w.admission = true }),
		story("native-reverted", first, "", script(event{rolling, declares(first)})).with(native),
	}
}

func nothing(*World) {}

// changesOfTraffic add or remove spec.traffic: between two runs the next one goes by the
// new one, and a run in progress goes on by what it started with.
func changesOfTraffic() []Story {
	next := func(at func(*World) bool, change func(*World)) func() []event {
		return script(event{at, change}, event{promotedOnce, declares(third)})
	}
	added := func(w *World) {
		w.changeTraffic(&v1alpha1.Traffic{Service: "shop", DirectCallers: v1alpha1.DirectCallersAny, Drain: duration(seconds(5))})
	}
	removed := func(w *World) { w.changeTraffic(nil) }
	all := []Story{
		story("traffic-removed-while-idle", third, promoted, next(promotedOnce, removed)),
		story("traffic-removed-in-a-run", third, promoted, next(atStep(1), removed)),
		story("traffic-added-while-idle", third, promoted, next(promotedOnce, added)).with(replicaWeighted),
		story("traffic-added-in-a-run", third, promoted, next(atStep(1), added)).with(replicaWeighted),
	}
	for i := range all {
		all[i].changesTraffic = true
	}
	return all
}

// neighbours are the quotas and other controllers of a cluster.
func neighbours() []Story {
	return []Story{
		story("sets-refused", second, promoted, script(event{stalled(v1alpha1.ReasonRefused), func(w *World) { w.setsRefused = false }})).
			with(func(w *World) { w.setsRefused = true }).stalling(v1alpha1.ReasonRefused),
		rejection("no-room-for-the-canary", script(event{stalled(v1alpha1.ReasonDeadlineExceeded), commands(v1alpha1.ActionAbort)})).
			with(func(w *World) { w.quota = 4 }).stalling(v1alpha1.ReasonDeadlineExceeded),
		rejection("no-room-for-twice-the-pods", script(event{stalled(v1alpha1.ReasonDeadlineExceeded), commands(v1alpha1.ActionAbort)})).
			with(func(w *World) { w.quota = 6 }).stalling(v1alpha1.ReasonDeadlineExceeded),
		story("wave-withdrawn", second, promoted, script(event{atStep(1), unready(second)}, soon(15*time.Minute, unready()))),
		story("wave-withdrawn-and-scaled", second, promoted, script(
			event{atStep(0), unready(second)}, soon(16*time.Minute, resizes(8)), soon(20*time.Minute, unready()))),
	}
}

// unready keeps the pods that are made from now on of these versions from ever
// becoming ready: no node has what they ask for. Without a version it ends that.
func unready(revisions ...string) func(*World) {
	return func(w *World) {
		w.neverReady = revisions
		for i := range w.pods {
			if p := &w.pods[i]; len(revisions) == 0 && p.readyAt.Sub(w.at) > limitTime {
				p.readyAt, p.endpointAt = w.at.Add(seconds(5)), w.at.Add(seconds(5))
			}
		}
	}
}

// formers find a run of the first edition in progress.
func formers() []Story {
	anew := func(name string, become func(*World)) Story {
		return story(name, second, promoted, func() []event {
			return []event{{when: always, do: become}}
		})
	}
	return []Story{
		anew("former-step", (*World).becomeFormerStep),
		anew("former-promotion", (*World).becomeFormerPromotion),
		anew("former-bake", (*World).becomeFormerBake),
		// The trigger of the run that is taken over fires; that of the next one does not.
		story("upgrade-in-bake", second, promoted, script(event{baking, func(w *World) {
			w.formerRun = w.rollout.status.Run
			w.fail()
		}})),
	}
}

// becomeFormer puts the world where the first edition of Belay had left it: a
// canary with labels of its own, and no label on the Deployment.
func (w *World) becomeFormer(phase v1alpha1.Phase, size, weight int32) *v1alpha1.RolloutStatus {
	d, run := &w.deployment, "shop-bbbbbbbbbb-1"
	w.formerRun = run
	w.rollout.finalizer = true
	w.rollout.version++
	d.declared, d.paused = second, true
	d.version++
	d.generation++
	s := w.createSet(set{name: "shop-canary", template: second, hash: "former-canary", ownerRun: run, run: run, former: true, size: size, desired: -1, limit: -1})
	for range size {
		w.createPod(s)
		p := &w.pods[len(w.pods)-1]
		p.readyAt, p.endpointAt = w.at, w.at
	}
	n := &w.network
	n.before = pair{formerStable, "former-canary"}
	n.declared = n.before
	n.split, n.inFlight = &weight, []distribution{{split: &weight}}
	w.permitted = 100
	at := metav1.NewTime(w.at)
	serving, tried := revision(first), revision(second)
	serving.PodTemplateHash, serving.ReplicaSet = "hash-"+first, "shop-hash-"+first
	status := &v1alpha1.RolloutStatus{
		Phase: phase, Stable: &serving, Candidate: &tried, Run: run, Runs: 1, RunStartedAt: &at, Epoch: 1,
		Step: &v1alpha1.StepStatus{Index: 1, EnteredAt: at, AcknowledgedAt: &at},
	}
	w.createRun(w.spec.Traffic, w.stable(first), status)
	return status
}

func (w *World) becomeFormerStep() {
	w.rollout.status = w.becomeFormer(v1alpha1.PhaseStepping, 2, 50)
}

// becomeFormerPromotion: the Deployment already replaces its pods.
func (w *World) becomeFormerPromotion() {
	status := w.becomeFormer(v1alpha1.PhasePromoting, 4, 100)
	at := metav1.NewTime(w.at)
	status.Promotion = &v1alpha1.PromotionStatus{StartedAt: at, FullAt: &at}
	w.rollout.status = status
	w.deployment.paused = false
	w.allow(second)
	w.disturb()
}

// becomeFormerBake: the Deployment has replaced its pods, and they serve.
func (w *World) becomeFormerBake() {
	w.becomeFormerPromotion()
	n := &w.network
	none := int32(0)
	n.split, n.inFlight = &none, []distribution{{split: &none}}
	w.rollout.status.Phase = v1alpha1.PhaseBaking
	for i := range w.sets {
		if s := &w.sets[i]; w.own(s) {
			s.template, s.hash, s.name = second, "hash-"+second, "shop-hash-"+second
		}
	}
	for i := range w.pods {
		if p := &w.pods[i]; p.run == "" {
			p.template, p.hash = second, "hash-"+second
		}
	}
}
