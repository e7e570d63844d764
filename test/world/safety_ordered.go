package world

import (
	"belay.dev/belay/api/v1alpha1"
)

// What must hold of a StatefulSet, beside what holds of every workload.

// permittedPods is how many pods the candidate's step gives it: its share, one at least, and
// never all, as nothing leads back from there.
func (w *World) permittedPods() int32 {
	n := w.deployment.replicas
	if w.permitted == 0 || n == 0 {
		return 0
	}
	return max(1, min((w.permitted*n+99)/100, n-1))
}

// shaken is for a minute after somebody else has taken pods or changed the size.
func (w *World) shaken() bool { return w.at.Before(w.disturbedUntil) }

// startedFromZero is whether a version started because the StatefulSet was scaled to 0 while
// it was declared: Kubernetes then takes it for current, and no partition holds it.
func (w *World) startedFromZero(template string) bool {
	s := w.named(w.deployment.current)
	return w.fromZeroRuns != "" && template == w.fromZeroRuns && s != nil && s.template == template
}

// judgeOrdinalBirth: a pod is made of what was judged or let through, or of the candidate as
// long as its step gives it one more.
func (w *World) judgeOrdinalBirth(template string) {
	status := w.rollout.status
	if status.Stable == nil && status.Phase == "" || w.allowed[template] || w.startedFromZero(template) || w.shaken() {
		return
	}
	candidate := status.Candidate != nil && status.Candidate.Revision == template && status.Phase.InRun()
	has := w.running(template)
	if !candidate || has > w.permittedPods() {
		w.broken("the StatefulSet makes a pod of %s, its number %d, and %d are allowed", template, has, w.permittedPods())
	}
}

// running counts the pods of a version that are not terminating.
func (w *World) running(template string) int32 {
	return w.count(func(p pod) bool { return p.template == template && p.exists(w.at) && p.stays(w.at) })
}

// judgePartition: no partition that Belay writes gives an unjudged version more than its step.
func (w *World) judgePartition(partition int32) {
	d := &w.deployment
	if given := max(0, d.replicas-partition); !w.allowed[d.declared] && given > w.permittedPods() {
		w.broken("the partition %d gives %s %d pods, %d are allowed", partition, d.declared, given, w.permittedPods())
	}
}

// judgeReplacement: what Belay deletes comes back in another version, is no pod of stable while
// there is a way back, and leaves no more pods missing than the StatefulSet's own strategy
// allows. One that is not ready serves nobody.
func (w *World) judgeReplacement(taken []pod) {
	d := &w.deployment
	var serving int32
	for _, p := range taken {
		if p.hash == d.due(p.ordinal) {
			w.broken("pod %s is deleted, which runs %s as it should", podName(p.ordinal), p.template)
		}
		if stable := w.rollout.status.Stable; stable != nil && p.template == stable.Revision && !rollsByItself(w.rollout.status) {
			w.broken("pod %s is deleted, which runs the stable %s: %s comes in its place", podName(p.ordinal), p.template, d.due(p.ordinal))
		}
		serving += int32(truth(p.ready(w.at)))
	}
	ready := w.count(func(p pod) bool { return p.ready(w.at) && int32(p.ordinal) < d.replicas })
	if gone := d.replicas - ready + serving; serving > 0 && gone > w.maxUnavailable() && !w.shaken() {
		w.broken("%d pods that serve are deleted, and %d of %d would be missing: %d may", serving, gone, d.replicas, w.maxUnavailable())
	}
}

// judgeOrdinals: the partition gives the candidate no more than its step, and once a trigger
// has fired nothing.
func (w *World) judgeOrdinals() {
	d, status := &w.deployment, w.rollout.status
	if d.uid == 0 || w.shaken() || w.allowed[d.declared] || w.startedFromZero(d.declared) {
		return
	}
	given := max(0, d.replicas-d.partition)
	if status.Phase == v1alpha1.PhaseStepping && given > w.permittedPods() {
		w.broken("the partition %d gives the candidate %d pods, %d are allowed", d.partition, given, w.permittedPods())
	}
	fired := w.failing != "" && w.failing == status.Run && w.at.Sub(w.failedAt) >= reaction && !w.excused()
	if fired && given > 0 && (status.Phase.Armed() || status.Phase == v1alpha1.PhaseRollingBack) {
		w.broken("the partition %d still gives the candidate %d pods %s after a trigger fired", d.partition, given, w.at.Sub(w.failedAt))
	}
	if r := status.Rollback; status.Phase == v1alpha1.PhaseRollingBack && r != nil && r.ZeroAt != nil && w.running(status.Candidate.Revision) > 0 {
		w.broken("%d pods run the candidate, and the rollback counts on none", w.running(status.Candidate.Revision))
	}
}

// judgeOrdinalsAtRest: without a run all pods run the stable version, or what somebody let
// through.
func (w *World) judgeOrdinalsAtRest() {
	stable := w.rollout.status.Stable
	if stable == nil || w.excused() || w.rollout.status.Phase == v1alpha1.PhaseGating {
		return
	}
	for _, p := range w.placed(w.deployment.replicas) {
		if p.template != stable.Revision && !w.allowed[p.template] && !w.startedFromZero(p.template) {
			w.broken("no run is in progress, and pod %s runs %s", podName(p.ordinal), p.template)
		}
	}
}
