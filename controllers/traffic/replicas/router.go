// Package replicas is the router of Rollouts that name no routes: every ready pod
// takes the same share of the requests, so the number of a side's pods is its
// weight. Nothing here writes. The Rollout loop sizes the sides.
package replicas

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/controllers/traffic"
)

// Router is traffic.Router without routes. It names no Service either: callers may
// use any that selects the Deployment's pods.
type Router struct{ reader client.Reader }

var _ traffic.Router = Router{}

// New returns a Router that reads ReplicaSets, unstructured, through r. Pods are
// not read.
func New(r client.Reader) Router { return Router{reader: r} }

// Observe counts the ready pods of the ReplicaSets that the Deployment's selector
// matches. A pod that terminates is not ready any more.
func (r Router) Observe(ctx context.Context, t traffic.Target) (traffic.Observation, error) {
	o := traffic.Observation{Acknowledged: true, PairCurrent: true}
	// A selector that is nil, as without a Deployment, matches nothing.
	sets := &unstructured.UnstructuredList{}
	sets.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	if err := r.reader.List(ctx, sets, client.InNamespace(t.Namespace), client.MatchingLabelsSelector{Selector: t.Workload}); err != nil {
		return traffic.Observation{}, fmt.Errorf("list the ReplicaSets: %w", err)
	}
	for i := range sets.Items {
		ready := readyOf(&sets.Items[i])
		o.Service += ready
		switch sets.Items[i].GetLabels()[appsv1.DefaultDeploymentUniqueLabelKey] {
		case "":
		case t.StableHash:
			o.Stable += ready
		case t.CanaryHash:
			o.Canary += ready
		}
	}
	o.ServiceStable, o.ServiceCanary = o.Stable, o.Canary
	return o, nil
}

func readyOf(set *unstructured.Unstructured) int32 {
	ready, _, _ := unstructured.NestedInt64(set.Object, "status", "readyReplicas")
	return int32(ready)
}

// Point has no pair of Services to make.
func (Router) Point(context.Context, traffic.Target) error { return nil }

// Apply is refused: a share is a number of pods.
func (Router) Apply(context.Context, traffic.Target, traffic.Split) error {
	return fmt.Errorf("%w: without a route there is no weight to set", traffic.ErrUnsupported)
}

// Release has nothing to point back.
func (Router) Release(context.Context, traffic.Target) error { return nil }

// Narrow is refused unless it is to widen: no Service is named.
func (Router) Narrow(_ context.Context, _ traffic.Target, hash string) error {
	if hash == "" {
		return nil
	}
	return fmt.Errorf("%w: without a Service there is no selector to limit", traffic.ErrUnsupported)
}

// PointPreview has no Service whose ports a preview could have.
func (Router) PointPreview(context.Context, traffic.Target, string) error { return nil }

// RemovePreview has nothing to delete.
func (Router) RemovePreview(context.Context, traffic.Target) error { return nil }

// Remove has no pair of Services to delete.
func (Router) Remove(context.Context, traffic.Target) error { return nil }
