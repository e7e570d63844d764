package gates

import (
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// kind is how the guard holds a kind of workload.
type kind struct {
	// name of the kind.
	name string
	// empty returns an object of the kind to read into.
	empty func() client.Object
	// rolls is what a spec says that lets a new version roll at once.
	rolls map[string]any
	// waits reports whether a new version waits.
	waits func(client.Object) bool
	// policy is the one that makes it wait, and held how that is called.
	policy, held string
}

var (
	deployments = &kind{
		name:   v1alpha1.KindDeployment,
		empty:  func() client.Object { return &appsv1.Deployment{} },
		rolls:  map[string]any{"paused": false},
		waits:  func(o client.Object) bool { d, ok := o.(*appsv1.Deployment); return ok && d.Spec.Paused },
		policy: "belay-guard-hold",
		held:   "paused",
	}
	statefulSets = &kind{
		name:  v1alpha1.KindStatefulSet,
		empty: func() client.Object { return &appsv1.StatefulSet{} },
		rolls: map[string]any{"updateStrategy": map[string]any{"rollingUpdate": map[string]any{"partition": 0}}},
		waits: func(o client.Object) bool {
			s, ok := o.(*appsv1.StatefulSet)
			if !ok || s.Spec.UpdateStrategy.RollingUpdate == nil {
				return false
			}
			partition := s.Spec.UpdateStrategy.RollingUpdate.Partition
			return partition != nil && *partition == v1alpha1.PartitionHold
		},
		policy: "belay-guard-statefulsets-hold",
		held:   "held",
	}
)

// kindOf is the kind of workload that a Rollout names.
func kindOf(rollout *v1alpha1.Rollout) *kind {
	if rollout.Spec.WorkloadRef.Ordered() {
		return statefulSets
	}
	return deployments
}
