package replicas

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/traffic"
)

// Ordered is the Router of StatefulSets, whose versions have no objects that count their pods:
// it counts the pods themselves.
type Ordered struct{ Router }

var _ traffic.Router = Ordered{}

// NewOrdered returns a Router that reads pods through r.
func NewOrdered(r client.Reader) Ordered { return Ordered{Router{reader: r}} }

// Observe counts the ready pods that the StatefulSet's selector matches, by their label
// controller-revision-hash. A pod that terminates serves nobody new.
func (o Ordered) Observe(ctx context.Context, t traffic.Target) (traffic.Observation, error) {
	seen := traffic.Observation{Acknowledged: true, PairCurrent: true}
	// A selector that is nil, as without a StatefulSet, matches nothing.
	pods := &corev1.PodList{}
	if err := o.reader.List(ctx, pods, client.InNamespace(t.Namespace), client.MatchingLabelsSelector{Selector: t.Workload}); err != nil {
		return traffic.Observation{}, fmt.Errorf("list the pods: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !serves(pod) {
			continue
		}
		seen.Service++
		switch pod.Labels[appsv1.ControllerRevisionHashLabelKey] {
		case "":
		case t.StableHash:
			seen.Stable++
		case t.CanaryHash:
			seen.Canary++
		}
	}
	seen.ServiceStable, seen.ServiceCanary = seen.Stable, seen.Canary
	return seen, nil
}

func serves(pod *corev1.Pod) bool {
	ready := func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, ready)
}
