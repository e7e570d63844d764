package wake

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// found is a Rollout that an event concerns.
type found struct {
	rollout *v1alpha1.Rollout
	// urgent is set when the event's object, not the Rollout itself, makes it urgent.
	urgent bool
}

// mapping finds the Rollouts that an object concerns.
type mapping func(ctx context.Context, o client.Object) ([]found, error)

// Self enqueues a Rollout for its own events. It replaces For: use it with Named and
// Watches. A deleted Rollout is enqueued too, so that what is kept about it can be
// dropped.
func Self() handler.EventHandler {
	return mapped(func(_ context.Context, o client.Object) ([]found, error) {
		rollout, ok := o.(*v1alpha1.Rollout)
		if !ok {
			return nil, nil
		}
		return []found{{rollout: rollout}}, nil
	})
}

// RunOfRollout enqueues the run that a Rollout has in progress.
func RunOfRollout() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		rollout, ok := o.(*v1alpha1.Rollout)
		if !ok || rollout.Status.Run == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: rollout.Namespace, Name: rollout.Status.Run}}}
	})
}

// RolloutsByWorkload enqueues the Rollouts of a Deployment or StatefulSet.
func RolloutsByWorkload(c client.Reader) handler.EventHandler {
	return indexed(c, ByWorkload, func(o client.Object) string {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if _, typed := o.(*appsv1.StatefulSet); typed {
			// Typed objects in a cache have no kind.
			kind = v1alpha1.KindStatefulSet
		}
		return WorkloadKey(kind, o.GetName())
	})
}

// RolloutsByPod enqueues the Rollouts of the StatefulSet that controls a pod, or a
// ControllerRevision.
func RolloutsByPod(c client.Reader) handler.EventHandler {
	return indexed(c, ByWorkload, func(o client.Object) string {
		owner := metav1.GetControllerOfNoCopy(o)
		if owner == nil || owner.Kind != v1alpha1.KindStatefulSet {
			return ""
		}
		return WorkloadKey(owner.Kind, owner.Name)
	})
}

// RolloutsByAutoscaler enqueues the Rollouts of the workload that an autoscaler targets.
func RolloutsByAutoscaler(c client.Reader) handler.EventHandler {
	return indexed(c, ByWorkload, target)
}

// AutoscalerChanged passes changes of an autoscaler's spec only: its status changes with
// every sync.
func AutoscalerChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler)
		now, both := e.ObjectNew.(*autoscalingv2.HorizontalPodAutoscaler)
		return !ok || !both || !equality.Semantic.DeepEqual(before.Spec, now.Spec)
	}}
}

// RolloutsByService enqueues the Rollouts that use a Service, or the Service of an
// EndpointSlice.
func RolloutsByService(c client.Reader) handler.EventHandler {
	return indexed(c, ByService, func(o client.Object) string {
		if _, ok := o.(*discoveryv1.EndpointSlice); ok {
			return o.GetLabels()[discoveryv1.LabelServiceName]
		}
		return o.GetName()
	})
}

// RolloutsByRoute enqueues the Rollouts that refer to a route of this kind: HTTPRoute or
// GRPCRoute.
func RolloutsByRoute(c client.Reader, kind string) handler.EventHandler {
	return indexed(c, ByRoute, func(o client.Object) string { return RouteKey(kind, o.GetName()) })
}

// RolloutsByGuardrail enqueues the Rollouts that refer to a Guardrail.
func RolloutsByGuardrail(c client.Reader) handler.EventHandler {
	return indexed(c, ByGuardrail, client.Object.GetName)
}

// GuardrailChanged passes changes of a Guardrail's spec, of whether it can be used, and of its
// warnings: what its indicators see changes at every probe.
func GuardrailChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.Guardrail)
		now, both := e.ObjectNew.(*v1alpha1.Guardrail)
		return !ok || !both || before.Generation != now.Generation || !before.DeletionTimestamp.Equal(now.DeletionTimestamp) || checked(before) != checked(now) ||
			!equality.Semantic.DeepEqual(before.Status.Exclusions, now.Status.Exclusions)
	}}
}

// checkedSpec is which generation was checked, and the result.
type checkedSpec struct {
	generation      int64
	reason, message string
}

func checked(g *v1alpha1.Guardrail) checkedSpec {
	c := checkedSpec{generation: g.Status.ObservedGeneration}
	if ready := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.Reason == v1alpha1.ReasonInvalidSpec {
		c.reason, c.message = ready.Reason, ready.Message
	}
	return c
}

