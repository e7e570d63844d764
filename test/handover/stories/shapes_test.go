package stories

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestReleases of Deployments of every shape: each is promoted without a request
// that nobody answers, and each pod is made once.
func TestReleases(t *testing.T) {
	t.Parallel()
	limit := func(n int32) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = &n }
	}
	for _, tc := range []struct {
		name     string
		replicas int32
		change   func(*appsv1.Deployment)
	}{
		{"4 replicas", 4, nil},
		{"1 replica", 1, nil},
		{"200 replicas", 200, nil},
		{"Recreate", 4, func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }},
		{"minReadySeconds", 3, func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 2 }},
		{"revisionHistoryLimit 0", 3, limit(0)},
		{"revisionHistoryLimit 1", 3, limit(1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, tc.replicas, tc.change)
			s.Push("v2")
			s.promoted("v2", tc.replicas)
			s.Served()
			s.made(map[string]int{"v1": int(tc.replicas), "v2": int(tc.replicas)})
		})
	}
}
