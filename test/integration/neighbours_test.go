package integration

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
)

// TestNeighbours: of what else is in the namespace only that counts which is for
// the same Deployment.
func TestNeighbours(t *testing.T) {
	s := open(t)
	autoscaler := func(name, target string) {
		create(t, object(t, fmt.Sprintf(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: %s, namespace: %s}, spec: {maxReplicas: 9,
			scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %s},
			metrics: [{type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}}]}}`, name, s.namespace, target)))
	}
	rollout := func(name, target string) {
		create(t, object(t, fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: %s, namespace: %s}, spec: {workloadRef: {name: %s},
			traffic: {service: shop, routes: [{name: shop}]}, steps: [{weight: 50, hold: 1s}]}}`, name, s.namespace, target)))
		key := types.NamespacedName{Namespace: s.namespace, Name: name}
		for range 3 {
			if _, err := s.reconciler.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	says := func(name string) string {
		r := &v1alpha1.Rollout{}
		if err := admin.Get(t.Context(), types.NamespacedName{Namespace: s.namespace, Name: name}, r); err != nil {
			t.Fatal(err)
		}
		return r.Status.Message
	}

	create(t, object(t, fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: other, namespace: %s}, spec: {selector: {matchLabels: {app: other}},
		template: {metadata: {labels: {app: other}}, spec: {containers: [{name: other, image: other}]}}}}`, s.namespace)))
	autoscaler("of-another", "other")
	rollout("of-another", "other")
	if err := s.look(); err != nil {
		t.Fatal(err)
	}
	if got := says("shop"); got != "serving "+good {
		t.Errorf("beside another Deployment's: %q", got)
	}
	if got := says("of-another"); got == "" || strings.Contains(got, "already guards") {
		t.Errorf("for another Deployment: %q", got)
	}
	rollout("too-late", "shop")
	if got := says("too-late"); !strings.Contains(got, `Rollout "shop" already guards Deployment "shop"`) {
		t.Errorf("a second Rollout: %q", got)
	}
	autoscaler("own", "shop")
	s.until("warned", func(r *v1alpha1.Rollout) bool {
		return strings.Contains(r.Status.Message, "HorizontalPodAutoscaler own scales on memory")
	})
}
