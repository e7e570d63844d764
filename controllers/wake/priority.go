// Package wake says which Rollouts an event concerns and how urgent they are. It
// holds the indexes, the event handlers and the priorities of every loop that
// works on Rollouts. An event costs as much as the Rollouts it concerns, however
// many others there are.
package wake

import (
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
	// Normal is a run in progress, a candidate that waits, and a change to a
	// Rollout that was idle.
	Normal = 0
	// Idle is an idle Rollout that is looked at again although nothing changed: the
	// initial list, a resync, a watchdog.
	Idle = handler.LowPriority
)

// Priority is how urgent a Rollout is by what its own object says. Return it as
// reconcile.Result.Priority from every reconcile: otherwise a look that was asked
// for with RequeueAfter keeps the priority of the look before it.
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

// commanded reports whether a command waits to be handled. A fired trigger that
// is not yet acted on comes as an event of its run instead.
func commanded(rollout *v1alpha1.Rollout) bool {
	return !rollout.Status.Handled(rollout.Annotations[v1alpha1.AnnotationActionToken])
}

// fired reports whether a run waits for its rollback: a trigger of it has fired
// and the run has no outcome. Whoever watches runs as metadata does not see the
// verdict; then every change of an unfinished run may be one.
func fired(object client.Object) bool {
	run, typed := object.(*v1alpha1.RolloutRun)
	if !typed {
		return object.GetLabels()[v1alpha1.LabelOutcome] == ""
	}
	a := run.Status.Analysis
	return run.Status.Outcome == "" && a != nil && a.Verdict == v1alpha1.VerdictFail
}

// Enqueue adds a Rollout to a queue by its priority. Of an idle one, changed says
// that something it depends on is not as it was.
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
