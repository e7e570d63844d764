package world

import (
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// declare writes the Deployment's template as the guard takes it from somebody
// without a bypass: held on a labelled Deployment, refused while it is locked.
func (w *World) declare(revision string) {
	d := &w.deployment
	if d.uid == 0 || d.declared == revision {
		return
	}
	if d.lock != "" {
		w.refusedPushes++
		w.script = append([]event{soon(10*time.Second, declares(revision))}, w.script...)
		return
	}
	w.specWrite(func() {
		d.declared, d.pushedBy = revision, "alice (kubectl)"
		if d.marks.Rollout != "" {
			d.hold()
		}
	})
	if d.marks.Rollout == "" {
		w.allow(revision)
	}
}

// bypass lets a version roll unjudged, by the command that the guard's denial
// prints: it first widens the Services that the labels name.
func (w *World) bypass(revision string) {
	d, n := &w.deployment, &w.network
	if d.uid == 0 {
		return
	}
	w.disturb()
	w.excuse(reaction)
	w.allow(revision)
	w.bypassed[revision] = true
	if d.marks.Run != "" && n.declared != (pair{}) {
		w.point(pair{everything, everything})
	}
	if d.marks.Narrowed != "" && n.narrowed != "" {
		w.narrow("", "kubectl")
	}
	w.specWrite(func() {
		d.bypass = plan.Bypass{By: "root (kubectl)", Reason: fmt.Sprintf("%d: hotfix", d.generation)}
		d.declared = revision
		d.release()
	})
}

// keep is a bypass of what the Deployment runs already: a reason, and nothing
// else in the write.
func (w *World) keep() {
	d := &w.deployment
	w.allow(d.declared)
	d.bypass = plan.Bypass{By: "root (kubectl)", Reason: fmt.Sprintf("%d: known and harmless", d.generation)}
	d.version++
}

// resize is a person's, or the autoscaler's.
func (w *World) resize(replicas int32) {
	d := &w.deployment
	if d.uid == 0 || d.replicas == replicas {
		return
	}
	w.disturb()
	if d.replicas == 0 {
		// Nothing is ready at once, and a held Deployment may begin with a set that
		// is not stable's.
		w.excuse(reaction + seconds(20))
		w.fromZero = w.at.Add(reaction)
		w.fromZeroRuns = d.declared
	}
	w.specWrite(func() { d.replicas = replicas })
}

// deleteDeployment takes its sets with it, unless they are orphaned.
func (w *World) deleteDeployment(orphan bool) {
	w.disturb()
	w.mayBeDown = true
	if orphan {
		for i := range w.sets {
			if s := &w.sets[i]; w.own(s) {
				s.owner = 0
				s.version++
			}
		}
	}
	kept := statefulSet{ordered: w.deployment.ordered, parallel: w.deployment.parallel, maxUnavailable: w.deployment.maxUnavailable}
	w.deployment = deployment{statefulSet: kept, version: w.deployment.version + 1, recreate: w.deployment.recreate, history: w.deployment.history, replicas: w.deployment.replicas}
}

// createDeployment makes it anew from somebody's manifest.
func (w *World) createDeployment(revision string) {
	w.disturb()
	w.excuse(reaction)
	w.allow(revision)
	w.born++
	d := &w.deployment
	d.uid, d.generation, d.declared = w.born, 1, revision
	d.version++
}

func (w *World) deleteRollout() {
	at := w.at
	w.rollout.deleting = &at
	w.rollout.version++
}

// changeTraffic edits the Rollout.
func (w *World) changeTraffic(traffic *v1alpha1.Traffic) {
	w.spec.Traffic = traffic
	w.rollout.version++
}

// failObserved lets the trigger in mode Observe fire.
func (w *World) failObserved() { w.slow = w.rollout.status.Run }

// blindObserved leaves that trigger without an answer for longer than its whenBlind allows.
func (w *World) blindObserved() { w.slowBlind = w.at.Add(-time.Hour) }

func (w *World) fail() { w.failing, w.failedAt = w.rollout.status.Run, w.at }

func (w *World) command(action v1alpha1.Action) {
	revision, step := "", ""
	if c := w.rollout.status.Candidate; c != nil && (action == v1alpha1.ActionRetry || action == v1alpha1.ActionPromote || action == v1alpha1.ActionOverrideFreeze || action.OfStep()) {
		revision = c.Revision
	}
	if s := w.rollout.status.Step; s != nil && action.OfStep() {
		step = fmt.Sprint(s.Index + 1)
	}
	w.rollout.action = &plan.Action{Action: action, Token: string(action) + step, Revision: revision, Step: step, By: "alice", Reason: "a test"}
	w.rollout.version++
}

// stripSelector is a server-side apply of the user's Service, which does not know
// the hash in its selector.
func (w *World) stripSelector() {
	w.disturb()
	w.excuse(reaction)
	w.narrow("", "helm")
}

// overwriteRoute is somebody's apply of the route as it was before the run.
func (w *World) overwriteRoute() {
	w.excuse(reaction)
	w.setRoute(distribution{}, 0)
}

// loseStable makes all pods of the stable version unready for a while.
func (w *World) loseStable() {
	w.disturb()
	w.mayBeDown = true
	for i := range w.pods {
		if p := &w.pods[i]; w.rollout.status.Stable != nil && p.template == w.rollout.status.Stable.Revision {
			p.readyAt = w.at.Add(seconds(300))
			p.endpointAt = p.readyAt
		}
	}
}
