package stories

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// TestAnAutoscalerIsWarnedOf while the Rollout is Stable, when it scales on what
// does not fall as pods are added; and no more once it is gone, or scales on
// something else.
func TestAnAutoscalerIsWarnedOf(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	for _, tc := range []struct{ metric, named string }{
		{`{type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 70}}}`, "scales on memory"},
		{`{type: External, external: {metric: {name: load}, target: {type: Value, value: "10"}}}`, "scales on external metric load (target type Value)"},
	} {
		hpa := object(t, fmt.Sprintf(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: shop, namespace: %s}, spec: {
			scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}, minReplicas: 2, maxReplicas: 9, metrics: [%s]}}`, s.Namespace, tc.metric))
		s.Must(admin.Create(t.Context(), hpa))
		s.until("warned of "+tc.named, func(g Gomega, r *v1alpha1.Rollout) {
			g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStable))
			g.Expect(conditionOf(r, v1alpha1.ConditionReady)).To(Equal(metav1.ConditionTrue), "a warning is no fault")
			g.Expect(r.Status.Message).To(And(ContainSubstring("HorizontalPodAutoscaler shop "+tc.named), ContainSubstring("maximum of 9 pods"), ContainSubstring("set spec.promotion.mode to Native")))
		})
		s.Must(admin.Delete(t.Context(), hpa))
		s.until("not warned any more", func(g Gomega, r *v1alpha1.Rollout) { g.Expect(r.Status.Message).To(Equal("serving " + image("v1"))) })
	}
	// One that does not count the canary, or targets another Deployment, is no reason.
	for name, spec := range map[string]string{
		"average": `{scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}, maxReplicas: 9, metrics: [{type: External, external: {metric: {name: load}, target: {type: AverageValue, averageValue: "10"}}}]}`,
		"other":   `{scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: other}, maxReplicas: 9, metrics: [{type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 70}}}]}`,
	} {
		s.create(fmt.Sprintf(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: %s, namespace: %s}, spec: %s}`, name, s.Namespace, spec))
	}
	s.Stays("not warned of them", 2*watchdog, func(g Gomega) { g.Expect(s.rollout().Status.Message).To(Equal("serving " + image("v1"))) })
}

// TestABudgetCountsBothSides: in a bake the disruption controller expects 2N pods,
// and what it allows may all be of the side that serves (docs/concepts.md, Drains
// and budgets). Before the run and after the handover it expects N.
func TestABudgetCountsBothSides(t *testing.T) {
	t.Parallel()
	const n = 4
	s := open(t, n, nil)
	one, quarter, half, all := intstr.FromInt32(1), intstr.FromString("25%"), intstr.FromString("50%"), intstr.FromInt32(n)
	budgets := []struct {
		name                string
		most, least         *intstr.IntOrString
		desired, desiredTwo int32
	}{
		{"one-may-go", &one, nil, n - 1, 2*n - 1},
		{"a-quarter-may-go", &quarter, nil, n - 1, 2*n - 2},
		{"half-must-stay", nil, &half, n / 2, n},
		{"all-must-stay", nil, &all, n, n},
	}
	// One at a time: the disruption controller takes one budget for each pod.
	counts := func(when string, expected int32, desired func(i int) int32) {
		t.Helper()
		for i, b := range budgets {
			budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: b.name, Namespace: s.Namespace},
				Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: b.most, MinAvailable: b.least, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": cluster.Name}}}}
			s.Must(admin.Create(t.Context(), budget))
			s.Eventually(b.name+" "+when, func(g Gomega) {
				g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(budget), budget)).To(Succeed())
				g.Expect(budget.Status).To(And(HaveField("ExpectedPods", expected), HaveField("CurrentHealthy", expected), HaveField("DesiredHealthy", desired(i)),
					HaveField("DisruptionsAllowed", expected-desired(i))))
			})
			s.Must(admin.Delete(t.Context(), budget))
		}
	}
	counts("before the run", n, func(i int) int32 { return budgets[i].desired })
	s.verdict(undecidedIn(v1alpha1.PhaseBaking))
	s.Push("v2")
	s.until("in the bake", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseBaking))
		g.Expect(s.Sizes()).To(Equal(map[string]int32{"v1": n, "v2": n}))
	})
	counts("in the bake", 2*n, func(i int) int32 { return budgets[i].desiredTwo })
	s.verdict(nil)
	s.promoted("v2", n)
	counts("after the handover", n, func(i int) int32 { return budgets[i].desired })
	s.Served()
}
