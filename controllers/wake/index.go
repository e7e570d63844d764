package wake

import (
	"cmp"
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Indexes of Rollouts in the cache, for client.MatchingFields together with a namespace.
const (
	// ByWorkload is WorkloadKey of the workload.
	ByWorkload = "spec.workloadRef"
	// ByService are the names of the user's Service and of the comparer's.
	ByService = "spec.traffic.service"
	// ByRoute is RouteKey of each route.
	ByRoute = "spec.traffic.routes"
	// ByGuardrail is the name of each Guardrail.
	ByGuardrail = "spec.guardrails"
)

// ByTarget is an index of HorizontalPodAutoscalers by WorkloadKey of what they scale, for use
// together with a namespace.
const ByTarget = "spec.scaleTargetRef"

// ByRollout is an index of RolloutRuns by the name of their Rollout, for use together with
// a namespace. A run's spec does not change, its label belay.dev/rollout may.
const ByRollout = "spec.rollout.name"

// RolloutOf returns the values of a run in ByRollout.
func RolloutOf(o client.Object) []string {
	run, ok := o.(*v1alpha1.RolloutRun)
	if !ok {
		return nil
	}
	return present(run.Spec.Rollout.Name)
}

// Target returns the values of an autoscaler in ByTarget: none when it scales something
// else than a Deployment or StatefulSet.
func Target(o client.Object) []string { return present(target(o)) }

func target(o client.Object) string {
	hpa, ok := o.(*autoscalingv2.HorizontalPodAutoscaler)
	if !ok {
		return ""
	}
	switch ref := hpa.Spec.ScaleTargetRef; ref.Kind {
	case v1alpha1.KindDeployment, v1alpha1.KindStatefulSet:
		return WorkloadKey(ref.Kind, ref.Name)
	default:
		return ""
	}
}

// WorkloadKey is a workload in the indexes ByWorkload and ByTarget; without a kind, a
// Deployment. A Deployment and a StatefulSet may share a name.
func WorkloadKey(kind, name string) string {
	if name == "" {
		return ""
	}
	return cmp.Or(kind, v1alpha1.KindDeployment) + "/" + name
}

// RouteKey is a route in the index ByRoute. Routes of different kinds may share a
// name.
func RouteKey(kind, name string) string {
	if kind == "" {
		kind = v1alpha1.KindHTTPRoute
	}
	return kind + "/" + name
}

// Values returns the functions that compute a Rollout's values in each index.
func Values() map[string]client.IndexerFunc {
	of := func(values func(*v1alpha1.RolloutSpec) []string) client.IndexerFunc {
		return func(o client.Object) []string {
			rollout, ok := o.(*v1alpha1.Rollout)
			if !ok {
				return nil
			}
			return values(&rollout.Spec)
		}
	}
	return map[string]client.IndexerFunc{
		ByWorkload: of(func(s *v1alpha1.RolloutSpec) []string {
			return present(WorkloadKey(s.WorkloadRef.Kind, s.WorkloadRef.Name))
		}),
		ByService: of(func(s *v1alpha1.RolloutSpec) []string {
			if s.ReplicaWeighted() {
				return nil
			}
			names := present(s.Traffic.Service)
			if s.Traffic.Comparer != nil {
				names = append(names, present(s.Traffic.Comparer.Service)...)
			}
			return names
		}),
		ByRoute: of(func(s *v1alpha1.RolloutSpec) (keys []string) {
			if s.ReplicaWeighted() {
				return nil
			}
			for _, r := range s.Traffic.Routes {
				keys = append(keys, RouteKey(r.Kind, r.Name))
			}
			return keys
		}),
		ByGuardrail: of(func(s *v1alpha1.RolloutSpec) (names []string) {
			for _, g := range s.Guardrails {
				names = append(names, g.Name)
			}
			return names
		}),
	}
}

func present(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// Index adds all indexes to a manager's cache (mgr.GetFieldIndexer). Call it once, before
// the manager starts.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	for field, values := range Values() {
		if err := indexer.IndexField(ctx, &v1alpha1.Rollout{}, field, values); err != nil {
			return fmt.Errorf("index Rollouts by %s: %w", field, err)
		}
	}
	if err := indexer.IndexField(ctx, &autoscalingv2.HorizontalPodAutoscaler{}, ByTarget, Target); err != nil {
		return fmt.Errorf("index HorizontalPodAutoscalers by %s: %w", ByTarget, err)
	}
	if err := indexer.IndexField(ctx, &v1alpha1.RolloutRun{}, ByRollout, RolloutOf); err != nil {
		return fmt.Errorf("index RolloutRuns by %s: %w", ByRollout, err)
	}
	return nil
}

// Rollouts lists the Rollouts of a namespace by one of the indexes.
func Rollouts(ctx context.Context, c client.Reader, namespace, index, value string) ([]v1alpha1.Rollout, error) {
	list := &v1alpha1.RolloutList{}
	if err := c.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{index: value}); err != nil {
		return nil, fmt.Errorf("list the Rollouts of namespace %s with %s %q: %w", namespace, index, value, err)
	}
	return list.Items, nil
}
