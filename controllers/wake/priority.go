// Package wake maps events to Rollouts and their priority. It has the indexes, the event
// handlers and the priorities of all loops that reconcile Rollouts. The work for an event
// depends only on the Rollouts that it concerns, not on how many others there are.
package wake

import (
	"slices"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
)

// Priorities of a Rollout in a queue; a higher one is taken first.
const (
	// Urgent is a rollback, a handover, a deletion, a command or a fired trigger.
	Urgent = 100
	// Normal is a run in progress, a candidate that waits, and a change to an idle
	// Rollout.
	Normal = 0
	// Idle is an idle Rollout that is reconciled although nothing changed: the initial
	// list, a resync, a watchdog.
	Idle = handler.LowPriority
)

// Priority is how urgent a Rollout is by its own object. Return it as
// reconcile.Result.Priority from every reconcile: otherwise a reconcile that was requested
// with RequeueAfter keeps the priority of the one before it.
func Priority(rollout *v1alpha1.Rollout) int {
	switch {
	case rollout.DeletionTimestamp != nil,
		rollout.Status.Phase == v1alpha1.PhaseRollingBack,
		rollout.Status.Phase == v1alpha1.PhaseHandingOver,
		commanded(rollout):
		return Urgent
	case rollout.Status.Phase == "", rollout.Status.Phase == v1alpha1.PhaseGating, rollout.Status.Phase.InRun():
		return Normal
	default:
		return Idle
	}
}

// commanded reports whether a command waits to be handled. A trigger that has fired causes
// an event of the run instead.
func commanded(rollout *v1alpha1.Rollout) bool {
	return !rollout.Status.Handled(rollout.Annotations[v1alpha1.AnnotationActionToken])
}

// fired reports whether a run waits for its rollback: one of its triggers has fired and
// the run has no outcome. Metadata does not have the verdict, so every change of an
// unfinished run may be one.
func fired(object client.Object) bool {
	run, typed := object.(*v1alpha1.RolloutRun)
	if !typed {
		return object.GetLabels()[v1alpha1.LabelOutcome] == ""
	}
	if run.Status.Outcome != "" {
		return false
	}
	a := run.Status.Analysis
	return a != nil && a.Verdict == v1alpha1.VerdictFail ||
		slices.ContainsFunc(run.Status.Checks, func(c v1alpha1.CheckStatus) bool { return c.Outcome == v1alpha1.VerdictFail })
}

// Enqueue adds a Rollout to a queue with its priority. changed is set when something that
// the Rollout depends on has changed, which raises the priority of an idle one.
func Enqueue(q workqueue.TypedRateLimitingInterface[reconcile.Request], rollout *v1alpha1.Rollout, changed bool) {
	priority := Priority(rollout)
	if changed {
		priority = max(priority, Normal)
	}
	add(q, client.ObjectKeyFromObject(rollout), priority)
}

func add(q workqueue.TypedRateLimitingInterface[reconcile.Request], key client.ObjectKey, priority int) {
	request := reconcile.Request{NamespacedName: key}
	if pq, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		pq.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request)
		return
	}
	q.Add(request)
}