// RolloutsOfFreeze enqueues the Rollouts that a Freeze or ClusterFreeze may be for and that have
// a candidate, when its spec was written: those of its namespace, or all. Which of them it
// selects, now or before, each finds out for itself.
func RolloutsOfFreeze(c client.Reader) handler.EventHandler {
	events := mapped(func(ctx context.Context, o client.Object) ([]found, error) {
		list := &v1alpha1.RolloutList{}
		if err := c.List(ctx, list, client.InNamespace(o.GetNamespace())); err != nil {
			return nil, fmt.Errorf("list the Rollouts of a freeze: %w", err)
		}
		var all []found
		for i := range list.Items {
			if phase := list.Items[i].Status.Phase; phase == v1alpha1.PhaseGating || phase.Armed() {
				all = append(all, found{rollout: &list.Items[i]})
			}
		}
		return all, nil
	})
	return handler.Funcs{
		CreateFunc: events.Create,
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				events.Update(ctx, e, q)
			}
		},
		DeleteFunc: events.Delete,
	}
}

// RolloutsByLabel enqueues the Rollout that an object's label belay.dev/rollout
// names: ReplicaSets, generated Services, and their EndpointSlices, which inherit
// the Service's labels.
func RolloutsByLabel(c client.Reader) handler.EventHandler {
	return mapped(labelled(c))
}

// RolloutsByRun enqueues the Rollout of a run, with priority Urgent when one of its
// triggers has fired. The events may have whole runs or their metadata.
func RolloutsByRun(c client.Reader) handler.EventHandler {
	byLabel := labelled(c)
	return mapped(func(ctx context.Context, o client.Object) ([]found, error) {
		all, err := byLabel(ctx, o)
		for i := range all {
			all[i].urgent = all[i].rollout.Status.Phase.Armed() && fired(o)
		}
		return all, err
	})
}

func labelled(c client.Reader) mapping {
	return func(ctx context.Context, o client.Object) ([]found, error) {
		name := o.GetLabels()[v1alpha1.LabelRollout]
		if run, ok := o.(*v1alpha1.RolloutRun); ok {
			name = run.Spec.Rollout.Name
		}
		if name == "" {
			return nil, nil
		}
		rollout := &v1alpha1.Rollout{}
		err := c.Get(ctx, types.NamespacedName{Namespace: o.GetNamespace(), Name: name}, rollout)
		if apierrors.IsNotFound(err) {
			// When it is created, it gets an event of its own.
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []found{{rollout: rollout}}, nil
	}
}

func indexed(c client.Reader, index string, value func(client.Object) string) handler.EventHandler {
	return mapped(func(ctx context.Context, o client.Object) ([]found, error) {
		v := value(o)
		if v == "" {
			return nil, nil
		}
		rollouts, err := Rollouts(ctx, c, o.GetNamespace(), index, v)
		var all []found
		for i := range rollouts {
			all = append(all, found{rollout: &rollouts[i]})
		}
		return all, err
	})
}

// mapped enqueues the Rollouts that a mapping finds, by priority. Objects of the initial
// list and of a resync do not count as changed.
func mapped(find mapping) handler.EventHandler {
	enqueue := func(ctx context.Context, q queue, changed bool, o client.Object) {
		all, err := find(ctx, o)
		if err != nil {
			log.FromContext(ctx).Error(err, "cannot find the Rollouts that an event concerns; they are checked at the next watchdog interval")
			return
		}
		for _, f := range all {
			if f.urgent {
				add(q, client.ObjectKeyFromObject(f.rollout), Urgent)
				continue
			}
			Enqueue(q, f.rollout, changed)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			enqueue(ctx, q, !e.IsInInitialList, e.Object)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			changed := e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion()
			if changed && relabelled(e.ObjectOld, e.ObjectNew) {
				enqueue(ctx, q, changed, e.ObjectOld)
			}
			enqueue(ctx, q, changed, e.ObjectNew)
		},
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, q, true, e.Object) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { enqueue(ctx, q, true, e.Object) },
	}
}

// relabelled reports whether an object may have concerned another Rollout before.
func relabelled(before, now client.Object) bool {
	for _, key := range []string{v1alpha1.LabelRollout, discoveryv1.LabelServiceName} {
		if before.GetLabels()[key] != now.GetLabels()[key] {
			return true
		}
	}
	return false
}
